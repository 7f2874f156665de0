"""Training with a pooling that has weights: they learn with the adapter, resume, and are those of the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.embedding.latent_pooling import LatentPooling
from lastword.errors import RequestError
from lastword.merging import merge
from lastword.training import LastStep, train
from lastword.training import loop as loops
from lastword.training.run import load_base

Settings = dict[str, Any]
TEXTS = ["the river was near", "a house"]


@pytest.fixture
def latent(settings: Settings) -> Settings:
    return settings | {"pooling": "latent", "scorer": LastStep(), "learning_rate": 3e-2}


def queries(folder: Path) -> torch.Tensor:
    return load_file(folder / "model.safetensors")["queries"]


def test_the_queries_are_trained_and_stored(tmp_path: Path, latent: Settings) -> None:
    result = train(tmp_path / "out", **latent)
    assert np.mean(result.losses[-3:]) < np.mean(result.losses[:3])
    stored = queries(tmp_path / "out" / "1_LatentPooling")
    assert torch.equal(stored, queries(tmp_path / "out" / "training" / "step-000012" / "latent_pooling"))
    begun = LatentPooling(stored.shape[1], seed=0).queries.detach()
    assert (stored - begun).abs().sum(1).min() > 0.1, "each query has moved"
    adapter = json.loads((tmp_path / "out" / "lastword.json").read_text())["adapter"]
    assert len(adapter["pooling_sha256"]) == 64
    assert adapter["pooling_sha256"] != adapter["sha256"]
    assert Embedder.from_pretrained(tmp_path / "out", device="cpu").spec.pooling.spec == "latent"


def test_gradients_do_not_depend_on_what_is_computed_twice(tmp_path: Path, latent: Settings) -> None:
    latent |= {"steps": 3, "dropout": 0.0, "batch_tokens": 64}
    for name, gib in (("stored", 1.0), ("twice", 0.0)):
        train(tmp_path / name, graph_gib=gib, **latent)
    first, second = (queries(tmp_path / name / "1_LatentPooling") for name in ("stored", "twice"))
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_a_killed_run_goes_on_with_its_queries(
    tmp_path: Path, latent: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole", **latent)
    step, done = loops.Loop.step, list[int]()

    def killed(self: loops.Loop, number: int) -> dict[str, Any]:
        if number == 11 and not done:
            done.append(number)
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(loops.Loop, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", **latent)
    train(tmp_path / "out", resume=True, **latent)
    assert done == [11]
    parts = [queries(tmp_path / name / "1_LatentPooling") for name in ("whole", "out")]
    assert torch.equal(*parts)


def test_training_goes_on_from_a_model_that_has_them(tmp_path: Path, latent: Settings) -> None:
    train(tmp_path / "first", **latent | {"steps": 3})
    base = load_base(
        train_config({"model": str(tmp_path / "first"), "pooling": "latent", "dtype": "float32"}), "cpu"
    )
    assert torch.equal(
        base.backbone.model.latent_pooling.queries, queries(tmp_path / "first" / "1_LatentPooling")
    )


def test_merging(tmp_path: Path, latent: Settings, refused: Callable[..., str]) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder, rate in zip(folders, (1e-2, 2e-2), strict=True):
        train(folder, **latent | {"steps": 3, "learning_rate": rate})
    merge(folders, tmp_path / "out", weights=[3, 1])
    first, second, merged = (queries(folder / "1_LatentPooling") for folder in (*folders, tmp_path / "out"))
    torch.testing.assert_close(merged, 0.75 * first + 0.25 * second)
    message = refused(RequestError, merge, folders, tmp_path / "arc", method="spherical")
    assert message.startswith(
        "method='spherical' needs a base model, and the weights of pooling 'latent' have none"
    )
