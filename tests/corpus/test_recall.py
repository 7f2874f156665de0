"""What a search finds of the nearest rows where vectors are stored in fewer bits."""

from __future__ import annotations

import numpy as np
import pytest

from lastword.corpus.vectors import recall
from lastword.geometry import unit

RNG = np.random.default_rng(0)
VECTORS = unit(RNG.normal(size=(400, 32)).astype(np.float32))
QUERIES = unit(RNG.normal(size=(20, 32)).astype(np.float32))


def test_float32_loses_nothing() -> None:
    assert recall(VECTORS, QUERIES, "float32") == (1, 1)


@pytest.mark.parametrize("dtype", ["int8", "binary"])
def test_rescoring_finds_no_less_and_all_of_all_candidates(dtype: str) -> None:
    without, rescored = recall(VECTORS, QUERIES, dtype)
    assert 0.2 < without <= rescored <= 1
    assert recall(VECTORS, QUERIES, dtype, candidates=40) == (without, 1), "every row is a candidate"
    assert recall(VECTORS, QUERIES, dtype, candidates=1)[1] == without, "the same rows in another order"


def test_single_bits_cost_more_than_int8() -> None:
    assert recall(VECTORS, QUERIES, "binary")[0] < recall(VECTORS, QUERIES, "int8")[0]
