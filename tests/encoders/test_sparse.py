"""Sparse lexical vectors: the largest saturated logits of the output head, alone and beside dense vectors."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from lastword.bundled import check_encoder
from lastword.corpus.embed import check_request
from lastword.embedding import Embedder
from lastword.embedding.vocabulary import Vocabulary
from lastword.encoders import sparse as module
from lastword.encoders.by_name import load_encoder
from lastword.encoders.sparse import SparseEncoder
from lastword.errors import MissingFileError, ModelError, RequestError
from lastword.evaluation.retrieval import retrieval_score
from lastword.files.inputs import Collection
from lastword.geometry import unit

TEXTS = ["a river in the north", "the price of a house", "dogs and cats", "a"]


@pytest.fixture(scope="module")
def mini() -> Embedder:
    return Embedder.from_pretrained(
        "mini", template="eol", pooling="lasttoken", device="cpu", dtype="float32"
    )


def test_weights_are_the_largest_logits_saturated(mini: Embedder) -> None:
    vocabulary = Vocabulary.of(mini)
    assert vocabulary is not None
    logits = vocabulary.logits(mini.encode(TEXTS, normalize=False))
    logits -= logits.mean(1, keepdims=True)
    logits[:, mini.pipeline.tokenizer.hf.all_special_ids] = 0
    full = np.log1p(np.maximum(logits, 0))
    rows = SparseEncoder(mini, terms=20, expand=True).encode_sparse(TEXTS)
    for row, expected in zip(rows.toarray(), full, strict=True):
        kept = np.flatnonzero(row)
        assert len(kept) == min(20, (expected > 0).sum())
        assert np.allclose(row[kept], expected[kept], atol=1e-5)
        assert row[kept].min() >= np.delete(expected, kept).max()
    everything = SparseEncoder(mini, terms=10**6, expand=True).encode(TEXTS)
    assert np.allclose(everything, full, atol=1e-5)


TEXT = st.text(alphabet=st.sampled_from("the river House, of 7\n"), max_size=60)


@settings(max_examples=20)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_only_words_of_the_text_have_weights(mini: Embedder, texts: list[str]) -> None:
    """And these the weights that they have among all tokens."""
    expanded = SparseEncoder(mini, terms=10**6, expand=True).encode(texts)
    vectors = SparseEncoder(mini, terms=10**6).encode(texts)
    part_ids = mini.pipeline.tokenizer.part_ids
    for text, vector, full in zip(texts, vectors, expanded, strict=True):
        words = set(re.findall(r"\w+", text.lower())) - {"the", "of"} - ENGLISH_STOP_WORDS
        tokens = sorted({token for word in words for token in (*part_ids(word), *part_ids(f" {word}"))})
        assert set(np.flatnonzero(vector)) <= set(tokens)
        assert np.allclose(vector[tokens], full[tokens], atol=1e-5)


def test_stop_words_alone_give_no_weight(mini: Embedder) -> None:
    assert SparseEncoder(mini).weights(["The of and", "?!"]) == [{}, {}]
    assert np.isfinite(SparseEncoder(mini, dense=0.5).encode(["The of and"])).all()


def test_prompts_are_no_words_of_the_text(mini: Embedder) -> None:
    prompted = SparseEncoder(mini.variant(prompts={"query": "castle dragon "}), terms=10**6)
    kept = np.flatnonzero(prompted.encode_query(["a river"])[0])
    assert set(kept) <= set(prompted._tokens_of("a river"))
    assert set(np.flatnonzero(SparseEncoder(mini).encode(["castle RIVER"]))) <= set(
        prompted._tokens_of("Castle river")
    )


@pytest.mark.parametrize("dense", [0.0, 0.5])
def test_no_texts_have_no_vectors(mini: Embedder, dense: float) -> None:
    encoder = SparseEncoder(mini, dense=dense)
    assert encoder.encode([]).shape == (0, encoder.encode(["a river"]).shape[1])
    assert encoder.encode_sparse([]).shape == (0, encoder.encode_sparse(["a river"]).shape[1])


def test_windows_change_nothing(mini: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = SparseEncoder(mini).encode(TEXTS)
    monkeypatch.setattr(module, "_WINDOW", 3)
    assert np.allclose(SparseEncoder(mini).encode(TEXTS), whole, atol=1e-4)
    assert np.allclose(SparseEncoder(mini).encode(TEXTS[:1]), whole[:1], atol=1e-4)


def test_rows_of_tokens_and_weights(mini: Embedder) -> None:
    encoder = SparseEncoder(mini, terms=5)
    for weights, row in zip(encoder.weights(TEXTS), encoder.encode(TEXTS), strict=True):
        assert list(weights.values()) == sorted(weights.values(), reverse=True)
        ids = mini.pipeline.tokenizer.hf.convert_tokens_to_ids(list(weights))
        assert np.allclose(row[ids], list(weights.values()))
        assert len(weights) == np.count_nonzero(row)


@pytest.mark.parametrize("dense", [0.3, 0.5, 1.0])
def test_the_cosine_of_a_hybrid_is_the_sum_of_both(mini: Embedder, dense: float) -> None:
    texts = TEXTS[:3]  # the last one is a stop word, which has no sparse part
    hybrid = unit(SparseEncoder(mini, dense=dense).encode(texts))
    first, second = mini.encode(texts), unit(SparseEncoder(mini).encode(texts))
    expected = dense * first @ first.T + (1 - dense) * second @ second.T
    assert np.allclose(hybrid @ hybrid.T, expected, atol=1e-5)


def test_lexical_models_have_names(refused: Callable[..., str]) -> None:
    sparse, hybrid, expanded = (
        load_encoder(f"{kind}:mini", template="eol", pooling="lasttoken", device="cpu")
        for kind in ("sparse", "hybrid", "expanded")
    )
    assert isinstance(expanded, SparseEncoder)
    assert isinstance(sparse, SparseEncoder)
    assert isinstance(hybrid, SparseEncoder)
    assert (sparse.name, sparse.dense, hybrid.name, hybrid.dense) == ("sparse:mini", 0, "hybrid:mini", 0.5)
    assert (expanded.name, expanded.expand, sparse.expand) == ("expanded:mini", True, False)
    assert len({sparse.identity, hybrid.identity, expanded.identity, sparse.encoder.identity}) == 4
    for kind in ("sparse", "hybrid", "expanded"):
        check_encoder(f"{kind}:mini")
        assert "no model 'nowhere'" in refused(MissingFileError, check_encoder, f"{kind}:nowhere")
        message = refused(RequestError, check_request, f"{kind}:mini", "float32", "parquet", False, False)
        assert message.startswith(f"model='{kind}:mini' has a number for each token of the vocabulary")


def test_they_retrieve(mini: Embedder) -> None:
    documents = {str(i): ("", f"{text}, and more") for i, text in enumerate(TEXTS[:3])}
    queries = {f"q{i}": text for i, text in enumerate(TEXTS[:3])}
    collection = Collection(documents, queries, {f"q{i}": {str(i): 1} for i in range(3)}, "here")
    for dense in (0.0, 0.5):
        assert retrieval_score(SparseEncoder(mini, dense=dense), collection).value > 0.8


def test_what_has_no_sparse_vectors(
    mini: Embedder, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(RequestError, SparseEncoder, mini, terms=0) == "terms=0: give 1 or more"
    for dense in (-0.1, 1.1, float("nan")):
        assert (
            refused(RequestError, SparseEncoder, mini, dense=dense)
            == f"dense={dense}: give a share from 0 to 1"
        )
    assert refused(RequestError, SparseEncoder, mini.variant(pooling="mean+lasttoken")) == (
        "pooling 'mean+lasttoken' is wider than the states that an output head reads: sparse vectors are made with one "
        "pooling, such as lasttoken"
    )
    monkeypatch.setattr(module.Vocabulary, "of", lambda embedder: None)
    message = refused(ModelError, SparseEncoder, mini)
    assert message.startswith("mini has no output head, from which sparse vectors are made: ")
