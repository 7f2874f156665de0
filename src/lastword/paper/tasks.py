"""Table 8: task by task beside models to compare with, and what the paper's own baseline column hides."""

from __future__ import annotations

from statistics import fmean

from lastword.paper.cells import Laboratory, Row, Value
from lastword.paper.figures import figures
from lastword.paper.report import Page, Record, as_list, line
from lastword.paper.suite import Suite

ROW = Row.parse("CCW + wiki-prompt")


def tasks_page(laboratory: Laboratory, suite: Suite, peers: list[str]) -> Page:
    """The adapted model on each task, beside the paper's and other models."""
    facts = figures()["table8"]
    ours: dict[str, Value] = {}
    for name, model in list(laboratory.scale.models.items())[:1]:
        for column in facts["columns"]:
            value = laboratory.value(model, ROW, column, suite)
            assert value is not None  # wiki-prompt is always there
            ours[f"{name}, {column}"] = value
    ours |= {peer: laboratory.peer(peer, suite) for peer in peers}
    told = [f"Scored on {suite.told}. Trained on: {laboratory.sources.told('wiki-prompt')}.", facts["note"]]
    plain = {"told": told, "averages": {name: value.mean for name, value in ours.items()}}
    body = "\n\n".join([_published(), _measured(ours, suite), as_list(told)])
    return Page("table8", facts["title"], body, _records(ours), plain)


def _published() -> str:
    """The paper's table, with a column for the baseline on the English subsets."""
    facts = figures()["table8"]
    (model, rows), baseline = next(iter(facts["published"].items())), facts["baseline"]
    names = [f"{model}, {column}" for column in facts["columns"]]
    names += [f"{facts['peer']}, as printed", f"{facts['peer']}, English"]
    lines = [line("the paper's figures", *names), line("---", *["---:"] * len(names))]
    cells = {task: [*own, *baseline[task]] for task, own in rows.items()}
    cells["**average**"] = [fmean(column) for column in zip(*cells.values(), strict=True)]
    lines += [line(task, *(f"{value:.2f}" for value in values)) for task, values in cells.items()]
    return "\n".join(lines)


def _measured(ours: dict[str, Value], suite: Suite) -> str:
    lines = [line("measured here", *ours), line("---", *["---:"] * len(ours))]
    for task in suite.wanted:
        cells = [value.tasks.get(task) for value in ours.values()]
        lines.append(line(task, *("missing" if cell is None else f"{cell:.1f}" for cell in cells)))
    lines.append(line("**average**", *(f"{value.mean:.1f} ± {value.band:.1f}" for value in ours.values())))
    return "\n".join(lines)


def _records(ours: dict[str, Value]) -> list[Record]:
    return [
        {
            "table": "table8",
            "model": name,
            "row": task,
            "column": "",
            "score": round(score, 2),
            "seeds": value.seeds,
        }
        for name, value in ours.items()
        for task, score in value.tasks.items()
    ]
