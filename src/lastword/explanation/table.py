"""An explanation as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from lastword.embedding.vocabulary import Word
from lastword.explanation.result import Explanation, ModelExplanation
from lastword.explanation.shares import KINDS, Kind
from lastword.report.table import aligned, percent, shortened
from lastword.uncertainty import MeanInterval

KIND_NAMES: dict[Kind, str] = {
    "bos": "begin of text",
    "template": "template before",
    "content": "content words",
    "other": "rest of the text",
    "suffix": "template after",
    "itself": "last token itself",
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


def with_interval(share: MeanInterval, signed: bool = False) -> str:
    """A share with its 95 % interval, in percent."""
    if share.n < 2:
        return percent(share.mean)
    sign = "+" if signed else ""
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in (share.mean, share.low, share.high))
    return f"{mean} ({low} … {high})".replace("-", "−")


def geometry_rows(models: Sequence[ModelExplanation]) -> list[list[str]]:
    """Names of the measures that are defined, then for each model its name and its values, with three digits."""
    names = [name for name in models[0].geometry if any(model.geometry[name] is not None for model in models)]
    values = [[model.geometry[name] for name in names] for model in models]
    shown = [["–" if value is None else f"{value:.3g}".replace("-", "−") for value in row] for row in values]
    titles = [name.replace("_", " ") for name in names]
    return [titles, *([model.name, *row] for model, row in zip(models, shown, strict=True))]


def words_line(words: Sequence[Word] | None) -> str:
    """Words with their probabilities, most likely first."""
    shares = {
        word.word: "<1%" if word.probability < 0.01 else f"{word.probability:.0%}" for word in words or []
    }
    return ", ".join(f"{word} {share}" for word, share in shares.items())


def content_rows(explanation: Explanation) -> list[tuple[str, ...]]:
    """The heading, then for each model its name, share on content words, gain over the first model, and balance.

    One model has no gain.
    """
    reference, several = explanation.reference, len(explanation.models) > 1
    rows = [("model", "share", *([f"gain over {reference.name}"] if several else []), "balance")]
    for model in explanation.models:
        gain = "" if model is reference else with_interval(model.gain(reference), signed=True)
        shown = [gain] if several else []
        rows.append((model.name, with_interval(model.content), *shown, with_interval(model.balance)))
    return rows


def _kinds(explanation: Explanation) -> str:
    rows = [("model", *KIND_NAMES.values())]
    rows += [
        (model.name, *(percent(model.kinds[kind].mean) for kind in KINDS)) for model in explanation.models
    ]
    return _block("attention of the last token: % on each kind of token, last layer, mean over heads", rows)


def _content(explanation: Explanation) -> str:
    reference = explanation.reference
    title = "content words: % of the attention without begin of text and the last token itself"
    equal = f"  with equal weights for all tokens: {percent(reference.uniform)}"
    return f"{_block(title, content_rows(explanation))}\n{equal}"


def _geometry(explanation: Explanation) -> str:
    titles, *rows = geometry_rows(explanation.models)
    if not titles:
        return "geometry: not defined for a single text"
    return _block("geometry of the vectors", [("model", *titles), *rows])


def _words(explanation: Explanation) -> str:
    blocks = []
    for i, detail in enumerate(explanation.models[0].details):
        rows = [
            (model.name, words_line(words), f"distinctive: {', '.join(model.details[i].distinctive or [])}")
            for model in explanation.models
            if (words := model.details[i].words) is not None
        ]
        if rows:
            blocks.append(f"\n“{shortened(detail.text)}”\n{aligned(rows, right=(), indent='  ')}")
    title = "nearest words; distinctive: nearest to the vector minus the mean vector of the texts"
    return title + "".join(blocks) if blocks else ""


def _groups(model: ModelExplanation) -> str:
    rows = [("group", "texts", "distinctive words", "central text")]
    for group in model.groups:
        words, text = ", ".join(group.distinctive or []), f"“{shortened(group.examples[0])}”"
        rows.append((group.name, f"{group.size:,}", words, text))
    return _block(f"groups of {model.name}", rows)


def _block(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"{title}\n{aligned(rows, indent='  ')}"
