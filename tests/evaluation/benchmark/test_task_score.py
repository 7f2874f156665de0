"""What a score is worth, and when two are two."""

from __future__ import annotations

import dataclasses
import math

import pytest

from lastword.evaluation import TaskScore, differs

PLAIN = TaskScore("default", "v_measure", 0.5, 0.01, 2000, 2000, "Task", (0.5,))


def scored(score: float, **changes: object) -> TaskScore:
    return dataclasses.replace(PLAIN, score=score, **changes)


def test_a_difference_must_leave_the_band():
    band = 2 * math.hypot(0.01, 0.01)
    assert differs(PLAIN, scored(0.5 + band + 1e-6))
    assert not differs(PLAIN, scored(0.5 + band - 1e-6))
    assert differs(scored(0.5 - band - 1e-6), PLAIN)
    assert not differs(PLAIN, PLAIN)


def test_a_draw_of_documents_widens_the_band():
    drawn = scored(0.5, n=81, documents=2048)
    assert drawn.deviation == pytest.approx(math.hypot(0.01, 0.5 / 9))
    assert not differs(drawn, scored(0.6, n=81, documents=2048))
    assert differs(scored(0.5, n=81, documents=81), scored(0.6, n=81, documents=81))
    assert differs(drawn, scored(0.9, n=81, documents=2048))


def test_other_seeds_tell_the_width_themselves():
    tried = scored(0.5, n=81, documents=2048, seed_scores=(0.5, 0.52, 0.48))
    assert tried.spread == pytest.approx(0.02)
    assert tried.deviation == pytest.approx(0.02)
    assert scored(0.5, std=0.3, seed_scores=(0.5, 0.52, 0.48)).deviation == pytest.approx(0.02)
    assert scored(0.5, std=0.3, seed_scores=(0.5, 0.52)).deviation == 0.3
    assert PLAIN.spread is None


def test_few_documents_are_marked():
    assert scored(0.5, n=81, documents=2048).few_documents
    assert not scored(0.5, n=81, documents=81).few_documents
    assert not scored(0.5, n=1500, documents=37_500).few_documents
    facts = scored(0.5, n=81, documents=2048).as_dict()
    assert (facts["few_documents"], facts["spread"], facts["seed_scores"]) == (True, None, [0.5])


def test_scores_of_two_tasks_do_not_compare():
    with pytest.raises(
        ValueError, match=r"^Task \(default, v_measure\) and Other \(default, v_measure\) do not"
    ):
        differs(PLAIN, scored(0.9, task="Other"))
