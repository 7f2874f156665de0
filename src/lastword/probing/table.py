"""A probe as text: the best option first, with standard errors, and which options the texts cannot tell apart."""

from __future__ import annotations

from lastword.probing.measures import MEASURES
from lastword.probing.result import Option, ProbeResult
from lastword.report.table import aligned

TEMPLATE_WIDTH = 56
SHOWN = 20


def probe_table(result: ProbeResult, most: int = SHOWN) -> str:
    """The best options, one on each line, and what the numbers mean."""
    names = [result.ranked_by, *(name for name in result.score_names if name != result.ranked_by)]
    rows = [_heading(result, names)]
    if "v_measure" in names:
        rows.append(_chance_row(result, names))
    rows += [_row(result, option, names) for option in result.ranked[:most]]
    if result.correlations:
        rho = [result.correlations.get(name) for name in names]
        cells = ["" if value is None else f"{value:+.2f}" for value in rho]
        rows += [[], ["ρ with V-measure", "", "", *_with_ami(names, cells, ""), "", ""]]
    return "\n".join([aligned(rows, right=range(2, len(rows[0]) - 1)), "", *_notes(result, most)])


def shortened(template: str, width: int = TEMPLATE_WIDTH) -> str:
    """A template on one line of limited width: the beginning is left out, since templates differ at the end."""
    line = " ".join(template.split())
    return line if len(line) <= width else f"…{line[-(width - 1) :]}"


def _heading(result: ProbeResult, names: list[str]) -> list[str]:
    titles = [MEASURES[name].title for name in names]
    if result.best.scores[result.ranked_by].draws:
        titles[0] += " ± s.e. of draws"
    return ["template", "pooling", "layer", *_with_ami(names, titles, "AMI"), "to the best [95 %]", ""]


def _chance_row(result: ProbeResult, names: list[str]) -> list[str]:
    chance = result.best.scores["v_measure"].chance
    cells = [
        MEASURES[name].shown(chance) if name == "v_measure" and chance is not None else "" for name in names
    ]
    return ["chance (shuffled labels)", "", "", *_with_ami(names, cells, "0.0"), "", ""]


def _row(result: ProbeResult, option: Option, names: list[str]) -> list[str]:
    measure, difference = MEASURES[result.ranked_by], result.differences.get(option.key)
    cells = [MEASURES[name].shown(option.scores[name].value) for name in names]
    ranking = option.scores[result.ranked_by]
    if ranking.draws:
        cells[0] += f" ± {measure.shown(ranking.draw_se)}"
    ami = option.scores["v_measure"].ami if "v_measure" in names else None
    interval = ""
    if difference:
        value, low, high = (
            measure.shown(end, "+") for end in (difference.value, difference.low, difference.high)
        )
        interval = f"{value} [{low}, {high}]"
    return [
        shortened(option.template), option.pooling, str(option.layer),
        *_with_ami(names, cells, "" if ami is None else f"{100 * ami:.1f}"),
        interval, result.standing(option) or "",
    ]  # fmt: skip


def _with_ami(names: list[str], cells: list[str], ami: str) -> list[str]:
    """Put the adjusted mutual information behind the V-measure."""
    if "v_measure" not in names:
        return cells
    place = names.index("v_measure") + 1
    return [*cells[:place], ami, *cells[place:]]


def _notes(result: ProbeResult, most: int) -> list[str]:
    facts, title = result.facts, MEASURES[result.ranked_by].title
    of = f" of {facts.available:,}" if facts.available > facts.texts else ""
    notes = [f"{len(result.options):,} options on {facts.texts:,}{of} texts, ranked by {title}."]
    if len(result.options) > most:
        notes[0] += f" The best {most} are shown; --json gives all."
    if result.differences:
        notes.append(_comparison_note(result))
    if facts.bootstrap_size:
        notes.append(
            f"V-measure of bootstraps of {facts.bootstrap_size:,} texts, not the 16,384 of lastword evaluate: "
            "comparable within this table only. AMI: adjusted mutual information, 0 for chance."
        )
    if facts.few_shot_texts:
        notes.append(
            f"Accuracy of a classifier trained on {facts.samples_per_label} texts of each label, on "
            f"{facts.few_shot_texts:,} others."
        )
    if not facts.labels:
        notes.append("Without labels the order is a guess: docs/reference/probe.md shows how good a guess.")
        if len({option.layer for option in result.options}) > 1:
            notes.append("No score without labels can compare layers: read each layer by itself.")
    return notes


def _comparison_note(result: ProbeResult) -> str:
    compared, same = 1 + len(result.differences), len(result.indistinguishable) - 1
    note = f"The best {compared} were compared with the first of them, on the same draws and halves of the texts: "
    if not same:
        return note + "it is better than each of the others."
    return note + f"{same:,} {'is' if same == 1 else 'are'} not distinguishable from it on these texts."
