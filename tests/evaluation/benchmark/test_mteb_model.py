"""mteb's name for a model, and mteb without its side effects."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from lastword.encoder import VectorRows
from lastword.evaluation.benchmark.mteb_model import MtebModel, undisturbed


def test_name_and_revision_come_from_the_identity():
    first, second = (MtebModel(VectorRows(np.full((2, 2), value))).mteb_model_meta for value in (1.0, 2.0))
    assert first.name.startswith("lastword/vectors-")
    assert first.name != second.name
    assert first.revision != second.revision
    assert len(first.revision) == 40


def test_undisturbed_silences_mteb_and_restores_its_logger():
    logger = logging.getLogger("mteb")
    before = logger.level
    with undisturbed():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.level == before


def test_undisturbed_does_not_hide_the_warnings_of_a_model():
    with pytest.warns(UserWarning, match="truncated"), undisturbed():
        warnings.warn("3 texts were truncated to 8 tokens", stacklevel=1)
