"""Prompts for queries and documents: before the text, inside the template, and the same in sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from lastword.cache import CachedEncoder, VectorCache
from lastword.embedding import Embedder
from lastword.errors import RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
PROMPTS = {"query": "search query: ", "document": "Prices: "}
TEXTS = ["a man is driving", "  the river was low ", "", "a car, " * 60]


@pytest.mark.parametrize("pooling", ["lasttoken", "mean", "eos"])
def test_a_prompt_is_put_before_the_text(load: Load, pooling: str) -> None:
    embedder = load(template="ccw", pooling=pooling, prompts=PROMPTS)
    prompted = [PROMPTS["query"] + text for text in TEXTS]
    np.testing.assert_array_equal(embedder.encode_query(TEXTS), embedder.encode(prompted))
    np.testing.assert_array_equal(embedder.encode(TEXTS, prompt_name="query"), embedder.encode(prompted))
    assert np.abs(embedder.encode_document(TEXTS) - embedder.encode_query(TEXTS)).max() > 0.01
    assert embedder.encode_query("a man").shape == (32,)
    streamed = np.concatenate(list(embedder.encode_stream(TEXTS, prompt_name="query")))
    np.testing.assert_array_equal(streamed, embedder.encode_query(TEXTS))


def test_without_prompts_all_are_alike(load: Load, refused: Refused) -> None:
    embedder = load(template="ccw")
    for encode in (embedder.encode_query, embedder.encode_document):
        np.testing.assert_array_equal(encode(TEXTS), embedder.encode(TEXTS))
    assert refused(RequestError, embedder.encode, TEXTS, prompt_name="query") == (
        "unknown prompt 'query': there are no prompts"
    )


@pytest.mark.parametrize("pooling", ["lasttoken", "mean"])
def test_sentence_transformers_does_the_same(load: Load, tmp_path: Path, pooling: str) -> None:
    embedder = load(template="ccw", pooling=pooling, prompts=PROMPTS)
    folder = embedder.save(tmp_path / "model")
    other = SentenceTransformer(str(folder), device="cpu")
    assert other.prompts == PROMPTS
    for mine, theirs in (
        (embedder.encode_query, other.encode_query),
        (embedder.encode_document, other.encode_document),
    ):
        np.testing.assert_allclose(theirs(TEXTS), mine(TEXTS), atol=2e-6)
    np.testing.assert_allclose(other.encode(TEXTS), embedder.encode(TEXTS), atol=2e-6)
    again = load(folder)
    assert again.spec.prompts == PROMPTS
    np.testing.assert_allclose(again.encode_query(TEXTS), embedder.encode_query(TEXTS), atol=1e-6)


def test_the_cache_keeps_prompts_apart(load: Load, tmp_path: Path) -> None:
    """The same model, template and texts, and another prompt for queries."""
    cache = VectorCache(tmp_path)
    for prompts in (PROMPTS, {"query": "the question: "}, {}):
        embedder = load(template="ccw", prompts=prompts)
        cached = CachedEncoder(embedder, cache).encode_query(TEXTS)
        np.testing.assert_allclose(cached, embedder.encode_query(TEXTS), atol=1e-6)


def test_the_cache_keeps_queries_apart(load: Load, tmp_path: Path) -> None:
    embedder, cache = load(template="ccw", prompts=PROMPTS), VectorCache(tmp_path)
    encoder = CachedEncoder(embedder, cache)
    for _ in range(2):
        np.testing.assert_allclose(encoder.encode_query(TEXTS), embedder.encode_query(TEXTS), atol=1e-6)
        np.testing.assert_allclose(encoder.encode_document(TEXTS), embedder.encode_document(TEXTS), atol=1e-6)
        np.testing.assert_allclose(encoder.encode(TEXTS), embedder.encode(TEXTS), atol=1e-6)
    assert (encoder.encoded, encoder.found) == (3 * len(TEXTS), 3 * len(TEXTS))
