"""What the switches change in scores: where the last token is looked for, and which scores are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lastword.embedding.encoding import unit
from lastword.errors import RequestError
from lastword.published.switches import EVALUATION_BATCH, checked_switches

if TYPE_CHECKING:
    from lastword.embedding import Embedder


def scored_as_published(embedder: Embedder, given: Sequence[str]) -> Embedder | LeftAssumed:
    """The embedder as the paper's code would score it; itself, if no switch says otherwise.

    Raises:
        RequestError: an unknown name.
    """
    moved = "padding=left-assumed" in checked_switches(given)
    return LeftAssumed(embedder) if moved and _reads_a_last_token(embedder) else embedder


def _reads_a_last_token(embedder: Embedder) -> bool:
    """Whether the pooling looks for a position; a mean over the real tokens is right on any side."""
    return embedder.pooling.spec in ("lasttoken", "eos")


@dataclass(frozen=True)
class LeftAssumed:
    """An embedder under a tokenizer that pads on the left, read by code that counts from the left.

    Texts are encoded in their order, 32 at a time. In a row of n real tokens behind p of padding the state
    at column n - 1 is taken: the right one where p is 0, that of the token p places earlier while there is
    one, and that of a padding token otherwise. So a vector depends on the other texts of its batch.

    Attributes:
        embedder: the model, with last-token or eos pooling.
    """

    embedder: Embedder

    @property
    def identity(self) -> str:
        """Another than the embedder's, whose vectors are others."""
        return f"{self.embedder.identity}-left-assumed"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, dim) float32, of length 1 where the embedder's vectors are."""
        embedder = self.embedder
        ids = embedder.tokenize(texts).ids
        batches = [ids[start : start + EVALUATION_BATCH] for start in range(0, len(ids), EVALUATION_BATCH)]
        with torch.inference_mode():
            vectors = np.concatenate([self._batch(batch) for batch in batches])
        return unit(vectors) if embedder.normalize else vectors

    def _batch(self, ids: list[list[int]]) -> np.ndarray:
        backbone, width = self.embedder.backbone, max(map(len, ids))
        padding = [width - len(row) for row in ids]
        pad_id = self.embedder.tokenizer.pad_id
        rows = [[pad_id] * pad + row for pad, row in zip(padding, ids, strict=True)]
        real = torch.arange(width) >= torch.tensor(padding)[:, None]
        states = backbone.model(
            input_ids=torch.tensor(rows, device=backbone.device),
            attention_mask=real.long().to(backbone.device),
            use_cache=False,
        ).last_hidden_state
        column = real.sum(1).to(backbone.device) - 1
        found: np.ndarray = states[torch.arange(len(rows)), column].float().cpu().numpy()
        return found


def average_score(rows: Sequence[Mapping[str, Any]], given: Sequence[str] = ()) -> float:
    """Mean of the scores of several tasks.

    Args:
        rows: each with its "score" and the "split" that it was scored on.
        given: switches; average=test-only leaves out every split of another name.

    Raises:
        RequestError: an unknown switch, or no score is left.
    """
    only_test = "average=test-only" in checked_switches(given)
    scores = [row["score"] for row in rows if not only_test or row["split"] == "test"]
    if not scores:
        raise RequestError(f"{len(rows)} scores, none of a split that counts: there is no average")
    return fmean(scores)
