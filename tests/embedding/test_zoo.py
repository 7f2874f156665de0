"""Architectures of transformers, tiny and random: everything that `tests/zoo.py` tries with them."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests import zoo

RESULTS = Path(__file__).parents[2] / "results" / "zoo.json"
STEPS = ("loads", "alone", "fused", "saves", "cuts", "trains")
QKVO, GATED, PLAIN = ["q", "k", "v", "o"], ["gate", "up", "down"], ["up", "down"]
# Type → forward path, attention, and the projections that training adapts where it is asked for all but k.
SUPPORTED: dict[str, tuple[str, str, list[str]]] = {
    "bloom": ("stock", "eager", [*QKVO, *PLAIN]),
    "deepseek_v3": ("stock", "sdpa", QKVO),
    "falcon_h1": ("stock", "sdpa", ["q", "v", "o", *GATED]),
    "gemma2": ("stock", "eager", ["q", "v", "o", *GATED]),
    "gemma3_text": ("fused", "sdpa", ["q", "v", "o", *GATED]),
    "gpt_neo": ("stock", "eager", ["q", "v", "o", *PLAIN]),
    "gpt_neox": ("stock", "sdpa", [*QKVO, *PLAIN]),
    "gpt_oss": ("stock", "eager", ["q", "v", "o"]),
    "granite": ("fused", "sdpa", ["q", "v", "o", *GATED]),
    "phi3": ("stock", "sdpa", [*QKVO, *GATED]),
    "qwen3": ("fused", "sdpa", ["q", "v", "o", *GATED]),
    "qwen3_moe": ("stock", "sdpa", ["q", "v", "o"]),
    "qwen3_next": ("stock", "sdpa", [*QKVO]),
}
REFUSED = {
    "bert": ("loads", "lets tokens see later ones"),
    "bart": ("loads", "is an encoder-decoder"),
    "mamba": ("trains", "has none of the projections"),
}


LIKE_ANOTHER = ("gemma2", "gpt_neox", "granite")  # slow: gemma3_text, phi3 and qwen3 are of their kinds


@pytest.mark.parametrize(
    "model_type",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LIKE_ANOTHER)) for name in SUPPORTED],
)
def test_a_dozen_architectures(model_type: str, tmp_path: Path) -> None:
    row = zoo.row(model_type, tmp_path)
    assert {step: row[step] for step in STEPS if step in row} == {
        step: "yes" for step in STEPS if step in row
    }
    path, attention, projections = SUPPORTED[model_type]
    adapted = {part for parts in row["adapted"].values() for part in parts}
    assert (row["path"], row["attention"], adapted) == (path, attention, set(projections))
    assert ("fused" in row) == (path == "fused")


@pytest.mark.parametrize("model_type", REFUSED)
def test_refused_with_a_reason(model_type: str, tmp_path: Path) -> None:
    step, reason = REFUSED[model_type]
    assert reason in zoo.row(model_type, tmp_path)[step]


def test_the_results_have_a_row_for_every_architecture() -> None:
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    if content["versions"]["transformers"] != version("transformers"):
        pytest.skip("measured with another version of transformers: run tools/results/zoo.py")
    assert [row["type"] for row in content["models"]] == list(zoo.TYPES)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", zoo.TYPES)
def test_every_architecture(model_type: str, tmp_path: Path) -> None:
    row = zoo.row(model_type, tmp_path)
    assert row.get("fused", "yes") == "yes"
    for step in STEPS:  # refused in the words of lastword, not by an exception of a library
        assert not re.match(r"\w+(Error|Exception): ", row.get(step, "yes"))
    content: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    if content["versions"]["transformers"] == version("transformers"):
        (stored,) = (stored for stored in content["models"] if stored["type"] == model_type)
        works = [{step: r[step] == "yes" for step in ("made", *STEPS) if step in r} for r in (row, stored)]
        assert works[0] == works[1]
