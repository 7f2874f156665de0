"""Arguments that are no paths are refused by their names, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import lastword
from lastword.cache.folder import VectorCache
from lastword.errors import RequestError
from lastword.pairs import Noise, make_pairs
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


def test_a_cache_that_is_no_path_is_refused(refused: Callable[..., str]) -> None:
    assert refused(RequestError, VectorCache, 7) == "folder=7: give a path"
