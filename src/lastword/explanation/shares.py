"""What the last token's attention falls on, text by text over a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lastword.console import progress
from lastword.embedding import Embedder
from lastword.explanation.attention import last_attention, parts_of
from lastword.explanation.words import content_tokens

Kind = Literal["bos", "template", "content", "other", "suffix", "itself"]
KINDS: tuple[Kind, ...] = ("bos", "template", "content", "other", "suffix", "itself")
"""Begin-of-text; the template before the text; words of the text that are no stop words; the rest of the text;
the template after it; and the last token itself, whichever part it stands in."""
BATCH_TOKENS = 4096  # in plain products the weights of a batch of long texts take most of the memory
_REST = [KINDS.index(kind) for kind in ("template", "content", "other", "suffix")]


@dataclass(frozen=True)
class Shares:
    """The last token's attention over n texts.

    What counts as 1 for `content` and `evenness` is the attention without that on begin-of-text, where heads
    leave what they do not use, and on the last token itself, which carries what is known already: "the
    distribution of the remaining attention" of the paper.

    Attributes:
        kinds: (n, layers, kinds) share of each of `KINDS`, mean over heads; sums to 1.
        heads: (layers, heads, kinds) the same, mean over texts.
        content: (n, layers) share of the remaining attention that falls on content words, of the mean over
            heads; NaN for a text without a content word or without remaining tokens.
        evenness: (n, layers) exp of the entropy of the remaining attention over the number of its tokens:
            1 for the same weight on each, 1 / tokens for all on one; NaN below two tokens.
        level: (n,) share of content words among the remaining tokens: what `content` would be if all weights
            were the same.

    Source: arXiv:2507.22729, §4.6 and Figure 1, where both are told of one sentence and read off a chart.
    """

    kinds: np.ndarray
    heads: np.ndarray
    content: np.ndarray
    evenness: np.ndarray
    level: np.ndarray


def attention_shares(
    embedder: Embedder,
    texts: Sequence[str],
    stop_words: frozenset[str],
    *,
    batch_tokens: int | None = None,
) -> Shares:
    """Attention of the last token over texts, in every layer; texts of like length go together.

    Args:
        embedder: the model.
        texts: n ≥ 1 strings.
        stop_words: words that are no content words, in lower case.
        batch_tokens: padded tokens in one pass; bounds the memory and changes nothing else.

    Raises:
        RequestError, ModelError: see `last_attention` and `content_tokens`.
    """
    sequences = embedder.tokenize(texts)
    bos = embedder.compiled.bos
    content = content_tokens(embedder, texts, stop_words)
    kinds_of = [
        _token_kinds(parts_of(sequences, row, bos), content[row], sequences.spans[row][0])
        for row in range(len(texts))
    ]
    rows: list[int] = []
    heads: np.ndarray | float = 0.0
    found: dict[str, list[np.ndarray]] = {name: [] for name in ("kinds", "content", "evenness", "level")}
    with progress("attention", len(texts)) as advance:
        for batch in embedder.batches(sequences, batch_tokens or BATCH_TOKENS):
            kinds = _padded([kinds_of[row] for row in batch.rows], batch.input_ids.shape[1])
            measured = _measured(last_attention(embedder, batch), kinds)
            heads = heads + measured.pop("heads")
            for name, values in measured.items():
                found[name].append(values)
            rows += batch.rows
            advance(len(batch.rows))
    order = np.argsort(rows)
    joined = {name: np.concatenate(parts)[order] for name, parts in found.items()}
    return Shares(heads=np.asarray(heads) / len(texts), **joined)


def _token_kinds(parts: Sequence[str], content: np.ndarray, start: int) -> list[int]:
    """Number of each token's kind in `KINDS`."""
    kinds = [
        ("content" if content[place - start] else "other") if part == "text" else part
        for place, part in enumerate(parts)
    ]
    kinds[-1] = "itself"
    return [KINDS.index(kind) for kind in kinds]


def _padded(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    """(batch, seq, kinds) float64: 1 at the kind of each token, 0 on padding."""
    marks = torch.zeros(len(rows), width, len(KINDS), dtype=torch.float64)
    for row, kinds in enumerate(rows):
        marks[row, torch.arange(len(kinds)), torch.tensor(kinds)] = 1
    return marks


def _measured(weights: Tensor, marks: Tensor) -> dict[str, np.ndarray]:
    """Shares of a batch, texts first; those of each head are summed over the texts.

    Args:
        weights: (layers, batch, heads, seq) attention of the last tokens.
        marks: (batch, seq, kinds) 1 at the kind of each token.
    """
    together = torch.einsum("lbhs,bsk->blhk", weights, marks)
    rest = marks[..., _REST].sum(-1)  # (batch, seq)
    remaining = torch.einsum("lbhs,bs->bls", weights, rest) / weights.shape[2]
    total = remaining.sum(-1)  # (batch, layers)
    share = remaining / total[..., None]
    entropy = -torch.xlogy(share, share).sum(-1)
    tokens, words = rest.sum(-1), marks[..., KINDS.index("content")].sum(-1)
    on_words = torch.einsum("bls,bs->bl", share, marks[..., KINDS.index("content")])
    nothing = torch.full_like(on_words, torch.nan)
    return {
        "kinds": together.mean(2).numpy(),
        "heads": together.sum(0).numpy(),
        "content": torch.where((words > 0)[:, None], on_words, nothing).numpy(),
        "evenness": torch.where((tokens > 1)[:, None], entropy.exp() / tokens[:, None], nothing).numpy(),
        "level": torch.where(words > 0, words / tokens, torch.nan).numpy(),
    }
