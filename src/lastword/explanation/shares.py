"""The last token's attention summed by kind of token, for each text of a sample."""

from __future__ import annotations

import itertools
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
"""Begin-of-text; the template before the text; content words of the text; the rest of the text; the template after
it; and the last token itself, whichever part it belongs to."""
BATCH_TOKENS = 4096  # the eager attention weights of a batch of long texts take most of the memory
_REMAINING = [KINDS.index(kind) for kind in ("template", "content", "other", "suffix")]


@dataclass(frozen=True)
class Shares:
    """The last token's attention over n texts.

    `content` and `balance` are shares of the remaining attention: without begin-of-text, which absorbs what
    heads do not use, and without the last token itself. The paper calls it "the distribution of the
    remaining attention".

    Attributes:
        kinds: (n, layers, kinds) share of each of `KINDS`, mean over heads; sums to 1.
        heads: (layers, heads, kinds) the same for each head, mean over texts.
        content: (n, layers) share of the remaining attention on content words, mean over heads; NaN for a
            text without content words or without remaining tokens.
        balance: (n, layers) exp(entropy) of the remaining attention over the number of its tokens: 1 for
            equal weights, 1 / tokens for all weight on one token; NaN below two tokens.
        uniform: (n,) share of content words among the remaining tokens: the value of `content` if all
            weights were equal.

    Source: arXiv:2507.22729, §4.6 and Figure 1, which show one sentence.
    """

    kinds: np.ndarray
    heads: np.ndarray
    content: np.ndarray
    balance: np.ndarray
    uniform: np.ndarray


def attention_shares(
    embedder: Embedder,
    texts: Sequence[str],
    stop_words: frozenset[str],
    *,
    batch_tokens: int | None = None,
) -> Shares:
    """Attention of the last token over texts, in every layer; batches contain texts of similar length.

    Args:
        embedder: the model.
        texts: n ≥ 1 strings.
        stop_words: words that are not content words, in lower case.
        batch_tokens: padded tokens in one forward pass; limits the memory and changes nothing else.

    Raises:
        RequestError, ModelError: see `last_attention` and `content_tokens`.
    """
    sequences = embedder.pipeline.tokenize(texts)
    compiled = embedder.pipeline.compiled
    content = content_tokens(embedder, texts, stop_words)
    kinds = [_token_kinds(parts_of(sequences, row, compiled), content[row]) for row in range(len(texts))]
    rows: list[int] = []
    heads: np.ndarray | float = 0.0
    values: dict[str, list[np.ndarray]] = {name: [] for name in ("kinds", "content", "balance", "uniform")}
    with progress("attention", len(texts)) as advance:
        for batch in embedder.pipeline.batches(sequences, batch_tokens or BATCH_TOKENS):
            marks = _one_hot([kinds[row] for row in batch.rows], batch.input_ids.shape[1])
            shares = _batch_shares(last_attention(embedder, batch), marks)
            heads = heads + shares.pop("heads")
            for name, share in shares.items():
                values[name].append(share)
            rows += batch.rows
            advance(len(batch.rows))
    order = np.argsort(rows)
    in_order = {name: np.concatenate(parts)[order] for name, parts in values.items()}
    return Shares(heads=np.asarray(heads) / len(texts), **in_order)


def _token_kinds(parts: Sequence[str], content: np.ndarray) -> list[int]:
    """Index of each token's kind in `KINDS`; an echo has the text twice."""
    flags = itertools.cycle(content.tolist())
    kinds = [("content" if next(flags) else "other") if part == "text" else part for part in parts]
    kinds[-1] = "itself"
    return [KINDS.index(kind) for kind in kinds]


def _one_hot(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    """(batch, seq, kinds) float64: 1 at the kind of each token, 0 on padding."""
    marks = torch.zeros(len(rows), width, len(KINDS), dtype=torch.float64)
    for row, kinds in enumerate(rows):
        marks[row, torch.arange(len(kinds)), torch.tensor(kinds)] = 1
    return marks


def _batch_shares(weights: Tensor, marks: Tensor) -> dict[str, np.ndarray]:
    """Shares of a batch, texts first; those of each head are summed over the texts.

    Args:
        weights: (layers, batch, heads, seq) attention of the last tokens.
        marks: (batch, seq, kinds) 1 at the kind of each token.
    """
    kinds = torch.einsum("lbhs,bsk->blhk", weights, marks)
    is_remaining = marks[..., _REMAINING].sum(-1)  # (batch, seq)
    is_content = marks[..., KINDS.index("content")]  # (batch, seq)
    remaining = torch.einsum("lbhs,bs->bls", weights, is_remaining) / weights.shape[2]
    share = remaining / remaining.sum(-1, keepdim=True)  # (batch, layers, seq)
    entropy = -torch.xlogy(share, share).sum(-1)
    content = torch.einsum("bls,bs->bl", share, is_content)
    tokens, content_count = is_remaining.sum(-1), is_content.sum(-1)  # (batch,)
    missing = torch.full_like(content, torch.nan)
    return {
        "kinds": kinds.mean(2).numpy(),
        "heads": kinds.sum(0).numpy(),
        "content": torch.where((content_count > 0)[:, None], content, missing).numpy(),
        "balance": torch.where((tokens > 1)[:, None], entropy.exp() / tokens[:, None], missing).numpy(),
        "uniform": torch.where(content_count > 0, content_count / tokens, torch.nan).numpy(),
    }
