"""Texts to token ids inside a compiled template, and ids to padded batches.

Truncation shortens the text, never the template: last-token pooling reads the end of the suffix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lastword.arguments import require_list
from lastword.embedding.template import CompiledTemplate
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import RequestError

_LONG_TEXT = 1 << 20  # characters
_MARGIN = 64  # tokens


@dataclass(frozen=True)
class Sequences:
    """Tokenized texts: one row of ids each, and the positions of the text's own tokens in it.

    Attributes:
        ids: n lists of token ids, template included, unpadded.
        spans: n pairs (start, end) of the text's own tokens.
        truncated: number of texts that were longer than the budget.
        shared: number of leading ids that all rows have in common: the template's prefix.
    """

    ids: list[list[int]]
    spans: list[tuple[int, int]]
    truncated: int
    shared: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class LowerStates:
    """Hidden states of a batch below some layers, computed before; a fused forward pass begins with them.

    Attributes:
        layer: their number, as in `ForwardPath.hidden`.
        states: (tokens, dim), the shared tokens first and once, then the own tokens of each row.
    """

    layer: int
    states: Tensor


@dataclass(frozen=True)
class Batch:
    """Sequences of one batch, padded on the right.

    Attributes:
        rows: index of each row in the tokenized texts, (batch,).
        input_ids: (batch, seq) int64.
        attention_mask: (batch, seq) bool; True on every real token.
        text_mask: (batch, seq) bool; True on the text's own tokens.
        lengths: number of real tokens of each row.
        shared: number of leading ids that all rows have in common.
        lower: states to begin with, or None.
    """

    rows: list[int]
    input_ids: Tensor
    attention_mask: Tensor
    text_mask: Tensor
    lengths: list[int]
    shared: int = 0
    lower: LowerStates | None = None

    @property
    def tokens(self) -> int:
        """Number of real tokens of all rows."""
        return sum(self.lengths)

    def take(self, places: list[int]) -> Batch:
        """Some of the rows, by their place in the batch."""
        rows, lengths = [self.rows[i] for i in places], [self.lengths[i] for i in places]
        ids, real, text = (
            tensor[places, : max(lengths)] for tensor in (self.input_ids, self.attention_mask, self.text_mask)
        )
        return Batch(rows, ids, real, text, lengths, self.shared)


def clean(text: str) -> str:
    """Replace lone surrogates, which no UTF-8 tokenizer takes, by U+FFFD; other texts pass unchanged."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def require_strings(texts: Sequence[object]) -> None:
    """Refuse what is no list of texts, and values in it that are not strings, naming the row."""
    require_list("texts", texts)
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise RequestError(f"text {row} is {type(text).__name__}, not str: give texts as strings")


def tokenize(
    texts: Sequence[str],
    compiled: CompiledTemplate,
    tokenizer: TextTokenizer,
    numbers: Sequence[int] | None = None,
) -> Sequences:
    """Wrap every text in the template, as ids, truncated to `compiled.max_tokens`.

    Args:
        texts: n strings.
        compiled: the template.
        tokenizer: the model's.
        numbers: row numbers to name in an error; None counts from 0.

    Raises:
        RequestError: a value that is not a string, or a sequence without a single token.
    """
    require_strings(texts)
    by_string = compiled.template.boundary == "string"
    sequences = (_tokenize_formatted if by_string else _tokenize_parts)(
        [clean(text) for text in texts], compiled, tokenizer
    )
    for row, ids in enumerate(sequences.ids):
        if not ids:
            number = numbers[row] if numbers else row
            raise RequestError(
                f"text {number} is empty and template {compiled.template.name!r} adds no token to it"
            )
    return sequences


def _tokenize_parts(texts: list[str], compiled: CompiledTemplate, tokenizer: TextTokenizer) -> Sequences:
    rows, spans, truncated = [], [], 0
    for ids in _text_ids(texts, compiled.budget, tokenizer):
        row, span = compiled.wrapped(ids)
        rows.append(row)
        spans.append(span)
        truncated += len(ids) > compiled.budget
    return Sequences(rows, spans, truncated, shared=len(compiled.prefix_ids))


def _text_ids(texts: list[str], budget: int, tokenizer: TextTokenizer) -> list[list[int]]:
    """Ids of whole texts, or of the first part of a very long one, which may have megabytes: it is truncated anyway.

    The part has far more tokens than are kept, so that none of those depends on what follows it.
    """
    ids = tokenizer.text_ids([text[:_LONG_TEXT] for text in texts])
    for row, text in enumerate(texts):
        if len(text) > _LONG_TEXT and len(ids[row]) < 2 * budget + _MARGIN:
            (ids[row],) = tokenizer.text_ids([text])
    return ids


def _tokenize_formatted(texts: list[str], compiled: CompiledTemplate, tokenizer: TextTokenizer) -> Sequences:
    """Tokenize prefix + text + suffix as one string; a long text is shortened until it fits."""
    template = compiled.template
    head = list(compiled.prefix_ids[:1]) if compiled.bos else []
    tail = list(compiled.suffix_ids[-1:]) if template.eos else []
    room = compiled.max_tokens - len(head) - len(tail)
    rows, spans, truncated = [], [], 0
    for whole in texts:
        text = shortened = whole.strip()
        while True:
            ids, offsets = tokenizer.formatted_ids(f"{template.prefix}{shortened}{template.suffix}")
            if len(ids) <= room or not shortened:
                break
            shortened = _shortened(shortened, len(template.prefix), offsets, len(ids) - room)
        first, last = len(template.prefix), len(template.prefix) + len(shortened)
        inside = [i for i, (a, b) in enumerate(offsets) if a < last and b > first]
        start = len(head) + (inside[0] if inside else 0)
        rows.append([*head, *ids, *tail])
        spans.append((start, start + len(inside)))
        truncated += len(shortened) < len(text)
    return Sequences(rows, spans, truncated)


def _shortened(text: str, prefix_chars: int, offsets: list[tuple[int, int]], excess: int) -> str:
    """End before the character where the last `excess` tokens of the text begin; one shorter at least."""
    inside = [a - prefix_chars for a, b in offsets if prefix_chars <= a < prefix_chars + len(text)]
    at = inside[-excess] if excess < len(inside) else 0
    return text[: min(max(at, 0), len(text) - 1)]


def group_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield rows, longest first, so that batch size × longest row stays within `batch_tokens`."""
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def pad(sequences: Sequences, rows: list[int], pad_id: int, device: torch.device) -> Batch:
    """Pad the sequences of the given rows on the right to their longest."""
    lengths = [len(sequences.ids[row]) for row in rows]
    width = max(lengths)
    starts = torch.tensor([sequences.spans[row][0] for row in rows])
    ends = torch.tensor([sequences.spans[row][1] for row in rows])
    position = torch.arange(width)
    input_ids = torch.tensor(
        [sequences.ids[row] + [pad_id] * (width - len(sequences.ids[row])) for row in rows]
    )
    attention_mask = position < torch.tensor(lengths)[:, None]
    text_mask = (position >= starts[:, None]) & (position < ends[:, None])
    return Batch(
        rows,
        input_ids.to(device),
        attention_mask.to(device),
        text_mask.to(device),
        lengths,
        sequences.shared,
    )
