"""Attention of the last token: in every layer and head, and token by token in the last layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lastword.embedding import Embedder
from lastword.embedding.template import CompiledTemplate
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch, Sequences
from lastword.errors import ModelError, RequestError

Part = Literal["bos", "template", "text", "suffix"]
PARTS: tuple[Part, ...] = ("bos", "template", "text", "suffix")
_MAX_BYTES = 4  # of one character in UTF-8


@dataclass(frozen=True)
class TokenAttention:
    """One token and the attention it gets.

    Attributes:
        token: its piece of the text, with a leading space if it has one. A token that ends inside a character
            has "", and the token that completes the character has all of it.
        part: "bos" (begin-of-text), "template" (before the text, or between the two of an echo), "text" or "suffix".
        weight: share of the last token's attention, 0 … 1; the weights of a sequence sum to 1.
    """

    token: str
    part: Part
    weight: float


def token_attention(embedder: Embedder, text: str) -> list[TokenAttention]:
    """Attention of the sequence's last token in the last layer, mean over heads.

    The last token is the one that last-token pooling reads. It attends to every token before it and to
    itself. Weights are taken after the softmax.

    Source: arXiv:2507.22729, Figure 1. Unlike the figure, the begin-of-text token is included, so that the
    weights sum to 1; in many models it has most of the weight.

    Args:
        embedder: its model computes attention as plain matrix products during the call only.
        text: one text; the embedder's template is applied and the text truncated as in encoding.

    Returns:
        One entry for each token, in the order of the sequence.

    Raises:
        RequestError: the text is not a string or has no tokens.
        ModelError: the model does not return attention weights for all its layers.
    """
    sequences = embedder.pipeline.tokenize([text])
    (batch,) = embedder.pipeline.batches(sequences)
    weights = last_attention(embedder, batch)[-1, 0].mean(0)
    pieces = _pieces(sequences.ids[0], embedder.pipeline.tokenizer)
    parts = parts_of(sequences, 0, embedder.pipeline.compiled)
    return [
        TokenAttention(piece, part, weight)
        for piece, part, weight in zip(pieces, parts, weights.tolist(), strict=True)
    ]


@torch.inference_mode()
def last_attention(embedder: Embedder, batch: Batch) -> Tensor:
    """Attention of each row's last token, from one forward pass.

    Only one row of each layer's weights is kept; all of them would grow with the square of the length.

    Args:
        embedder: its attention implementation is "eager" during the call; the others return no weights.
        batch: padded on the right.

    Returns:
        (layers, batch, heads, seq) float64 on the CPU, 0 on padding. Normalised to sum to 1 over seq, because
        weights in half precision do so only roughly. Layers above a lower pooled layer are left out.

    Raises:
        ModelError: the model does not return attention weights for all its layers.
        RequestError: the embedder pools the token embeddings, which come before all attention.
    """
    backbone = embedder.backbone
    pooled = backbone.layers if embedder.spec.layer is None else embedder.spec.layer
    if pooled == 0:
        raise RequestError("layer=0: the token embeddings come before all attention; use layer 1 or higher")
    last = torch.tensor(batch.lengths, device=backbone.device) - 1
    rows = torch.arange(len(last), device=backbone.device)
    layers: list[Tensor] = []

    def collect(module: Any, args: Any, output: Any) -> None:
        weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        if isinstance(weights, Tensor) and weights.ndim == 4:
            layers.append(weights[rows, :, last].double().cpu())

    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
    with backbone.attention("eager"):
        hooks = [module.register_forward_hook(collect) for module in _attention_modules(backbone.model)]
        try:
            with backbone.stock.masks():
                backbone.model(**inputs, use_cache=False, **_attention_option(backbone.model))
        finally:
            for hook in hooks:
                hook.remove()
    if len(layers) < backbone.layers:
        raise ModelError(
            f"{backbone.name} returns attention weights for {len(layers)} of {backbone.layers} layers: "
            "use a model whose layers all have softmax attention"
        )
    weights = torch.stack(layers[:pooled])
    return weights / weights.sum(-1, keepdim=True)


def _attention_modules(model: Any) -> list[Any]:
    """Modules that compute attention: transformers names their classes so in every decoder.

    In some, such as GPT-Neo, one wraps another; only the outer one is returned.
    """
    names = [name for name, module in model.named_modules() if type(module).__name__.endswith("Attention")]
    outer = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    return [model.get_submodule(name) for name in outer]


def _attention_option(model: Any) -> dict[str, bool]:
    """Older model classes compute weights only with `output_attentions`.

    Newer ones do not need the option, and with it transformers leaves a hook in each of their layers, which
    disables the fused forward path.
    """
    return {} if getattr(model, "_can_record_outputs", None) else {"output_attentions": True}


def parts_of(sequences: Sequences, row: int, compiled: CompiledTemplate) -> list[Part]:
    """Part of each token of a sequence; both copies of an echo are text."""
    length, (start, end) = len(sequences.ids[row]), sequences.spans[row]
    text, bos = end - start, int(compiled.bos)
    before: list[tuple[Part, int]] = [("template", start - bos)]
    if compiled.middle_ids is not None:
        prefix, middle = len(compiled.prefix_ids) - bos, len(compiled.middle_ids)
        before = [("template", prefix), ("text", text), ("template", middle)]
    parts: list[tuple[Part, int]] = [("bos", bos), *before, ("text", text), ("suffix", length - end)]
    return [part for part, count in parts for _ in range(count)]


def _pieces(ids: list[int], tokenizer: TextTokenizer) -> list[str]:
    """Text of each token; a character of several tokens belongs to the last of them."""
    pieces: list[str] = []
    pending: list[int] = []
    for token_id in ids:
        pending.append(token_id)
        piece = tokenizer.hf.decode(pending, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        unfinished = str(piece).endswith("\N{REPLACEMENT CHARACTER}") and len(pending) < _MAX_BYTES
        pieces.append("" if unfinished else str(piece))
        if not unfinished:
            pending = []
    return pieces
