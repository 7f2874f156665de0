"""Late chunking: the states of a long text, computed in one pass, are pooled window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lastword.embedding.encoding import finite
from lastword.embedding.pipeline import Pipeline, layer_means
from lastword.embedding.tokens import Sequences
from lastword.errors import RequestError

Range = tuple[int, int]
"""First and last + 1 of some tokens."""


@dataclass(frozen=True)
class _Pass:
    """Consecutive windows of a text that the model reads in one pass.

    Attributes:
        ids: the sequence, template included.
        span: of the text in it.
        windows: of the sequence.
        rows: their vectors' rows.
    """

    ids: list[int]
    span: Range
    windows: list[Range]
    rows: list[int]


@torch.inference_mode()
def late_vectors(
    pipeline: Pipeline,
    texts: Sequence[str],
    ids: Sequence[list[int]],
    windows: Sequence[Sequence[Range]],
    batch_tokens: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the states of each window, where each state has seen the text up to the model's length.

    With `mean` pooling the first window includes the template's prefix, and the last one the suffix; so a text with one
    window has its ordinary vector. Of a text longer than the model, windows are computed in several passes; each but
    the first begins with one window before those that it is for, as their context.

    Args:
        pipeline: whose pooling is a mean; its `max_tokens` is what the model reads in one pass.
        texts: n strings, for messages.
        ids: of the n texts.
        windows: tokens of each text, one after another.
        batch_tokens: as for `Pipeline.batches`; one long text may exceed it.

    Returns:
        (m, dim) float32, not normalised, of all windows one after another; the number of states in each.

    Source: Günther et al., "Late Chunking", arXiv:2409.04701, algorithms 1 and 2.
    """
    passes = _passes(pipeline, ids, windows)
    total = sum(map(len, windows))
    vectors, counts = np.empty((total, pipeline.dim(pipeline.spec.pooling)), np.float32), np.empty(total)
    sequences = Sequences(
        [each.ids for each in passes], [each.span for each in passes], 0, len(pipeline.compiled.prefix_ids)
    )
    text_of = [text for text, own in zip(texts, windows, strict=True) for _ in own]
    for batch in pipeline.batches(sequences, batch_tokens):
        of_batch = [passes[row] for row in batch.rows]
        masks = _masks(of_batch, batch.input_ids.shape[1]).to(batch.input_ids.device)
        pooling, layer = pipeline.spec.pooling, pipeline.layer
        hidden = pipeline.backbone.hidden(batch, pipeline.layers_read([pooling], [layer]), pipeline.spec.norm)
        ((_, means),) = layer_means(((at, (each,)) for at, each in hidden), [pooling], [layer])
        sums = masks @ means[pooling.layers][0].float()
        states = masks.sum(2, keepdim=True)
        for place, each in enumerate(of_batch):
            own = sums[place, : len(each.rows)] / states[place, : len(each.rows)].clamp(min=1)
            vectors[each.rows] = finite(pipeline, own, [text_of[row] for row in each.rows])
            counts[each.rows] = states[place, : len(each.rows), 0].cpu().numpy()
    return vectors, counts


def _masks(passes: Sequence[_Pass], width: int) -> Tensor:
    """(batch, windows, seq) float32: 1 where a window of a pass has its states."""
    most = max(len(each.windows) for each in passes)
    masks = torch.zeros(len(passes), most, width)
    for place, each in enumerate(passes):
        for number, (first, last) in enumerate(each.windows):
            masks[place, number, first:last] = 1
    return masks


def _passes(pipeline: Pipeline, ids: Sequence[list[int]], windows: Sequence[Sequence[Range]]) -> list[_Pass]:
    compiled, whole = pipeline.compiled, pipeline.spec.pooling.over == "sequence"
    passes, row = list[_Pass](), 0
    for text_ids, own in zip(ids, windows, strict=True):
        done = 0
        while done < len(own):
            context = max(own[max(done - 1, 0)][0], own[done][1] - compiled.budget)
            following = done + 1
            while following < len(own) and own[following][1] - context <= compiled.budget:
                following += 1
            sequence, span = compiled.wrapped(text_ids[context : own[following - 1][1]])
            if not sequence:
                raise RequestError(
                    f"a text is empty and template {compiled.template.name!r} adds no token to it"
                )
            shift = span[0] - context
            ranges = [(first + shift, last + shift) for first, last in own[done:following]]
            if whole and done == 0:
                ranges[0] = 0, ranges[0][1]
            if whole and following == len(own):
                ranges[-1] = ranges[-1][0], len(sequence)
            passes.append(_Pass(sequence, span, ranges, list(range(row + done, row + following))))
            done = following
        row += len(own)
    return passes
