"""The list of switches: named, explained, refused where they change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lastword.errors import RequestError
from lastword.paper.as_published import average_score
from lastword.paper.switches import SWITCHES, checked_switches

Refused = Callable[..., str]


def test_names_come_in_one_order() -> None:
    assert checked_switches(["bos=eval-only", "negatives=micro"]) == ("negatives=micro", "bos=eval-only")
    assert checked_switches([]) == ()
    assert checked_switches(["all"]) == tuple(SWITCHES)
    assert checked_switches(["all"], where=["evaluation"]) == ("padding=left-assumed",)


def test_unknown_and_idle_names(refused: Refused) -> None:
    assert refused(RequestError, checked_switches, ["padding=left"]) == (
        "unknown switch 'padding=left': did you mean 'padding=left-assumed'? Known: negatives=micro, "
        "accumulation=sum, bos=eval-only, template=split, eos=space, padding=left-assumed, train_tokens=100, "
        "header_row=keep, average=test-only, all"
    )
    assert refused(RequestError, checked_switches, ["average=test-only"], ["evaluation"]) == (
        "as_published='average=test-only' changes the report and not the evaluation: leave it out"
    )


@pytest.mark.parametrize("name", SWITCHES)
def test_each_is_explained(name: str) -> None:
    switch = SWITCHES[name]
    assert switch.name == name
    assert switch.published
    assert switch.instead
    assert ".py" in switch.source


def test_an_average_over_test_splits_alone_loses_tasks(refused: Refused) -> None:
    rows = [
        {"score": 0.2, "split": "test"}, {"score": 0.4, "split": "test"}, {"score": 0.9, "split": "train"},
        {"score": 0.7, "split": "test_2021"},
    ]  # fmt: skip
    assert average_score(rows) == pytest.approx(0.55)
    assert average_score(rows, ["average=test-only"]) == pytest.approx(0.3)
    assert refused(RequestError, average_score, rows[2:], ["average=test-only"]) == (
        "2 scores, none of a split that counts: there is no average"
    )
