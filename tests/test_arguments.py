"""Arguments that are no paths are refused by their names, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lastword
from lastword.cache.folder import VectorCache
from lastword.embedding.spec import checked_layer
from lastword.errors import RequestError
from lastword.pairs import Noise, make_pairs
from lastword.serving.settings import served_models
from lastword.whitening import whiten

CALLS: dict[str, Callable[[Any], Any]] = {
    "embed_corpus": lambda path: lastword.embed_corpus(["a text"], path),
    "cluster_corpus": lambda path: lastword.cluster_corpus("topics", path),
    "sweep": lambda path: lastword.sweep("mini", path, values={"rank": [4, 8]}),
    "make_pairs": lambda path: make_pairs(Noise(), "topics", path),
    "whiten": lambda path: whiten("mini", ["a", "b"], path, template="ccw", pooling="lasttoken"),
    "adapt_corpus": lambda path: lastword.adapt_corpus("topics", path),
}
OPTIONAL: dict[str, Callable[[Any], Any]] = {
    "probe": lambda path: lastword.probe("mini", "topics", output=path),
    "explain": lambda path: lastword.explain("mini", "topics", output=path),
    "benchmark": lambda path: lastword.benchmark("mini", "SIB200ClusteringS2S", output=path),
}


@pytest.mark.parametrize("value", [None, 7, ["out"], True, ""])
@pytest.mark.parametrize("name", CALLS)
def test_an_output_that_is_no_path_is_refused(name: str, value: Any, refused: Callable[..., str]) -> None:
    assert refused(RequestError, CALLS[name], value) == f"output={value!r}: give a path"


@pytest.mark.parametrize("value", [0, False, "", []])
@pytest.mark.parametrize("name", OPTIONAL)
def test_only_none_is_no_output(name: str, value: Any, refused: Callable[..., str]) -> None:
    assert refused(RequestError, OPTIONAL[name], value) == f"output={value!r}: give a path"


@pytest.mark.parametrize("value", [None, 7, ""])
def test_a_store_that_is_no_path_is_refused(value: Any, refused: Callable[..., str]) -> None:
    assert refused(RequestError, lastword.Store.open, value) == f"folder={value!r}: give a path"


@pytest.mark.parametrize("value", ["no", 1, []])
def test_a_flag_that_is_no_truth_value_is_refused(
    value: Any, refused: Callable[..., str], tmp_path: Path
) -> None:
    """A string such as "no" would replace the output."""
    (tmp_path / "out").mkdir()
    for name in ("overwrite", "resume"):
        message = refused(RequestError, lastword.embed_corpus, "topics", tmp_path / "out", **{name: value})
        assert message == f"{name}={value!r}: give True or False"


def test_numbers_that_are_no_numbers_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    message = refused(RequestError, lastword.embed_corpus, "topics", tmp_path / "out", truncate_dim="5")
    assert message == "truncate_dim='5': give a whole number"
    assert refused(RequestError, checked_layer, "2", 8) == "layer='2': give a whole number"


@pytest.mark.parametrize("value", ["mini", 3])
def test_models_to_serve_are_a_list(value: Any, refused: Callable[..., str]) -> None:
    assert refused(RequestError, served_models, value) == f"models is {type(value).__name__}: give a list"


def test_a_cache_that_is_no_path_is_refused(refused: Callable[..., str]) -> None:
    assert refused(RequestError, VectorCache, 7) == "folder=7: give a path"
