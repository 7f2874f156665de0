"""Every text gets its own vector, once worked out, and vectors without a text get a row number."""

from __future__ import annotations

import numpy as np
import pytest

from lastword.encoder import VectorRows, encode_distinct
from lastword.errors import RequestError, WorkError
from tests.samples import TableEncoder


def test_repeated_texts_are_encoded_once_and_come_back_in_order():
    encoder = TableEncoder({"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])})
    assert encode_distinct(encoder, ["b", "a", "b"]).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert encoder.asked == ["b", "a"]


def test_rows_are_found_by_number_in_any_order():
    rows = VectorRows(np.arange(6.0).reshape(3, 2))
    assert rows.texts == ["0", "1", "2"]
    assert rows.encode(["2", "0"]).tolist() == [[4, 5], [0, 1]]


def test_identity_follows_values_shape_and_type():
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    changed = vectors.copy()
    changed[2, 1] += 1e-3
    others = [changed, vectors.reshape(2, 3), vectors.view(np.int32)]
    assert VectorRows(vectors).identity == VectorRows(vectors.copy()).identity
    assert len({VectorRows(each).identity for each in [vectors, *others]}) == 4


def test_vectors_must_be_a_table():
    with pytest.raises(RequestError) as caught:
        VectorRows(np.zeros((2, 3, 4)))
    assert str(caught.value) == "vectors have shape (2, 3, 4): give one row per text, (n, dim)"


def test_an_encoder_that_loses_texts_is_found_out():
    class Forgetful(TableEncoder):
        def encode(self, texts):
            return super().encode(texts)[:1]

    with pytest.raises(WorkError) as caught:
        encode_distinct(Forgetful({"a": np.ones(2), "b": np.ones(2)}), ["a", "b"])
    assert str(caught.value) == "the model returned an array of shape (1, 2) for 2 texts, not one row each"
