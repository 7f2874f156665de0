"""What the map shows, as JSON values: points, texts, columns to colour by, and labels."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.corpus.clustering.result import Group
from lastword.files.tables import usable_label

TEXT_CHARACTERS = 400
"""Longer texts end with an ellipsis on the map."""
_MOST_VALUES = (
    60  # of a column that is coloured by value, the most frequent ones; the others are one value more
)
_LEAST_FAMILIES = 3  # whose names are worth a level of their own
_FEW_PER_VALUE = 2  # texts of a value, on average: a column of identifiers is nothing to colour by
OTHERS = "others"
NONE = "none"


def map_data(
    title: str,
    way: str,
    flat: np.ndarray,
    texts: Sequence[str],
    numbers: np.ndarray,
    groups: Sequence[Group],
    families: Sequence[str],
    columns: dict[str, list[object]],
    total: int,
) -> dict[str, Any]:
    """The data of the page.

    Args:
        title: of the page.
        way: "umap" or "pca", by which the places were made.
        flat: (n, 2), -1 … 1.
        texts: n texts.
        numbers: (n,) the group of each.
        groups: their names.
        families: names of the families, if there are any.
        columns: name → n cells.
        total: texts of the corpus, of which the n are a sample if it is larger.
    """
    names = {group.group: group.name for group in groups}
    shown = {
        name: column
        for name, cells in columns.items()
        if (column := _numbers(cells) or _categories([_shown(cell) for cell in cells]))
    }
    family_of = np.array([_family(groups, int(number)) for number in numbers])
    clustered = [names[group.group] for group in groups if group.group >= 0]
    return {
        "title": title, "way": way.upper(), "total": total,
        "points": _encoded(np.round((flat + 1) / 2 * 65535).astype("<u2")),
        "texts": [_short(text) for text in texts],
        "columns": [
            {"name": "group", **_coded([names[int(number)] for number in numbers], list(names.values()))},
            *({"name": name, **column} for name, column in shown.items()),
        ],
        "labels": [
            *_labels("family", families if len(families) >= _LEAST_FAMILIES else (), family_of, flat),
            *_labels("group", clustered, numbers, flat),
        ],
    }  # fmt: skip


def _labels(level: str, names: Sequence[str], numbers: np.ndarray, flat: np.ndarray) -> list[dict[str, Any]]:
    """Where names are written: at the point nearest to the median of each group or family."""
    labels = []
    for number, name in enumerate(names):
        (rows,) = (numbers == number).nonzero()
        if len(rows):
            away = ((flat[rows] - np.median(flat[rows], axis=0)) ** 2).sum(1)
            labels.append({
                "level": level, "name": name, "point": int(rows[away.argmin()]), "size": len(rows)
            })  # fmt: skip
    return labels


def _family(groups: Sequence[Group], number: int) -> int:
    family = groups[number].family if number >= 0 else None
    return -1 if family is None else family


def _numbers(cells: Sequence[object]) -> dict[str, Any] | None:
    """A column of many different numbers; None for another."""
    if not all(
        cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool)) for cell in cells
    ):
        return None
    values = np.array([math.nan if cell is None else float(cell) for cell in cells])  # type: ignore[arg-type]
    finite = values[np.isfinite(values)]
    if len(np.unique(finite)) <= _MOST_VALUES:
        return None
    low, high = float(finite.min()), float(finite.max())
    scaled = np.nan_to_num((values - low) / (high - low), nan=0, posinf=1, neginf=0)
    return {"kind": "numbers", "low": low, "high": high, "values": _encoded(scaled.astype("<f4"))}


def _categories(cells: Sequence[str]) -> dict[str, Any] | None:
    """A column with values that repeat; None for another."""
    counts = Counter(cells)
    if len(counts) < 2 or len(cells) < _FEW_PER_VALUE * len(counts):
        return None
    frequent = [
        value for value, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_VALUES]
    ]
    kept = set(frequent)
    values = frequent if len(counts) == len(kept) else [*frequent, OTHERS]
    return _coded([cell if cell in kept else OTHERS for cell in cells], values)


def _coded(cells: Sequence[str], values: list[str]) -> dict[str, Any]:
    code = {value: number for number, value in enumerate(values)}
    codes = np.array([code[cell] for cell in cells], "<i4")
    return {"kind": "categories", "categories": values, "values": _encoded(codes)}


def _shown(cell: object) -> str:
    return _short(usable_label(cell) or NONE, 60)


def _short(text: str, most: int = TEXT_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _encoded(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def colourable(schema: pa.Schema, without: Sequence[str]) -> list[str]:
    """Names of the columns that may be coloured by: no texts, lists or structures."""
    return [
        field.name
        for field in schema
        if field.name not in without
        and not pa.types.is_nested(field.type)
        and not pa.types.is_binary(field.type)
    ]
