"""An explanation as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from lastword.explanation.result import Explanation, ModelExplanation
from lastword.explanation.shares import KINDS, Kind
from lastword.explanation.vocabulary import Word
from lastword.report.table import aligned
from lastword.uncertainty import MeanInterval

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


def explanation_table(explanation: Explanation) -> str:
    """Attention, share on content words, geometry and nearest words, a block each."""
    blocks = [
        summary(explanation),
        _kinds(explanation),
        _content(explanation),
        _geometry(explanation),
        _words(explanation),
        *(_groups(model) for model in explanation.models if model.groups),
    ]
    return "\n\n".join(block for block in blocks if block)


def summary(explanation: Explanation) -> str:
    """The sample of texts."""
    texts, total = explanation.texts, explanation.texts_in_file
    size = f"{texts:,} of {total:,}" if total > texts else f"{texts:,}"
    return f"{size} texts of {explanation.data}; (low … high) is a 95 % interval over the texts"


def percent(value: float) -> str:
    """A share with one digit; a dash if it is not defined."""
    return "–" if value != value else f"{100 * value:.1f}"


def with_interval(share: MeanInterval, signed: bool = False) -> str:
    """A share with its 95 % interval, in percent."""
    if share.n < 2:
        return percent(share.mean)
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in (share.mean, share.low, share.high))
    return f"{mean} ({low} … {high})".replace("-", "−")


def three_digits(value: float | None) -> str:
    """Three significant digits; a dash if it is not defined."""
    return "–" if value is None else f"{value:.3g}".replace("-", "−")


def geometry_rows(models: Sequence[ModelExplanation]) -> list[list[str]]:
    """Names of the measures that are defined, then for each model its name and its values."""
    names = [name for name in GEOMETRY_NAMES if any(model.geometry[name] is not None for model in models)]
    rows = [[model.name, *(three_digits(model.geometry[name]) for name in names)] for model in models]
    return [[GEOMETRY_NAMES[name] for name in names], *rows]


def words_line(words: Sequence[Word] | None) -> str:
    """Words with their probabilities, most likely first."""
    return ", ".join(f"{word.word} {_probability(word.probability)}" for word in words or [])


def shortened(text: str, length: int = 60) -> str:
    """One line of a text."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _kinds(explanation: Explanation) -> str:
    rows = [("model", *KIND_NAMES.values())]
    rows += [
        (model.name, *(percent(model.kinds[kind].mean) for kind in KINDS)) for model in explanation.models
    ]
    return _block("attention of the last token: % on each kind of token, last layer, mean over heads", rows)


def _content(explanation: Explanation) -> str:
    reference = explanation.reference
    rows = [("model", "share", f"gain over {reference.name}", "balance")]
    for model in explanation.models:
        gain = "" if model is reference else with_interval(model.gain(reference), signed=True)
        rows.append((model.name, with_interval(model.content), gain, with_interval(model.balance)))
    title = "content words: % of the attention without begin of text and the last token itself"
    return f"{_block(title, rows)}\n  with equal weights for all tokens: {percent(reference.uniform)}"


def _geometry(explanation: Explanation) -> str:
    titles, *rows = geometry_rows(explanation.models)
    if not titles:
        return "geometry: not defined for a single text"
    return _block("geometry of the vectors", [("model", *titles), *rows])


def _words(explanation: Explanation) -> str:
    lines = []
    for i, detail in enumerate(explanation.models[0].details):
        details = [(model.name, model.details[i]) for model in explanation.models]
        rows = [
            (name, words_line(of_model.words), f"distinctive: {', '.join(of_model.distinctive or [])}")
            for name, of_model in details
            if of_model.words is not None
        ]
        if rows:
            lines += [f"“{shortened(detail.text)}”", aligned(rows, right=(), indent="  ")]
    title = "nearest words; distinctive: nearest to the vector minus the mean vector of the texts"
    return "\n".join([title, *lines]) if lines else ""


def _groups(model: ModelExplanation) -> str:
    rows = [
        (
            group.name,
            f"{group.size:,}",
            ", ".join(group.distinctive or []),
            f"“{shortened(group.examples[0])}”",
        )
        for group in model.groups
    ]
    return _block(f"groups of {model.name}", [("group", "texts", "distinctive words", "central text"), *rows])


def _block(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"{title}\n{aligned(rows, indent='  ')}"


def _probability(value: float) -> str:
    return "<1%" if value < 0.01 else f"{100 * value:.0f}%"
