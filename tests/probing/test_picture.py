"""The heat map is well-formed and shows every option; the table says which are not distinguishable."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from lastword.probing import Option, ProbeFacts, ProbeResult
from lastword.probing.picture import panels_of, render
from lastword.probing.table import probe_table, shortened
from lastword.uncertainty import HALVES, Score

FACTS = ProbeFacts(
    model="mini", data="tickets <1>.csv", texts=500, available=8000, labels=3, few_shot_texts=90,
    samples_per_label=8, bootstrap_size=1024, seed=0, seconds=1.0,
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def score(metric: str, value: float, seed: int = 0, spread: float = 0.012) -> Score:
    """With draws and resamples of its own, so that a difference of two has 1.4 times the spread."""
    rng = np.random.default_rng([seed, *metric.encode()])
    draws = value + 0.03 * rng.permutation(np.linspace(-1, 1, 10))
    halves = value + spread * rng.permutation(np.linspace(-1.7, 1.7, HALVES))[:, None]
    resamples = tuple(map(tuple, halves.tolist()))
    return Score(metric, value, tuple(draws.tolist()), resamples, 500, "texts", chance=0.02, ami=value - 0.02)


def result(layers: int = 2, ranked_by: str = "v_measure", **facts: object) -> ProbeResult:
    """Rising by template, pooling and layer, so that the best is the last; the others are compared down to "ccw"."""
    options = []
    for i, template in enumerate(["none", "ccw", 'Is "{text}" & <b> so?']):
        for j, pooling in enumerate(["mean", "lasttoken"]):
            for layer in range(layers):
                value = 0.2 + 0.1 * i + 0.03 * j + 0.001 * layer
                values = {"v_measure": value, "stability": value / 2, "alignment": 1 - value}
                scores = {name: score(name, x, seed=len(options)) for name, x in values.items()}
                for name in scores if i == 0 else {"stability", "alignment"}:
                    scores[name] = replace(scores[name], resamples=())
                options.append(Option(template, pooling, layer, scores))
    return ProbeResult(tuple(options), ranked_by, replace(FACTS, **facts))  # type: ignore[arg-type]


def texts_of(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_every_option_is_a_cell_with_its_number() -> None:
    picture = render(result())
    cells = [
        e for e in ElementTree.fromstring(picture).iter(f"{SVG}rect") if e.find(f"{SVG}title") is not None
    ]
    assert len(cells) == 3 * 2 * 2
    titles = {cell.find(f"{SVG}title").text for cell in cells}  # type: ignore[union-attr]
    assert "ccw, lasttoken, layer 1: 33.1" in titles
    shown = texts_of(picture)
    assert {"layer 0", "layer 1", "mean", "lasttoken", "none", "ccw", 'Is "{text}" & <b> so?', "43.1"} <= set(
        shown
    )
    assert shown[0] == "V-measure × 100: mini on 500 texts of tickets <1>.csv"
    assert "prefers-color-scheme: dark" in picture


def test_the_best_and_what_is_not_distinguishable_from_it_are_outlined() -> None:
    root = ElementTree.fromstring(render(result()))
    outlines = [e.get("class") for e in root.iter(f"{SVG}rect") if e.get("class") in ("best", "near")]
    assert sorted(outlines) == ["best"] * 2 + ["near"] * 4, "one of each is in the legend"
    assert {option.key for option in result().indistinguishable} == {
        ('Is "{text}" & <b> so?', pooling, layer) for pooling in ("mean", "lasttoken") for layer in (0, 1)
    }


def test_darker_is_better_whichever_way_a_score_points() -> None:
    for ranked_by in ("v_measure", "alignment"):
        root = ElementTree.fromstring(render(result(ranked_by=ranked_by)))
        shades = {
            e.find(f"{SVG}title").text.split(":")[0]: float(e.get("fill-opacity"))  # type: ignore[union-attr, arg-type]
            for e in root.iter(f"{SVG}rect")
            if e.find(f"{SVG}title") is not None
        }
        assert shades["none, mean, layer 0"] == shades["none, mean, layer 1"] == pytest.approx(0.06)
        assert shades["none, lasttoken, layer 0"] > 0.06
        assert max(shades.values()) == pytest.approx(1.0)
        assert shades["ccw, mean, layer 0"] < shades["ccw, lasttoken, layer 0"]


def test_many_layers_are_one_panel_with_the_best_of_each() -> None:
    (cells,) = panels_of(result(layers=20)).values()
    assert {option.layer for option in cells.values()} == {19}
    shown = texts_of(render(result(layers=20)))
    assert "the best layer of each" in shown
    assert "44.9 (layer 19)" in shown


def test_the_table() -> None:
    lines = probe_table(result(layers=1), most=5).splitlines()
    assert [re.sub(r"\[[-+., \d]+\]", "[…]", " ".join(line.split())) for line in lines[:7]] == [
        "template pooling layer V-measure ± s.e. of draws AMI stability alignment to the best [95 %]",
        "chance (shuffled labels) 2.0 0.0",
        'Is "{text}" & <b> so? lasttoken 0 43.0 ± 0.6 41.0 21.5 0.57 best',
        'Is "{text}" & <b> so? mean 0 40.0 ± 0.6 38.0 20.0 0.6 -3.0 […] not distinguishable',
        "ccw lasttoken 0 33.0 ± 0.6 31.0 16.5 0.67 -10.0 […] worse",
        "ccw mean 0 30.0 ± 0.6 28.0 15.0 0.7 -13.0 […] worse",
        "none lasttoken 0 23.0 ± 0.6 21.0 11.5 0.77",
    ]
    assert [" ".join(line.split()) for line in lines[7:]] == [
        "",
        "ρ with V-measure +1.00 +1.00",
        "",
        "6 options on 500 of 8,000 texts, ranked by V-measure. The best 5 are shown; --json gives all.",
        "The best 4 were compared with the first of them, on the same draws and halves of the texts: 1 is not "
        "distinguishable from it on these texts.",
        "V-measure of bootstraps of 1,024 texts, not the 16,384 of lastword evaluate: comparable within this table "
        "only. AMI: adjusted mutual information, 0 for chance.",
        "Accuracy of a classifier trained on 8 texts of each label, on 90 others.",
    ]


def test_the_table_shows_the_interval_of_a_difference() -> None:
    found = result(layers=1)
    difference = found.differences["ccw", "mean", 0]
    shown = f"-13.0 [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"
    assert shown in probe_table(found)
    assert difference.low < -0.13 < difference.high < 0


def test_a_best_option_that_is_better_than_all_compared() -> None:
    options = tuple(
        Option(name, "mean", 0, {"v_measure": score("v_measure", value, seed)})
        for seed, (name, value) in enumerate((("none", 0.2), ("ccw", 0.3)))
    )
    found = ProbeResult(options, "v_measure", FACTS)
    assert [option.template for option in found.indistinguishable] == ["ccw"]
    assert "The best 2 were compared with the first of them" in probe_table(found)
    assert "it is better than each of the others." in probe_table(found)


def test_a_table_without_comparison_or_labels() -> None:
    facts = {"labels": None, "few_shot_texts": None, "bootstrap_size": None}
    text = probe_table(result(ranked_by="alignment", **facts))
    assert "compared with" not in text
    assert "Without labels the order is a guess" in text
    assert "No score without labels can compare layers" in text
    assert "compare layers" not in probe_table(result(layers=1, ranked_by="alignment", **facts))


def test_long_templates_keep_their_end() -> None:
    assert shortened("a " * 60 + "means in one word:", 30).endswith("a a means in one word:")
    assert len(shortened("a " * 60, 30)) == 30
    assert shortened("one\nline") == "one line"
