"""A grid gives what each combination gives when encoded alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastword.embedding import Embedder
from lastword.embedding.forward.tree import Tree
from lastword.embedding.grid import GridPoint
from lastword.errors import RequestError, TemplateError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEMPLATES = ["none", "eol", "sum", "ccw", "ccp", 'This sentence: "{text}" means in one line:']
POOLINGS = ["mean", "lasttoken", "eos", "max", "weightedmean", "cls", "mean:text", "lasttoken:text"]
TEXTS = [
    "a man is driving a car",
    "the river was low",
    "a cat",
    "a cat",
    "Größe, naïve café, 東京 🚀",
    "A long text goes on and is cut where it ends. " * 12,
    "so it ends at about the length where only some templates have to cut it, and others still do not " * 2,
]


def _alone(embedder: Embedder, texts: list[str], point: GridPoint) -> np.ndarray:
    variant = embedder.variant(template=point.template).variant(layer=point.layer)
    return variant.encode_poolings(texts, [point.pooling])[point.pooling]


@pytest.mark.parametrize("folder", ["llama_folder", "qwen_folder", "gpt2_folder"])
def test_equal_to_each_combination_alone(folder: str, load: Load, request: pytest.FixtureRequest) -> None:
    embedder = load(request.getfixturevalue(folder))
    grid = embedder.encode_grid(TEXTS, TEMPLATES, POOLINGS, [0, 1, 2], batch_tokens=200)
    assert len(grid) == len(TEMPLATES) * len(POOLINGS) * 3
    for point, vectors in grid.items():
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, _alone(embedder, TEXTS, point), atol=1e-5, err_msg=str(point))


@given(
    suffixes=st.lists(st.text("abc :", max_size=5), min_size=1, max_size=6, unique=True),
    texts=st.lists(st.text("abcdef ", min_size=1, max_size=30), min_size=1, max_size=4),
)
@settings(max_examples=25)
def test_any_suffixes_behind_any_texts(suffixes: list[str], texts: list[str], load: Load) -> None:
    embedder = load()
    templates = [f"t {{text}}{suffix}" for suffix in suffixes]
    for point, vectors in embedder.encode_grid(texts, templates, ["lasttoken", "mean"]).items():
        np.testing.assert_allclose(vectors, _alone(embedder, texts, point), atol=1e-5, err_msg=str(point))


@pytest.mark.parametrize("poolings", [["lasttoken"], ["eos"], ["lasttoken", "eos"]])
def test_single_tokens_of_the_last_layer(poolings: list[str], load: Load) -> None:
    embedder = load()
    for point, vectors in embedder.encode_grid(TEXTS, TEMPLATES, poolings).items():
        np.testing.assert_allclose(vectors, _alone(embedder, TEXTS, point), atol=1e-5, err_msg=str(point))


def test_own_pooling_and_layer_unless_told(load: Load) -> None:
    embedder = load(pooling="weightedmean", layer=1)
    (point,) = embedder.encode_grid(["a cat"], ["ccw"])
    assert point == GridPoint("ccw", "weightedmean", 1)


def test_a_template_without_a_name_is_called_by_its_text(load: Load) -> None:
    (point,) = load().encode_grid(["a cat"], ["see {text} there"])
    assert point.template == "see {text} there"


def test_seams_that_merge_are_kept(load: Load) -> None:
    from lastword.embedding import Template

    embedder = load()
    merged = Template.parse("eol", boundary="string")
    ((_, vectors),) = embedder.encode_grid(TEXTS, [merged], ["mean"]).items()
    np.testing.assert_allclose(vectors, embedder.variant(template=merged).encode(TEXTS), atol=1e-5)


def test_what_cannot_be_is_refused(load: Load, refused: Refused) -> None:
    embedder = load()
    assert "unknown template 'cwc'" in refused(TemplateError, embedder.encode_grid, ["a"], ["cwc"])
    assert "layer=3: this model has hidden states 0 … 2" in refused(
        RequestError, embedder.encode_grid, ["a"], ["ccw"], ["mean"], [3]
    )
    assert "text 0 is int, not str" in refused(RequestError, embedder.encode_grid, [7], ["ccw"])
    message = refused(RequestError, embedder.encode_grid, "a cat", ["ccw"])
    assert message == "encode_grid takes a list of texts, not one string: put it into a list"


def test_common_beginnings_are_one_branch() -> None:
    tree = Tree.of([[1, 2, 3], [1, 2, 4], [5], [], [1, 2]])
    assert (tree.ids, tree.parents, tree.depths) == ([1, 2, 3, 4, 5], [-1, 0, 1, 1, -1], [0, 1, 2, 2, 0])
    assert tree.paths == [[0, 1, 2], [0, 1, 3], [4], [], [0, 1]]


def test_nothing_shared_between_calls_of_different_length(load: Load, llama_folder: Path) -> None:
    embedder = load(max_tokens=40)
    for point, vectors in embedder.encode_grid(TEXTS, ["eol", "ccw"], ["lasttoken"]).items():
        np.testing.assert_allclose(vectors, _alone(embedder, TEXTS, point), atol=1e-5)
