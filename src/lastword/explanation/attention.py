"""Where the last token looks: its attention in every layer and head, and token by token in the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lastword.embedding import Embedder
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch, Sequences
from lastword.errors import ModelError, RequestError

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
        ModelError: a model that does not give attention weights for all its layers.
    """
    sequences = embedder.tokenize([text])
    (batch,) = embedder.batches(sequences)
    weights = last_attention(embedder, batch)[-1, 0].mean(0)
    pieces = _pieces(sequences.ids[0], embedder.tokenizer)
    parts = parts_of(sequences, 0, embedder.compiled.bos)
    return [
        TokenAttention(piece, part, weight)
        for piece, part, weight in zip(pieces, parts, weights.tolist(), strict=True)
    ]


@torch.inference_mode()
def last_attention(embedder: Embedder, batch: Batch) -> Tensor:
    """Attention of each row's last token, from one pass of the model.

    Of the weights of a layer, which grow with the square of the length, one row is kept.

    Args:
        embedder: its attention is computed as plain products ("eager") meanwhile; only these give weights.
        batch: padded on the right.

    Returns:
        (layers, batch, heads, seq) float64 on the CPU, 0 on padding; over seq each sums to 1, which weights
        in half precision do not quite. Layers above a pooled lower one are left out.

    Raises:
        ModelError: a model that does not give attention weights for all its layers.
        RequestError: an embedder that pools the token embeddings, below all attention.
    """
    backbone = embedder.backbone
    pooled = backbone.layers if embedder.layer is None else embedder.layer
    if pooled == 0:
        raise RequestError("layer=0: the token embeddings come before all attention; use layer 1 or higher")
    ends = torch.tensor(batch.lengths, device=backbone.device) - 1
    rows = torch.arange(len(ends), device=backbone.device)
    kept: list[Tensor] = []

    def keep(module: Any, args: Any, output: Any) -> None:
        weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        if isinstance(weights, Tensor) and weights.ndim == 4:
            kept.append(weights[rows, :, ends].double().cpu())

    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
    with backbone.attention("eager"):
        hooks = [module.register_forward_hook(keep) for module in _attention_modules(backbone.model)]
        try:
            backbone.model(**inputs, use_cache=False, **_old_request(backbone.model))
        finally:
            for hook in hooks:
                hook.remove()
    if len(kept) < backbone.layers:
        raise ModelError(
            f"{backbone.name} gives attention weights for {len(kept)} of {backbone.layers} layers: "
            "use a model whose layers all have softmax attention"
        )
    weights = torch.stack(kept[:pooled])
    return weights / weights.sum(-1, keepdim=True)


def _attention_modules(model: Any) -> list[Any]:
    """Where attention is computed; transformers names the class so in every decoder it has."""
    return [module for module in model.modules() if type(module).__name__.endswith("Attention")]


def _old_request(model: Any) -> dict[str, bool]:
    """Models of an older build keep their weights to themselves unless asked.

    Newer ones are not asked: transformers would leave a hook in each of their layers, and the fused forward
    steps back for hooks.
    """
    return {} if getattr(model, "_can_record_outputs", None) else {"output_attentions": True}


def parts_of(sequences: Sequences, row: int, bos: bool) -> list[Part]:
    """Part of each token of a sequence."""
    length, (start, end) = len(sequences.ids[row]), sequences.spans[row]
    lengths: dict[Part, int] = {
        "bos": int(bos),
        "template": start - bos,
        "text": end - start,
        "suffix": length - end,
    }
    return [part for part in PARTS for _ in range(lengths[part])]


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
