"""False negatives that a guide finds: which are left out, by whom, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.util import cos_sim

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.encoders import in_parts
from lastword.errors import RequestError
from lastword.geometry import unit
from lastword.training import LastStep, train
from lastword.training import guide as module
from lastword.training.guide import Guide, make_guide
from lastword.training.objectives import PairObjective
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.vectors import TextVectors

Settings = dict[str, Any]
TEXTS = list("abcdefgh")


def made(seed: int, margin: float = 0.0) -> Guide:
    vectors = unit(np.random.default_rng(seed).normal(size=(8, 3)).astype(np.float32))
    return Guide(TextVectors({text: row for row, text in enumerate(TEXTS)}, vectors), margin)


@given(st.integers(0, 50), st.sampled_from([-0.3, 0.0, 0.4]))
def test_a_candidate_nearer_than_the_positive_is_no_negative(seed: int, margin: float) -> None:
    guide = made(seed, margin)
    excluded = guide.excluded(TEXTS[:3], TEXTS[3:])
    cosines = cos_sim(guide.texts.vectors[:3], guide.texts.vectors[3:])
    for i in range(3):
        for j in range(5):
            assert excluded[i, j] == (i != j and bool(cosines[i, j] > cosines[i, i] - margin))


def test_a_larger_margin_leaves_out_more() -> None:
    counts = [int(made(0, margin).excluded(TEXTS[:3], TEXTS[3:]).sum()) for margin in (-2, 0, 0.5, 2)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3 * 5 - 3)


def test_the_objective_leaves_out_what_either_finds() -> None:
    pairs = Pairs(["a", "b", "a"], ["c", "d", "e"], [["f"], [], ["g", "h"]])
    config = train_config({"batch_pairs": 3, "noise": "characters"})
    plain, guide = PairObjective(pairs, config).step(0), made(1)
    step = PairObjective(pairs, config, guide).step(0)
    texts = PairObjective(pairs, replace(config, noise=())).step(0).texts
    assert step.targets.excluded is not None
    assert plain.targets.excluded is not None
    expected = plain.targets.excluded | guide.excluded(texts[:3], texts[3:])
    assert torch.equal(step.targets.excluded, expected)
    assert step.texts == plain.texts


@pytest.mark.parametrize("name", ["self", "tfidf"])
def test_the_guide_embeds_the_texts_once(
    tmp_path: Path,
    load: Callable[..., Embedder],
    pairs_file: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs, model = read_pairs([pairs_file]), load(template="none", pooling="mean")
    config = train_config({"guide": name, "guide_margin": 0.1})
    first = make_guide(config, pairs, model, "cpu", tmp_path)
    assert first is not None
    assert first.margin == 0.1
    assert np.allclose(np.linalg.norm(first.texts.vectors, axis=1), 1, atol=1e-5)
    if name == "self":
        rows = [first.texts.rows[text] for text in pairs.anchors]
        assert np.allclose(first.texts.vectors[rows], model.encode(pairs.anchors), atol=1e-6)
    monkeypatch.setattr(in_parts, "encode_distinct", None)
    again = make_guide(config, pairs, model, "cpu", tmp_path)
    assert again is not None
    assert np.array_equal(again.texts.vectors, first.texts.vectors)
    assert [file.name for file in tmp_path.iterdir() if "guide" in file.name] == ["guide-000000.npz"]
    assert make_guide(train_config({}), pairs, model, "cpu", tmp_path) is None


def test_a_candidate_as_near_as_the_positive_stays() -> None:
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    guide = Guide(TextVectors({text: row for row, text in enumerate("abcd")}, vectors))
    assert not guide.excluded(["a", "d"], ["b", "d", "c"])[0].any()


@pytest.mark.parametrize(("name", "device"), [("tfidf", None), ("no/matter", "cpu")])
def test_another_guide_is_loaded_on_the_device(
    tmp_path: Path,
    load: Callable[..., Embedder],
    name: str,
    device: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, asked = load(template="none", pooling="mean"), list[tuple[str, str | None]]()

    def loaded(name: str, *, device: str | None) -> Embedder:
        asked.append((name, device))
        return model

    monkeypatch.setattr(module, "load_encoder", loaded)
    pairs = Pairs(["a", "b"], ["c", "d"], [[], []])
    make_guide(train_config({"guide": name}), pairs, model, "cpu", tmp_path)
    assert asked == [(name, device)]


def test_a_run_with_a_guide(tmp_path: Path, settings: Settings, refused: Callable[..., str]) -> None:
    settings |= {"steps": 2, "scorer": LastStep(), "dropout": 0.0}
    plain = train(tmp_path / "plain", **settings)
    guided = train(tmp_path / "guided", guide="self", **settings)
    assert guided.losses[0] < plain.losses[0], "fewer negatives"
    assert guided.plan.negatives_per_anchor <= plain.plan.negatives_per_anchor
    same = train(tmp_path / "same", guide="self", guide_margin=-2.0, **settings)
    assert same.losses == plain.losses, "a margin that leaves out nothing"
    message = refused(RequestError, train, tmp_path / "none", guide="tfidf", guide_margin=2.0, **settings)
    assert message.startswith("guide='tfidf' with guide_margin=2 leaves no negatives: ")
