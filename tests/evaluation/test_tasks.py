"""What mteb is told about a model, and what it is kept from doing."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

from lastword.encoder import VectorRows
from lastword.evaluation import tasks
from tests.samples import clouds


def test_a_model_is_filed_under_its_identity():
    one, other = (tasks.MtebModel(VectorRows(np.full((2, 2), value))).mteb_model_meta for value in (1.0, 2.0))
    assert one.name.startswith("lastword/vectors-")
    assert one.name != other.name
    assert one.revision != other.revision
    assert len(one.revision) == 40


def test_mteb_itself_gives_the_same_score():
    """`mteb.evaluate`, the way round that we do not take."""
    import mteb

    vectors, labels = clouds(50, labels=3, spread=6.0)
    codes = [int(label[-1]) for label in labels]
    rows = VectorRows(vectors)
    task = tasks.LocalClustering(rows.texts, codes, 42, 500)
    ours = tasks.run_serially(tasks.LocalClustering(rows.texts, codes, 42, 500), rows)
    with tasks.undisturbed():
        result = mteb.evaluate(tasks.MtebModel(rows), task, cache=None, show_progress_bar=False)
    assert result.task_results[0].get_score() == pytest.approx(ours["v_measure"], abs=1e-9)


def test_undisturbed_silences_mteb_and_puts_its_logger_back():
    logger = logging.getLogger("mteb")
    before = logger.level
    with tasks.undisturbed():
        assert not logger.isEnabledFor(logging.WARNING)
    assert logger.level == before


def test_undisturbed_lets_the_warnings_of_a_model_through():
    with pytest.warns(UserWarning, match="lost their end"), tasks.undisturbed():
        warnings.warn("3 texts lost their end", stacklevel=1)
