"""Charts: numbers land where they belong, and no sign is told by its colour alone."""

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
    places = [tuple(map(float, place.split(","))) for place in path.split()]
    assert places == [(svg.LEFT, bottom), middle, (right, svg.TOP)]
    assert 'role="img" aria-label="a chart"' in chart


def test_the_ring_is_around_its_point() -> None:
    line = svg.Line("seed 0", [(0, 1), (5, 3), (10, 2)], 0, marks=True, ringed=5)
    chart = svg.line_chart([line], "a chart", "step")
    (ring,) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="7" class="ring"/>', chart)
    marks = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="2.6" class="mark"/>', chart)
    assert marks[1] == ring
    assert len(marks) == 3


def test_a_line_of_one_point_is_seen() -> None:
    chart = svg.line_chart([svg.Line("seed 0", [(1, 4.0)], 0)], "a chart", "step")
    assert chart.count('class="mark"') == 1


def test_the_rule_widens_the_axis() -> None:
    chart = svg.line_chart([svg.Line("a", [(0, 30), (1, 31)], 0)], "a chart", "step", (24.2, "before"))
    assert re.search(r">24</text>", chart)
    assert ">before</text>" in chart


def test_map_keeps_proportions_and_stays_inside() -> None:
    points = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 5.0]], np.float32)
    drawn = svg.point_map(points, [0, 1, 2], ["a", "b", "c"], "a map")
    places = np.array(re.findall(r'translate\(([\d.]+) ([\d.]+)\)" data-row', drawn), float)
    assert ((places > 0) & (places < svg.MAP_SIZE)).all()
    assert np.linalg.norm(places[1] - places[0]) == pytest.approx(
        2 * np.linalg.norm(places[2] - places[0]), abs=0.1
    )


def test_thirty_kinds_have_thirty_signs_and_neighbours_of_one_colour_another_shape() -> None:
    signs = [
        (re.search(r'\bd="([^"]+)"', sample).group(1), re.search(r"dot c(\d)", sample).group(1))  # type: ignore[union-attr]
        for sample in map(svg.symbol_sample, range(30))
    ]
    assert len(set(signs)) == 30
    assert len({shape for shape, colour in signs[:18] if colour == "0"}) == 3


def test_bar_and_whiskers_have_their_lengths() -> None:
    drawn = svg.bar(0.5, style="adapted", band=0.1)
    assert '<rect x="0" y="5" height="10" rx="1.5" width="50%" class="adapted"/>' in drawn
    assert '<line x1="40%" x2="60%" y1="10" y2="10"/>' in drawn
    assert "<line" not in svg.bar(0.5, style="text")
    assert 'x1="0%"' in svg.bar(0.05, style="adapted", band=0.1)
