"""The setting: the recipe's, unless enough development texts show that another is better."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from lastword.adaptation import choosing
from lastword.adaptation.choosing import LEAST_TEXTS, Choice, Setting, choose
from lastword.adaptation.texts import Part
from lastword.config import TrainConfig
from lastword.files.run_folder import write_json
from lastword.probing.result import FILE, Option, ProbeFacts, ProbeResult
from lastword.uncertainty import Score

RECIPE = ("ccw", "lasttoken", 8)
CONFIG = TrainConfig(template="ccw", pooling="lasttoken")
EMBEDDER = cast(Any, SimpleNamespace(backbone=SimpleNamespace(layers=8)))
FACTS = ProbeFacts("m", "the list", 9, 9, 2, None, None, None, 0, 0.0)


def part(texts: int) -> Part:
    return Part([f"text {n}" for n in range(texts)], [f"label {n % 2}" for n in range(texts)])


class Probe:
    """Scores by a table; the best `compared` options have replicates, which vary by `spread`."""

    def __init__(self, values: dict[tuple[str, str, int], float], spread: float, compared: int = 20) -> None:
        self.values, self.spread, self.compared = values, spread, compared
        self.calls: list[dict[str, Any]] = []

    def __call__(self, embedder: Any, texts: list[str], **settings: Any) -> ProbeResult:
        self.calls.append(settings)
        tried = [
            (template, pooling, layer)
            for template in settings["templates"] for pooling in settings["poolings"] for layer in settings["layers"]
        ]  # fmt: skip
        best = sorted(tried, key=lambda key: -self.values.get(key, 0.1))[: self.compared]
        options = []
        for number, key in enumerate(tried):
            value = self.values.get(key, 0.1)
            halves = np.random.default_rng(number).normal(value, self.spread, 24)
            resamples = tuple((float(half),) for half in halves) if key in best else ()
            options.append(
                Option(*key, {"v_measure": Score("v_measure", value, (), resamples, len(texts), "s")})
            )
        return ProbeResult(tuple(options), "v_measure", FACTS)


def chosen(probe: Probe, texts: int, monkeypatch: pytest.MonkeyPatch, *, again: bool = False) -> Choice:
    monkeypatch.setattr(choosing, "probe", probe)
    choice = choose(EMBEDDER, CONFIG, part(texts), 0, None, Path("nowhere"), again=again)
    assert Choice.from_dict(choice.to_dict()) == choice
    return choice


BETTER = {("sum", "mean", 7): 0.5, RECIPE: 0.4}


def test_few_texts_leave_the_setting_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much better another one would score on them; nothing is computed for it."""
    probe = Probe(BETTER, 0.001)
    choice = chosen(probe, LEAST_TEXTS - 1, monkeypatch)
    assert choice.chosen == Setting("ccw", "lasttoken", None)
    assert not choice.enough
    assert not probe.calls
    assert "99 development texts are too few to choose by, 100 are needed" in choice.reason


def test_a_model_that_was_trained_before_keeps_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much better another one would score; there are enough texts for labels to choose the checkpoint."""
    probe = Probe(BETTER, 0.001)
    choice = chosen(probe, LEAST_TEXTS, monkeypatch, again=True)
    assert choice.chosen == Setting("ccw", "lasttoken", None)
    assert choice.enough
    assert not probe.calls
    assert choice.reason == "It is the one that the model was trained with before."


def test_a_setting_that_is_seen_to_be_better_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Probe(BETTER, 0.001), LEAST_TEXTS, monkeypatch)
    assert choice.chosen == Setting("sum", "mean", 7)
    assert choice.reason.startswith(
        "It scored higher than the recipe's ccw, lasttoken before training, by +10.0"
    )


def test_one_that_is_not_distinguishable_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Probe(BETTER, 0.2), 150, monkeypatch)
    assert choice.chosen == choice.recipe != choice.best == Setting("sum", "mean", 7)
    assert "150 development texts do not show that it is better (+10.0" in choice.reason


def test_the_best_may_be_that_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Probe({RECIPE: 0.4}, 0.001), 150, monkeypatch)
    assert choice.chosen == choice.recipe == choice.best
    assert choice.gain is None
    assert "scored highest of 24 before training" in choice.reason


@pytest.mark.parametrize(("spread", "left"), [(0.001, True), (0.5, False)])
def test_a_recipe_far_from_the_best_is_compared_all_the_same(
    spread: float, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A low rank is no proof: on few texts the ranks of all settings are chance."""
    values = {(template, "mean", layer): 0.5 for template in ("none", "sum") for layer in (6, 7, 8)}
    probe = Probe({**values, RECIPE: 0.3}, spread, compared=4)
    choice = chosen(probe, 150, monkeypatch)
    assert len(probe.calls) == 2
    assert choice.gain is not None
    assert (choice.chosen != choice.recipe) == left


def test_an_interrupted_choice_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings that were scored are not scored again."""
    values = {(template, "mean", layer): 0.5 for template in ("none", "sum") for layer in (6, 7, 8)}
    probe = Probe({**values, RECIPE: 0.3}, 0.001, compared=4)
    whole = chosen(probe, 150, monkeypatch)
    probe.calls.clear()

    def writes(embedder: Any, texts: list[str], **settings: Any) -> ProbeResult:
        result = probe(embedder, texts, **settings)
        if len(probe.calls) == 2:
            raise KeyboardInterrupt
        settings["output"].mkdir()
        write_json(settings["output"] / FILE, result.to_dict())
        return result

    monkeypatch.setattr(choosing, "probe", writes)
    with pytest.raises(KeyboardInterrupt):
        choose(EMBEDDER, CONFIG, part(150), 0, None, tmp_path)
    again = choose(EMBEDDER, CONFIG, part(150), 0, None, tmp_path)
    assert again == whole
    assert [sorted(call["layers"]) for call in probe.calls] == [[6, 7, 8], [6, 8], [6, 8]]
