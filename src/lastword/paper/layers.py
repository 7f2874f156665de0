"""Layers as a third axis of Tables 3 and 4: which hidden state to pool, a question that the paper does not ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lastword.paper.cells import POOLING, Cell, CellRunner, Row
from lastword.paper.report import Page, bullet_list, markdown_table, summary_record
from lastword.paper.suites import Suite
from lastword.paper.tables import read_table
from lastword.report.table import percent, with_interval
from lastword.uncertainty import Score, combine, compare

TEMPLATES = tuple(read_table("table4").rows)
Point = tuple[int, str, str]
"""Layer, template and pooling."""


def announce_layers(runner: CellRunner, suite: Suite, layers: Sequence[int]) -> None:
    """Tell the runner of all cells, in the order in which they are measured."""
    model = next(iter(runner.scale.models.values()))
    for layer, template, column in _points(layers):
        runner.announce(model, Row.parse(template), column, suite.kind, layer=_layer(runner, model, layer))


def layers_page(runner: CellRunner, suite: Suite, layers: Sequence[int]) -> Page:
    """Every template, pooling and layer before training, and what a lower layer gains over the last.

    Args:
        runner: measures the cells.
        suite: what they are scored on.
        layers: hidden states.
    """
    model = next(iter(runner.scale.models.values()))
    cells = dict[Point, Cell]()
    for point in _points(layers):
        layer, template, column = point
        number = _layer(runner, model, layer)
        cell = runner.cell(model, Row.parse(template), column, suite, layer=number)
        assert cell is not None  # only rows that are trained need pairs
        cells[point] = cell
    depth = runner.base(model).depth
    records = [
        {
            "table": "layers", "model": model, "row": template, "column": column, "layer": layer,
            **summary_record(cell.summary),
        }
        for (layer, template, column), cell in sorted(cells.items())
    ]  # fmt: skip
    notes = [
        f"Model: {model}, whose last layer is {depth}. Scored on {suite.description}.",
        "Means are over the templates; differences are paired. A layer that is chosen because it is best here must be "
        "confirmed on other texts.",
    ]
    body = "\n\n".join([_means(cells, depth), _every_cell(cells), bullet_list(notes)])
    return Page("layers", "which hidden state to pool, before training", body, records, {"notes": notes})


def _points(layers: Sequence[int]) -> list[Point]:
    return [(layer, template, column) for layer in layers for template in TEMPLATES for column in POOLING]


def _layer(runner: CellRunner, model: str, layer: int) -> int | None:
    """A layer as cells have it: None is the last, whose cells are also those of Tables 3 and 4."""
    return None if layer == runner.base(model).depth else layer


def _means(cells: Mapping[Point, Cell], depth: int) -> str:
    """For each pooling and layer the mean over the templates, and its difference from the last layer."""
    rows = [["layer, mean over the templates", *POOLING]]
    layers = sorted({layer for layer, _, _ in cells})
    last = {column: _mean(cells, depth, column) for column in POOLING} if depth in layers else {}
    for layer in layers:
        row = [str(layer)]
        for column in POOLING:
            mean = _mean(cells, layer, column)
            compared = column in last and layer != depth
            difference = f", {with_interval(compare(mean, last[column]))}" if compared else ""
            row.append(f"{percent(mean.value)}{difference}")
        rows.append(row)
    return markdown_table(rows)


def _mean(cells: Mapping[Point, Cell], layer: int, column: str) -> Score:
    return combine([cells[layer, template, column].scores[0] for template in TEMPLATES])


def _every_cell(cells: Mapping[Point, Cell]) -> str:
    """Templates and poolings down, layers across; the best layer of each row is bold."""
    layers = sorted({layer for layer, _, _ in cells})
    rows = [["V-measure at layer", *map(str, layers)]]
    for template in TEMPLATES:
        for column in POOLING:
            values = [cells[layer, template, column].summary.value for layer in layers]
            shown = [f"**{percent(value)}**" if value == max(values) else percent(value) for value in values]
            rows.append([f"{template}, {column}", *shown])
    return markdown_table(rows)
