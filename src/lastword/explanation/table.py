"""An explanation as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from lastword.explanation.bands import Estimate
from lastword.explanation.record import Explanation, Measured
from lastword.explanation.shares import KINDS, Kind
from lastword.explanation.vocabulary import Word

KIND_NAMES: dict[Kind, str] = {
    "bos": "begin of text",
    "template": "template before",
    "content": "content words",
    "other": "rest of the text",
    "suffix": "template after",
    "itself": "last token itself",
}
GEOMETRY_NAMES = {
    "mean_cosine": "mean cosine",
    "effective_rank": "effective rank",
    "uniformity": "uniformity",
    "alignment": "alignment",
}
_SHORT = 60


def explanation_table(found: Explanation) -> str:
    """Attention, share on content words, geometry and nearest words, a block each."""
    blocks = [summary(found), _kinds(found), _content(found), _geometry(found)]
    blocks += [block for block in (_words(found), _groups(found)) if block]
    return "\n\n".join(blocks)


def summary(found: Explanation) -> str:
    """What was looked at."""
    of = f" of {found.held:,}" if found.held > found.texts else ""
    return f"{found.texts:,}{of} texts of {found.data}; (a … b) is a 95 % band over the texts"


def percent(value: float) -> str:
    """A share with one digit; a dash for what is not defined."""
    return "–" if value != value else f"{100 * value:.1f}"


def band(found: Estimate, signed: bool = False) -> str:
    """A share with its band, in percent."""
    if not found.n:
        return "–"
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} … {high})".replace("-", "−")


def geometry_number(value: float | None) -> str:
    """Three digits that count."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def _kinds(found: Explanation) -> str:
    lines = [("model", *(KIND_NAMES[kind] for kind in KINDS))]
    lines += [(model.name, *(percent(model.kinds[kind].mean) for kind in KINDS)) for model in found.models]
    return "where the last token looks: % of its attention in the last layer, mean over heads\n" + _aligned(
        lines
    )


def _content(found: Explanation) -> str:
    reference = found.reference
    lines = [("model", "share", f"gain on {reference.name}", "evenness")]
    for model in found.models:
        gain = "" if model is reference else band(model.gain(reference), signed=True)
        lines.append((model.name, band(model.content), gain, band(model.evenness)))
    level = f"if all tokens had the same weight: {percent(reference.level)}"
    title = "content words: % of the attention that is left beside begin of text and the last token itself"
    return f"{title}\n{_aligned(lines)}\n  {level}"


def _geometry(found: Explanation) -> str:
    names = [name for name in GEOMETRY_NAMES if any(m.geometry[name] is not None for m in found.models)]
    if not names:
        return "geometry: one text alone has none"
    lines = [("model", *(GEOMETRY_NAMES[name] for name in names))]
    lines += [(m.name, *(geometry_number(m.geometry[name]) for name in names)) for m in found.models]
    return "how the vectors lie\n" + _aligned(lines)


def _words(found: Explanation) -> str:
    blocks = []
    for place, shown in enumerate(found.models[0].shown):
        own = [(model, model.shown[place]) for model in found.models]
        lines = [
            (model.name, words_line(one.words), f"apart: {', '.join(one.apart or [])}")
            for model, one in own
            if one.words is not None
        ]
        if lines:
            blocks.append(f"“{shortened(shown.text)}”\n{_aligned(lines, numbers=False)}")
    title = "nearest words, and those that set the vector apart from the mean of the texts\n"
    return title + "\n".join(blocks) if blocks else ""


def _groups(found: Explanation) -> str:
    return "\n\n".join(_group_block(model) for model in found.models if model.groups)


def _group_block(model: Measured) -> str:
    lines = [
        (group.name, f"{group.size:,}", ", ".join(group.apart or []), f"“{shortened(group.examples[0])}”")
        for group in model.groups
    ]
    return (
        f"groups of {model.name}: texts, words that set the group apart, the text in its middle\n"
        + _aligned(lines, numbers=False)
    )


def words_line(words: Sequence[Word] | None) -> str:
    """Words with what the model gives them, most likely first."""
    found = words or []
    return ", ".join(f"{word.word} {_probability(word.probability)}" for word in found)


def _probability(value: float) -> str:
    return "<1%" if value < 0.01 else f"{100 * value:.0f}%"


def shortened(text: str, most: int = _SHORT) -> str:
    """One line of a text."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _aligned(lines: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """Columns of one width each; all but the first stand on the right where they are numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = []
    for line in lines:
        first, *rest = zip(line, widths, strict=True)
        cells = [cell.rjust(width) if numbers else cell.ljust(width) for cell, width in rest]
        rows.append("  " + "  ".join([first[0].ljust(first[1]), *cells]).rstrip())
    return "\n".join(rows)
