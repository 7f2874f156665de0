"""The model card of a saved folder: what it says of the model, and of how it was trained."""

from __future__ import annotations

import pytest

from lastword.embedding import EmbedderSpec
from lastword.embedding.card import Provenance, model_card


def _rows(spec: EmbedderSpec, provenance: Provenance) -> dict[str, str]:
    """The table of the card, without the explanations in parentheses."""
    card = model_card(spec, provenance, dim=32)
    rows = (line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("| "))
    return {row[0].partition(" (")[0]: row[1] for row in rows if len(row) == 2}


@pytest.mark.parametrize("normalize", [True, False])
def test_card_of_a_base_model(normalize: bool) -> None:
    spec = EmbedderSpec().changed(template="ccw", pooling="mean", max_tokens=99, normalize=normalize)
    assert _rows(spec, Provenance("someone/model/")) == {
        "template": '`This sentence: "{text}" belongs to the following cluster:`',
        "prompts": "none",
        "pooling": "mean",
        "attention": "causal",
        "dimensions": "32",
        "longest sequence, template included": "99 tokens",
        "vectors scaled to length 1": "yes" if normalize else "no",
        "adapter, merged into the weights": "none",
        "selected checkpoint": "none (base model)",
    }


def test_card_of_an_adapted_model() -> None:
    spec = EmbedderSpec().changed(prompts={"query": "q: ", "document": "d: "})
    provenance = Provenance(
        "someone/model", adapter={"rank": 4, "alpha": 8.0}, recipe={"pairs": ["data/mine.csv", "pairs"]},
        selection={"step": 20, "criterion": "V-measure", "score": 0.41,
                   "gain": {"value": 0.06, "low": 0.031, "high": 0.089}},
    )  # fmt: skip
    rows = _rows(spec, provenance)
    assert rows["prompts"] == "query: 'q: ', document: 'd: '"
    assert rows["adapter, merged into the weights"] == "LoRA, rank 4, alpha 8.0"
    assert rows["selected checkpoint"] == "step 20, by V-measure"
    assert rows["pairs"] == "mine.csv, pairs"
    assert rows["development score"] == "0.410, gain +0.060 [+0.031, +0.089]"
    assert "\nbase_model: someone/model\n---\n" in model_card(spec, provenance, dim=32)
    assert "base_model" not in model_card(spec, Provenance("./someone/model"), dim=32)


@pytest.mark.parametrize("base", ["someone/model", "someone/model/", "model"])
def test_the_title_is_the_name_of_the_base_model(base: str) -> None:
    card = model_card(EmbedderSpec(), Provenance(base), dim=32)
    assert "# model, embedding\n" in card
    assert f"made from the decoder `{base}` with lastword" in card
