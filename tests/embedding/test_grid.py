"""A grid gives what each combination gives when encoded alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lastword.embedding import Embedder, Template, grid
from lastword.embedding.forward.fused.forward import FusedForward
from lastword.embedding.forward.stock import StockForward
from lastword.embedding.forward.tree import Tree
from lastword.embedding.grid import GridPoint
from lastword.embedding.tokens import Batch
from lastword.errors import RequestError, TemplateError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEMPLATES = [
    "none",
    "eol",
    "sum",
    "ccw",
    "ccp",
    "echo",
    'This sentence: "{text}" means in one line:',
    "ccw+ccp",
]
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


@pytest.mark.parametrize("folder", ["llama_folder", "gpt2_folder"])
def test_means_of_layers_and_concatenations(folder: str, load: Load, request: pytest.FixtureRequest) -> None:
    embedder = load(request.getfixturevalue(folder), normalize=False)
    poolings = ["lasttoken:2layers", "mean:text+eos", "max:2layers+mean", "mean:3layers", "mean"]
    grid = embedder.encode_grid(TEXTS, ["ccw", "eol", "ccp"], poolings, [2], batch_tokens=200)
    for point, vectors in grid.items():
        np.testing.assert_allclose(vectors, _alone(embedder, TEXTS, point), atol=1e-5, err_msg=str(point))
    for name in ("ccw", "ccp"):
        of_layers = [
            embedder.variant(template=name, pooling="mean", layer=layer).encode(TEXTS) for layer in range(3)
        ]
        averaged = grid[GridPoint(name, "mean:3layers", 2)]
        np.testing.assert_allclose(averaged, np.mean(of_layers, axis=0), atol=1e-5)


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
    templates = ["eol", Template.parse("eol", boundary="string"), "eol"]
    assert refused(RequestError, embedder.encode_grid, ["a"], templates) == (
        "2 different templates are called 'eol': give one of them at a time"
    )
    assert "text 0 is int, not str" in refused(RequestError, embedder.encode_grid, [7], ["ccw"])
    assert refused(RequestError, embedder.encode_grid, ["a"], ["ccw"], ["mean:2layers"], [2, 0]) == (
        "pooling 'mean:2layers' averages 2 hidden states: up to layer 0 there are 1"
    )


def test_common_beginnings_are_one_branch() -> None:
    tree = Tree.of([[1, 2, 3], [1, 2, 4], [5], [], [1, 2]])
    assert (tree.ids, tree.parents, tree.depths) == ([1, 2, 3, 4, 5], [-1, 0, 1, 1, -1], [0, 1, 2, 2, 0])
    assert tree.paths == [[0, 1, 2], [0, 1, 3], [4], [], [0, 1]]


def test_nothing_shared_between_calls_of_different_length(load: Load, llama_folder: Path) -> None:
    embedder = load(max_tokens=40)
    for point, vectors in embedder.encode_grid(TEXTS, ["eol", "ccw"], ["lasttoken"]).items():
        np.testing.assert_allclose(vectors, _alone(embedder, TEXTS, point), atol=1e-5)


LONG = "A long text goes on and is cut where it ends, and some more words come after it. " * 8
PARTS = ("", ':"', ":", '" means in one long word or two:', '" means in one line, and after that:')
SHARED = [f'see "{{text}}{part}' for part in PARTS]  # begin alike, and leave texts of different lengths


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, sizes: list[int]) -> None:
    """Note the number of rows of every pass."""
    call = getattr(owner, name)

    def count(self: object, batch: Batch, *args: object) -> object:
        sizes.append(len(batch.lengths))
        return call(self, batch, *args)

    monkeypatch.setattr(owner, name, count)


@pytest.mark.parametrize(
    ("texts", "passes"),
    [
        (["a cat", "the river was low"], 1),
        ([LONG, LONG + "x", "b " + LONG], 1),  # every template truncates them
        ([LONG, "a cat"], 2),
        ([" ".join(LONG.split()[:count]) for count in (14, 15, 16, 17, 18, 19, 20)], 2),  # some templates do
    ],
)
@pytest.mark.parametrize("poolings", [["lasttoken"], ["mean", "lasttoken", "eos", "mean:text"]])
def test_templates_and_layers_share_a_pass_over_truncated_texts_too(
    texts: list[str], passes: int, poolings: list[str], load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, sizes = load(max_tokens=60), list[int]()
    layers = [2] if len(poolings) == 1 else [0, 1, 2]
    budgets = {embedder.variant(template=name).pipeline.compiled.budget for name in SHARED}
    assert len(budgets) > 1
    expected = {
        point: _alone(embedder, texts, point)
        for point in embedder.encode_grid(["a"], SHARED, poolings, layers)
    }
    for name in ("branches", "branch_ends", "hidden", "last"):
        counted(monkeypatch, FusedForward, name, sizes)
    grid = embedder.encode_grid(texts, SHARED, poolings, layers)
    assert len(sizes) <= passes, "a pass for each template or layer"
    assert sum(sizes) == len(texts)
    for point, vectors in grid.items():
        np.testing.assert_allclose(vectors, expected[point], atol=1e-5, err_msg=str(point))


def test_batches_of_the_stock_path_are_as_small_as_asked_for(
    load: Load, gpt2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, sizes = load(gpt2_folder), list[int]()
    counted(monkeypatch, StockForward, "hidden", sizes)
    embedder.encode_grid(["a cat", "the river was low"], SHARED, ["mean", "eos"], batch_tokens=1)
    assert sizes == [1] * 2 * len(SHARED)


@pytest.mark.parametrize("fixture", ["llama_folder", "gpt2_folder"])
def test_progress_ends_at_all_texts_in_all_templates(
    fixture: str, load: Load, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    steps: list[float] = []

    @contextmanager
    def progress(work: str, total: int) -> Iterator[Callable[[float], None]]:
        yield steps.append
        assert sum(steps) == total == 3 * len(SHARED)

    monkeypatch.setattr(grid, "progress", progress)
    load(request.getfixturevalue(fixture), max_tokens=60).encode_grid(["a cat", LONG, "", "a cat"], SHARED)
    assert steps


@pytest.mark.parametrize("texts", [["a cat", "the river was low"], [LONG, "b " + LONG]])
def test_the_stock_path_runs_once_for_each_template(
    texts: list[str], load: Load, gpt2_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, sizes = load(gpt2_folder, max_tokens=60), list[int]()
    counted(monkeypatch, StockForward, "hidden", sizes)
    embedder.encode_grid(texts, SHARED, ["mean", "lasttoken", "eos"], [0, 1, 2])
    assert sizes == [2] * len(SHARED)


def test_truncated_texts_are_counted_once(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    load(max_tokens=60).encode_grid([LONG, "a cat", LONG], SHARED, ["mean"])
    assert [record.message for record in caplog.records] == ["1 of 2 texts were truncated to 60 tokens"]


def test_a_node_sees_as_much_of_a_row_as_its_template_leaves() -> None:
    tree = Tree.of([[1, 2], [1, 2, 3], [4]], [5, 3, 5])
    assert (tree.ids, tree.limits) == ([1, 2, 1, 2, 3, 4], [5, 5, 3, 3, 3, 5])
    sees = tree.sees(4, torch.device("cpu"))
    assert sees.shape == (6, 10)
    assert sees[:, :4].sum(1).tolist() == [4, 4, 3, 3, 3, 4]
    assert sees[4, 4:].tolist() == [False, False, True, True, True, False]
