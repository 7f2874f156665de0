"""Columns are aligned on a terminal."""

from __future__ import annotations

import doctest

import pytest

from lastword.report import table
from lastword.report.table import aligned, shortened_name


def test_docstring_example() -> None:
    assert doctest.testmod(table) == (0, 2)


def test_columns_named_right_and_an_indent() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")], right=[0], indent="  ") == "    a  bb\n  ccc  d"


def test_an_empty_row_is_a_blank_line() -> None:
    assert aligned([("a", "b"), (), ("c", "d")], indent="  ") == "  a  b\n\n  c  d"


@pytest.mark.parametrize(
    "cell",
    ["3", "1,200", "−0.5", "+2.10", "41.3 ± 0.2", "12%", "<1%", "1e-5", "16 of 420", "1.2 (0.3 … 2.1)"],
)
def test_numbers_are_aligned_on_the_right(cell: str) -> None:
    assert aligned([("a heading wider than the cell", "b"), (cell, "c"), ("–", "d"), ("", "e")]).splitlines()[
        1
    ] == (cell.rjust(len("a heading wider than the cell")) + "  c")


@pytest.mark.parametrize("cell", ["mini", "3d models", "2026-01-02", "a 3"])
def test_other_cells_are_aligned_on_the_left(cell: str) -> None:
    assert aligned([("a wide heading", "b"), (cell, "c")]).splitlines()[1].startswith(cell)


def test_wide_characters_take_two_columns() -> None:
    assert aligned([("name", "x"), ("東京", "y"), ("e\u0301", "z")]) == "name  x\n東京  y\ne\u0301     z"


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        aligned([("a", "b"), ("c",)])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mini", "mini"),
        ("HuggingFaceTB/SmolLM2-360M", "…ngFaceTB/SmolLM2-360M"),
        ("runs/first/adapted/model", "…/first/adapted/model"),
        ("a-folder-with-a-long-name/model", "…ith-a-long-name/model"),
        ("a/" + "m" * 30, "…" + "m" * 21),
    ],
)
def test_a_long_name_keeps_its_end(name: str, shown: str) -> None:
    assert shortened_name(name, 22) == shown
    assert len(shown) <= 22
