"""Adapters in the upper layers only: the same gradients, with the lower layers computed once for each text."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModel

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.embedding.tokens import Batch
from lastword.errors import RequestError
from lastword.training import LastStep, train
from lastword.training.adapter import add_adapter, describe, layers_below
from lastword.training.gradcache import StepMemory, backward
from lastword.training.losses import Targets, info_nce
from lastword.training.lower import LowerLayers
from tests.training.conftest import pair_columns

Load = Callable[..., Embedder]
Refused = Callable[..., str]
COLUMNS = pair_columns(12)
TEXTS = [*COLUMNS["anchor"], *COLUMNS["positive"]]


def adapted(load: Load, folder: Path, **settings: Any) -> tuple[Embedder, list[Any], int]:
    dropout = settings.pop("dropout", 0.0)
    embedder = load(folder, **{"template": "ccw", "pooling": "lasttoken", "max_tokens": 64, **settings})
    model = embedder.backbone.model
    config = train_config({"rank": 4, "alpha": 8.0, "dropout": dropout, "adapt_layers": 1})
    parameters, generator = add_adapter(model, config), torch.Generator().manual_seed(7)
    for parameter in parameters:  # peft begins with B = 0, where half of the gradients vanish
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    model.train()
    return embedder, parameters, layers_below(model, config)


def parts_of(
    embedder: Embedder, lower: LowerLayers | None = None, texts: Sequence[str] = TEXTS
) -> list[Batch]:
    pipeline = embedder.pipeline
    parts = pipeline.batches(pipeline.tokenize(texts), 150)
    return [lower.attached(part) if lower else part for part in parts]


def gradients(embedder: Embedder, parts: list[Batch], parameters: list[Any], limit: float) -> list[Tensor]:
    def loss_of(vectors: Tensor) -> Tensor:
        return info_nce(vectors[:12], vectors[12:], Targets(0.1))

    backward(embedder.pipeline.vectors, parts, loss_of, 3, StepMemory(limit))
    gradients = [parameter.grad.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return gradients


@pytest.mark.parametrize("kind", ["llama_folder", "qwen_folder"])
@pytest.mark.parametrize("pooling", ["lasttoken", "mean", "mean:text", "eos"])
@pytest.mark.parametrize(("limit", "dropout"), [(0.0, 0.0), (1e12, 0.0), (0.0, 0.3)])
def test_gradients_are_those_of_the_plain_way(
    load: Load, kind: str, pooling: str, limit: float, dropout: float, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    embedder, parameters, below = adapted(load, folder, pooling=pooling, dropout=dropout)
    path = embedder.backbone.fused
    assert path is not None
    assert below == 1
    plain = gradients(embedder, parts_of(embedder), parameters, limit)
    lower = LowerLayers(path, below, 1e9, 128)
    for _ in range(2):  # computed, then kept
        begun = gradients(embedder, parts_of(embedder, lower), parameters, limit)
        scale = max(float(gradient.abs().max()) for gradient in plain)
        assert scale > 1e-4
        for actual, expected in zip(begun, plain, strict=True):
            assert torch.allclose(actual, expected, atol=1e-5 * max(1.0, scale))


@pytest.mark.parametrize("boundary", ["ids", "string"])
@pytest.mark.parametrize("template", ["none", "ccw"])
def test_vectors_do_not_depend_on_what_is_kept(
    load: Load, llama_folder: Path, template: str, boundary: str
) -> None:
    embedder, _, below = adapted(load, llama_folder, template=template, boundary=boundary)
    lower = LowerLayers(embedder.backbone.fused, below, 1e9, 128)  # type: ignore[arg-type]
    for texts in (TEXTS[:5], TEXTS[:1], TEXTS[3:9], [TEXTS[20], "x " * 80], ["x", TEXTS[4]]):
        for plain, begun in zip(
            parts_of(embedder, None, texts), parts_of(embedder, lower, texts), strict=True
        ):
            with torch.no_grad():
                vectors, expected = map(embedder.pipeline.vectors, (begun, plain))
            assert torch.allclose(vectors, expected, atol=1e-5)


def test_a_text_is_computed_once_within_the_memory(load: Load, llama_folder: Path) -> None:
    embedder, _, below = adapted(load, llama_folder)
    path = embedder.backbone.fused
    assert path is not None

    def computed(lower: LowerLayers, visits: int) -> list[int]:
        """Tokens computed in each visit of all texts."""
        counts = [0]
        for _ in range(visits):
            parts_of(embedder, lower)
            counts.append(lower.computed_tokens)
        return [after - before for before, after in itertools.pairwise(counts)]

    (tokens,) = computed(LowerLayers(path, below, 0, 128), 1)
    assert computed(LowerLayers(path, below, 1e9, 128), 3) == [tokens, 0, 0]
    assert computed(LowerLayers(path, below, 1e9, 128, keep_at=2), 4) == [tokens, tokens, 0, 0]
    assert computed(LowerLayers(path, below, 0, 128), 2) == [tokens, tokens]
    first, *later = computed(LowerLayers(path, below, 30_000, 128), 3)
    assert first == tokens > later[0] == later[1] > 0, "some are kept, and stay"
    lower = LowerLayers(path, below, 1e9, 128)
    computed(lower, 1)
    lower.clear()
    before = lower.computed_tokens
    parts_of(embedder, lower)
    assert lower.computed_tokens == before + tokens


@pytest.mark.parametrize(
    ("epochs", "tokens_kept", "keep_at", "share"),
    [
        (1, 0, 1, 1.0),  # nothing comes again
        (4, 100, 1, 0.25),  # all is kept: one epoch of four
        (4, 50, 1, 0.625),  # half is kept
        (4, 10**9, 1, 0.25),
        (4, 100, 2, 0.75),  # augmented: half of the texts come again, and are computed twice
        (4, 25, 2, 0.875),
        (1.5, 100, 2, 1.0),
        (0.3, 0, 1, 1.0),
    ],
)
def test_what_is_kept_is_not_computed(epochs: float, tokens_kept: int, keep_at: int, share: float) -> None:
    lower = LowerLayers(None, 1, limit_bytes=8 * tokens_kept, bytes_per_token=8, keep_at=keep_at)  # type: ignore[arg-type]
    assert lower.computed_share(epochs, 100) == pytest.approx(share)


def test_a_run_changes_the_upper_layers_alone_and_says_so(
    tmp_path: Path, settings: dict[str, Any], llama_folder: Path
) -> None:
    result = train(tmp_path / "out", scorer=LastStep(), adapt_layers=1, **settings)
    whole = train(tmp_path / "whole", scorer=LastStep(), **{**settings, "steps": 1})
    assert result.losses[-1] < 0.8 * result.losses[0]
    assert result.plan.trainable == whole.plan.trainable / 2
    base, out = (
        load_file(llama_folder / "model.safetensors"),
        load_file(tmp_path / "out" / "model.safetensors"),
    )
    changed = {name for name in out if not torch.equal(out[name], base[f"model.{name}"])}
    assert changed
    assert all(name.startswith("layers.1.") for name in changed)
    record = json.loads((tmp_path / "out" / "lastword.json").read_text())
    assert record["adapter"]["adapt_layers"] == record["recipe"]["adapt_layers"] == 1
    assert set(record["adapter"]["modules"]) == {
        "q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    step = next((tmp_path / "out" / "training").glob("step-*"))
    with warnings.catch_warnings(action="ignore"):  # peft asks transformers something under an old name
        theirs = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(llama_folder), str(step))
    names = {name for name, _ in theirs.named_parameters() if ".lora_" in name}
    assert names
    assert all(".layers.1." in name for name in names)


@pytest.mark.parametrize("kind", ["gpt2_folder", "llama_folder"])
def test_the_layers_of_any_model_are_counted_from_the_top(
    load: Load, kind: str, request: pytest.FixtureRequest
) -> None:
    embedder, parameters, _ = adapted(load, request.getfixturevalue(kind))
    model = embedder.backbone.model
    names = [name for name, _ in model.named_parameters() if ".lora_" in name]
    assert len(names) == len(parameters) > 0
    assert all(".1." in name for name in names)
    config = train_config({"rank": 4, "alpha": 8.0, "adapt_layers": 1})
    assert not any(
        "." in name.replace("mlp.", "").replace("attn.", "") for name in describe(config, model)["modules"]
    )


@pytest.mark.parametrize("noise", [[], ["delete"]])
def test_epochs_resume_and_stored_graphs_change_nothing(
    tmp_path: Path, settings: dict[str, Any], noise: list[str]
) -> None:
    settings = {**settings, "adapt_layers": 1, "dropout": 0.2, "noise": noise, "scorer": LastStep()}
    whole = train(tmp_path / "whole", **settings)
    again = train(tmp_path / "again", **settings, graph_gib=0.0, batch_tokens=256)
    stored = train(tmp_path / "stored", **settings, graph_gib=1.0, batch_tokens=256)
    assert again.losses == pytest.approx(stored.losses, abs=1e-5)
    assert len(whole.losses) == 12


def test_more_layers_than_the_model_keeps_are_refused(
    tmp_path: Path, settings: dict[str, Any], refused: Refused
) -> None:
    message = refused(RequestError, train, tmp_path / "out", adapt_layers=3, **settings)
    assert message == f"adapt_layers=3: {settings['model']} has 2 layers; give at most 2"
    message = refused(RequestError, train, tmp_path / "out", adapt_layers=2, layer=1, **settings)
    assert message == "adapt_layers=2, but layer=1 keeps fewer"
    message = refused(RequestError, train, tmp_path / "out", adapt_layers=0, **settings)
    assert message == "adapt_layers=0: it must be from 1 to 1,000"
