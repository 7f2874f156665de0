"""An encoder before a cache gives the vectors of the encoder, and asks for each text once."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from lastword.cache import CachedEncoder, VectorCache
from lastword.cache.encoder import _next_size
from lastword.encoders.by_name import with_batches
from lastword.errors import RequestError, WorkError
from tests.samples import WordEncoder, topic_texts


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "cache")


def test_vectors_are_those_of_the_encoder_in_the_order_of_the_texts(cache):
    texts, _ = topic_texts(40)
    texts = [*texts, texts[3], "a much longer text " * 5, texts[3]]
    plain = WordEncoder().encode(texts)
    for _ in range(2):
        np.testing.assert_array_equal(CachedEncoder(WordEncoder(), cache).encode(texts), plain)
        np.testing.assert_array_equal(CachedEncoder(WordEncoder(), cache).encode(texts[::-1]), plain[::-1])


def test_each_text_is_embedded_once(cache):
    encoder = WordEncoder()
    first = CachedEncoder(encoder, cache)
    first.encode(["one", "two", "one"])
    first.encode(["two", "three"])
    assert sorted(encoder.asked) == ["one", "three", "two"]
    assert (first.encoded, first.found) == (3, 1)
    later = WordEncoder()
    CachedEncoder(later, cache).encode(["three", "one"])
    assert later.asked == []
    other = WordEncoder("words-2")
    CachedEncoder(other, cache).encode(["three", "one"])
    assert sorted(other.asked) == ["one", "three"]


def test_no_texts_are_no_vectors(cache):
    assert len(CachedEncoder(WordEncoder(), cache).encode([])) == 0


def test_a_model_that_changes_gets_another_shelf(cache):
    encoder = WordEncoder()
    stored = CachedEncoder(encoder, cache)
    before = stored.encode(["a text"])
    encoder.identity = "words-2"
    assert not np.array_equal(stored.encode(["a text"]), before)
    encoder.identity = "words-1"
    np.testing.assert_array_equal(stored.encode(["a text"]), before)
    assert len(encoder.asked) == 2


def test_a_changed_configuration_or_tokenizer_gets_another_file(cache, load, llama_folder, tmp_path):
    texts = ["A Man is driving a car", "the river"]
    before = CachedEncoder(load(), cache).encode(texts)
    changes = {
        "rope": ("config.json", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        "eps": ("config.json", {"rms_norm_eps": 0.1}),
        "activation": ("config.json", {"hidden_act": "gelu"}),
        "tokenizer": ("tokenizer.json", {"normalizer": {"type": "Lowercase"}}),
    }
    for name, (file, change) in changes.items():
        folder = shutil.copytree(llama_folder, tmp_path / name)
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
        cached = CachedEncoder(load(folder), cache)
        vectors = cached.encode(texts)
        assert cached.found == 0, name
        assert np.abs(vectors - before).max() > 1e-4, name
    again = CachedEncoder(load(shutil.copytree(llama_folder, tmp_path / "copy")), cache)
    np.testing.assert_array_equal(again.encode(texts), before)
    assert again.encoded == 0


def test_vectors_that_are_no_numbers_are_not_kept(cache):
    class Broken(WordEncoder):
        def encode(self, texts):
            return super().encode(texts) * np.nan

    with pytest.raises(WorkError, match="not finite"):
        CachedEncoder(Broken(), cache).encode(["a text"])
    assert [one.vectors for one in cache.info()] == [0]


def test_what_was_embedded_before_an_error_is_kept(cache):
    class Failing(WordEncoder):
        def encode(self, texts):
            if len(self.asked) >= 256:
                raise KeyboardInterrupt
            return super().encode(texts)

    texts = [f"text number {number}" for number in range(600)]
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(Failing(), cache).encode(texts)
    again = WordEncoder()
    CachedEncoder(again, cache).encode(texts)
    assert len(again.asked) == 600 - 256


def test_name_and_spec_are_those_of_the_encoder(cache, load):
    embedder = load(template="ccw", pooling="lasttoken")
    stored = CachedEncoder(embedder, cache)
    assert (stored.name, stored.identity) == (embedder.name, embedder.identity)
    assert stored.spec is embedder.spec
    assert CachedEncoder(WordEncoder(), cache).spec is None
    texts = ["a man is driving a car", "the river was low"]
    np.testing.assert_allclose(stored.encode(texts), embedder.encode(texts), atol=1e-6)
    np.testing.assert_allclose(stored.encode(texts), embedder.encode(texts), atol=1e-6)


def test_one_pass_keeps_the_vectors_of_other_poolings_too(cache, load):
    embedder = load(template="ccw", pooling="lasttoken")
    texts = ["a man is driving a car", "the river was low", "a man is driving a car"]
    stored = CachedEncoder(with_batches(embedder, 64, ["mean", "eos", "lasttoken"]), cache)
    np.testing.assert_allclose(stored.encode(texts), embedder.encode(texts), atol=1e-6)
    assert sorted(one.vectors for one in cache.info()) == [2, 2, 2]
    for pooling in ("mean", "eos"):
        later = CachedEncoder(load(template="ccw", pooling=pooling), cache)
        np.testing.assert_allclose(later.encode(texts), later.encoder.encode(texts), atol=1e-6)
        assert (later.encoded, later.found) == (0, 2)


def test_a_model_without_poolings_cannot_keep_others():
    with pytest.raises(RequestError, match=r"also_poolings=\['mean'\]: words has no poolings; leave it out"):
        with_batches(WordEncoder(), None, ["mean"])


def test_batches_take_about_as_long_as_a_kill_may_cost():
    assert _next_size(256, 1.0) == 5120
    assert _next_size(256, 0.0) == 16_384
    assert _next_size(256, 1000.0) == 32
