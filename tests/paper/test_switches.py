"""The list of switches: named, explained, refused where they change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lastword.errors import RequestError
from lastword.evaluation import TaskScore
from lastword.paper.as_published import published_average
from lastword.paper.switches import SWITCHES, checked_switches
from lastword.uncertainty import Score

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


def test_an_average_over_test_splits_alone_loses_tasks() -> None:
    values = {"test": 0.2, "test_2021": 0.7, "train": 0.9}
    tasks = [task(split, value) for split, value in [*values.items(), ("test", 0.4)]]
    assert published_average(tasks, ["average=test-only"]) == pytest.approx(0.3)
    assert published_average(tasks[1:3], ["average=test-only"]) is None, "no split counts"
    assert published_average(tasks, ["padding=left-assumed"]) is None


def task(split: str, value: float) -> TaskScore:
    return TaskScore("any", "default", 8, "", (split,), (Score("v_measure", value, (), (), 8, "s"),))
