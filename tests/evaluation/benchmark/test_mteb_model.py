"""What mteb is told about a model, and what it is kept from doing."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from lastword.encoder import VectorRows
from lastword.evaluation.benchmark.mteb_model import MtebModel, undisturbed


def test_a_model_is_filed_under_its_identity():
    first, second = (MtebModel(VectorRows(np.full((2, 2), value))).mteb_model_meta for value in (1.0, 2.0))
    assert first.name.startswith("lastword/vectors-")
    assert first.name != second.name
    assert first.revision != second.revision
    assert len(first.revision) == 40


def test_undisturbed_silences_mteb_and_puts_its_logger_back():
    logger = logging.getLogger("mteb")
    before = logger.level
    with undisturbed():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.level == before


def test_undisturbed_lets_the_warnings_of_a_model_through():
    with pytest.warns(UserWarning, match="lost their end"), undisturbed():
        warnings.warn("3 texts lost their end", stacklevel=1)
