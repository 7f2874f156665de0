"""Where the last token looks: its attention in the last layer, for every token of template and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lastword.embedding import Embedder
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch, Sequences
from lastword.errors import ModelError

Part = Literal["bos", "template", "text", "suffix"]
PARTS: tuple[Part, ...] = ("bos", "template", "text", "suffix")
_MOST_BYTES = 4  # of one character in UTF-8


@dataclass(frozen=True)
class TokenAttention:
    """One token and the attention it gets.

    Attributes:
        token: its piece of the text, readable, a leading blank included. A token that ends inside a character
            has "", and the one that completes the character has all of it.
        part: "bos" (begin-of-text), "template" (before the text), "text" or "suffix" (after the text).
        weight: share of the last token's attention, 0 … 1; the weights of a sequence sum to 1.
    """

    token: str
    part: Part
    weight: float


def token_attention(embedder: Embedder, text: str) -> list[TokenAttention]:
    """Attention of the sequence's last token in the last layer, mean over heads.

    The last token is the one that last-token pooling reads. It attends to every token before it and to
    itself. Weights are taken after the softmax.

    Source: arXiv:2507.22729, Figure 1. Here the begin-of-text token keeps its place and its weight, so that
    the weights sum to 1; in many models it holds most of them, which shows how little is left for the text.

    Args:
        embedder: its model's attention is computed as plain products meanwhile, and as before afterwards.
        text: one text; it is wrapped in the embedder's template and cut as for encoding.

    Returns:
        One entry for each token, in the order of the sequence.

    Raises:
        RequestError: something that is no string, or a text without a single token.
        ModelError: a model whose last layer gives no attention weights.
    """
    sequences = embedder.tokenize([text])
    (batch,) = embedder.batches(sequences)
    weights = _last_row(_last_layer(embedder, batch))
    pieces = _pieces(sequences.ids[0], embedder.tokenizer)
    parts = _parts(sequences, embedder.compiled.bos)
    return [
        TokenAttention(piece, part, weight)
        for piece, part, weight in zip(pieces, parts, weights.tolist(), strict=True)
    ]


@torch.inference_mode()
def _last_layer(embedder: Embedder, batch: Batch) -> Tensor:
    """(heads, seq, seq) of the last layer; only plain products ("eager") give the weights out."""
    backbone = embedder.backbone
    with backbone.attention("eager"):
        output = backbone.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask.long(),
            output_attentions=True,
            use_cache=False,
        )
    attentions = [layer for layer in getattr(output, "attentions", None) or () if layer is not None]
    if len(attentions) < backbone.layers:
        raise ModelError(
            f"{backbone.name} gives attention weights for {len(attentions)} of {backbone.layers} layers: "
            "use a model whose layers all have softmax attention"
        )
    last: Tensor = attentions[-1][0]
    return last


def _last_row(attention: Tensor) -> Tensor:
    """(heads, seq, seq) → (seq,) float64 that sums to 1, which half-precision weights do not quite."""
    row = attention[:, -1].double().mean(0).cpu()
    return row / row.sum()


def _pieces(ids: list[int], tokenizer: TextTokenizer) -> list[str]:
    """What each token stands for; a character of several tokens stands at the last of them."""
    pieces: list[str] = []
    pending: list[int] = []
    for token_id in ids:
        pending.append(token_id)
        piece = tokenizer.hf.decode(pending, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        unfinished = str(piece).endswith("\N{REPLACEMENT CHARACTER}") and len(pending) < _MOST_BYTES
        pieces.append("" if unfinished else str(piece))
        if not unfinished:
            pending = []
    return pieces


def _parts(sequences: Sequences, bos: bool) -> list[Part]:
    length, (start, end) = len(sequences.ids[0]), sequences.spans[0]
    lengths: dict[Part, int] = {
        "bos": int(bos),
        "template": start - bos,
        "text": end - start,
        "suffix": length - end,
    }
    return [part for part in PARTS for _ in range(lengths[part])]
