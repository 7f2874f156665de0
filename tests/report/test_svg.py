"""Charts: positions follow from the numbers, and no kind is shown by colour alone."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.report import svg

FINITE = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@given(FINITE, FINITE)
def test_ticks_enclose_the_range_in_even_steps(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    ticks = svg.ticks(low, high)
    steps = np.diff(ticks)
    assert ticks[0] <= low + 1e-6 * abs(low)
    assert ticks[-1] >= high - 1e-6 * abs(high)
    assert 2 <= len(ticks) <= 8
    assert steps == pytest.approx(np.full(len(steps), steps[0]), rel=1e-4)


def test_ticks_are_round() -> None:
    assert svg.ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert svg.ticks(1.56, 4.1) == [1.5, 2, 2.5, 3, 3.5, 4, 4.5]
    assert svg.ticks(0, 2, finest=1) == [0, 1, 2]
    assert svg.ticks(0.25, 0.25) == [0.25, 0.3]


def test_a_line_runs_from_corner_to_corner() -> None:
    chart = svg.line_chart([svg.Line("seed 0", [(0, 0), (50, 5), (100, 10)], 0)], "a chart", "step")
    (path,) = re.findall(r'<polyline points="([^"]+)"', chart)
    bottom, right = svg.HEIGHT - svg.BOTTOM, svg.WIDTH - svg.RIGHT
    middle = ((svg.LEFT + right) / 2, (svg.TOP + bottom) / 2)
    positions = [tuple(map(float, point.split(","))) for point in path.split()]
    assert positions == [(svg.LEFT, bottom), middle, (right, svg.TOP)]
    assert 'role="img" aria-label="a chart"' in chart


def test_the_ring_surrounds_its_point() -> None:
    line = svg.Line("seed 0", [(0, 1), (5, 3), (10, 2)], 0, marks=True, ringed=5)
    chart = svg.line_chart([line], "a chart", "step")
    (ring,) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="7" class="ring"/>', chart)
    marks = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.6" class="mark"/>', chart)
    assert marks[1] == ring
    assert len(marks) == 3


def test_a_line_of_one_point_has_a_mark() -> None:
    chart = svg.line_chart([svg.Line("seed 0", [(1, 4.0)], 0)], "a chart", "step")
    assert chart.count('class="mark"') == 1


def test_the_rule_widens_the_axis() -> None:
    chart = svg.line_chart([svg.Line("a", [(0, 30), (1, 31)], 0)], "a chart", "step", (24.2, "before"))
    assert re.search(r">24</text>", chart)
    assert ">before</text>" in chart


def test_the_map_keeps_proportions_and_fits_its_square() -> None:
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]], np.float32)
    drawn = svg.point_map(points, [0, 1, 2], ["a", "b", "c"], ["x", "y", "z"], "a map")
    positions = np.array(re.findall(r'translate\(([\d.]+) ([\d.]+)\)" data-row', drawn), float)
    assert ((positions > 0) & (positions < svg.MAP_SIZE)).all()
    assert np.linalg.norm(positions[1] - positions[0]) == pytest.approx(
        2 * np.linalg.norm(positions[2] - positions[0]), abs=0.1
    )


def test_kinds_have_symbols_of_their_own_and_the_rest_are_grey_below_them() -> None:
    symbols = [svg.symbol_sample(kind) for kind in range(svg.COLOURS)]
    assert len(set(symbols)) == len({re.search(r"dot (c\d)", symbol).group(1) for symbol in symbols}) == 10  # type: ignore[union-attr]
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]], np.float32)
    drawn = svg.point_map(points, [0, None, 1], ["a", "b", "c"], ["x", "y"], "a map")
    assert re.findall(r'class="dot (\w+)"', drawn) == ["rest", "c0", "c1"]


def test_names_of_kinds_do_not_cover_each_other() -> None:
    points = np.zeros((40, 2), np.float32) + np.arange(40)[:, None] % 2
    names = [f"label {kind}" for kind in range(10)]
    drawn = svg.point_map(points, [row % 10 for row in range(40)], ["t"] * 40, names, "a map")
    placed = [(float(x), float(y)) for x, y in re.findall(r'<text x="([\d.]+)" y="([\d.]+)"', drawn)]
    assert len(placed) == 10
    for i, (x, y) in enumerate(placed):
        assert all(abs(x - u) > 40 or abs(y - v) >= 13 for u, v in placed[:i])


def test_a_picture_of_its_own_has_a_background_and_both_colour_schemes() -> None:
    drawn = svg.standalone("a picture", 40, 30, [], style="", class_="own")
    assert '<rect width="40" height="30" class="paper"/>' in drawn
    assert drawn.count("--paper:") == 2
    assert "prefers-color-scheme: dark" in drawn


def test_lengths_of_bar_and_whiskers() -> None:
    drawn = svg.bar(0.5, style="adapted", interval=(0.4, 0.6))
    assert '<rect x="0" y="5" height="10" rx="1.5" width="50%" class="adapted"/>' in drawn
    assert '<line x1="40%" x2="60%" y1="10" y2="10"/>' in drawn
    assert "<line" not in svg.bar(0.5, style="text")
    assert 'x1="0%"' in svg.bar(0.05, style="adapted", interval=(-0.05, 0.15))
