"""The heat map is well-formed and shows every option; the table says what is level."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lastword.embedding import GridPoint
from lastword.probing import Option, ProbeResult
from lastword.probing.picture import panels_of, render
from lastword.probing.table import probe_table, shortened

FACTS = {
    "model": "mini", "data": "tickets <1>.csv", "texts": 500, "of_texts": 8000, "labels": 3, "few_shot_texts": 90,
    "samples_per_label": 8, "bootstrap_size": 1024, "seed": 0, "seconds": 1.0,
}  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def result(layers: int = 2, ranked_by: str = "v_measure", **facts: object) -> ProbeResult:
    """Rising by template, pooling and layer, so that the best is the last."""
    options = []
    for i, template in enumerate(["none", "ccw", 'Is "{text}" & <b> so?']):
        for j, pooling in enumerate(["mean", "lasttoken"]):
            for layer in range(layers):
                score = 0.2 + 0.1 * i + 0.03 * j + 0.001 * layer
                scores = {"v_measure": score, "stability": score / 2, "alignment": 1 - score}
                options.append(Option(GridPoint(template, pooling, layer), scores, {"v_measure": 0.012}))
    return ProbeResult(tuple(options), ranked_by, {**FACTS, **facts})


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
    assert "prefers-color-scheme:dark" in picture


def test_the_best_is_outlined_and_what_is_level_with_it() -> None:
    root = ElementTree.fromstring(render(result()))
    outlines = [e.get("class") for e in root.iter(f"{SVG}rect") if e.get("class") in ("b", "l")]
    assert sorted(outlines) == ["b"] * 2 + ["l"] * 4, "one of each is in the legend"
    assert {option.point for option in result().level} == {
        GridPoint('Is "{text}" & <b> so?', pooling, layer)
        for pooling in ("mean", "lasttoken")
        for layer in (0, 1)
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
    (panel,) = panels_of(result(layers=20))
    assert {option.point.layer for option in panel.cells.values()} == {19}
    shown = texts_of(render(result(layers=20)))
    assert "the best layer of each" in shown
    assert "44.9 (layer 19)" in shown


def test_the_table() -> None:
    lines = probe_table(result(layers=1), most=5).splitlines()
    assert lines == [
        "template               pooling    layer  V-measure   stability  alignment",
        'Is "{text}" & <b> so?  lasttoken  0      43.0 ± 1.2  21.5       0.57       best',
        'Is "{text}" & <b> so?  mean       0      40.0 ± 1.2  20.0       0.6        level',
        "ccw                    lasttoken  0      33.0 ± 1.2  16.5       0.67",
        "ccw                    mean       0      30.0 ± 1.2  15.0       0.7",
        "none                   lasttoken  0      23.0 ± 1.2  11.5       0.77",
        "",
        "ρ with V-measure                                     +1.00      +1.00",
        "",
        "6 options on 500 of 8,000 texts, ranked by V-measure. The best 5 are shown; --json gives all.",
        "1 more is level with the best (within 2 standard deviations of the difference to it): these texts do "
        "not tell them apart.",
        "V-measure from bootstraps of 1,024 draws, not the 16,384 of lastword evaluate: compare it within this "
        "table only.",
        "Accuracy of a classifier that saw 8 texts of each label, on 90 others.",
    ]


def test_a_best_option_that_stands_alone() -> None:
    options = tuple(
        Option(GridPoint(name, "mean", 0), {"v_measure": score}, {"v_measure": 0.01})
        for name, score in (("none", 0.2), ("ccw", 0.3))
    )
    text = probe_table(ProbeResult(options, "v_measure", FACTS))
    assert (
        "No other option is level with the best (within 2 standard deviations of the difference to it)."
        in text
    )


def test_a_table_without_bands_or_labels_says_so() -> None:
    facts = {"labels": None, "few_shot_texts": None, "bootstrap_size": None}
    text = probe_table(result(ranked_by="alignment", **facts))
    assert "No band is known for alignment: what is level with the best is not said." in text
    assert "Without labels the order is a guess" in text
    assert "No score without labels can compare layers" in text
    assert "compare layers" not in probe_table(result(layers=1, ranked_by="alignment", **facts))


def test_long_templates_keep_their_end() -> None:
    assert shortened("a " * 60 + "means in one word:", 30).endswith("a a means in one word:")
    assert len(shortened("a " * 60, 30)) == 30
    assert shortened("one\nline") == "one line"
