"""The switch padding=left-assumed: reads the last token of left-padded rows at the wrong position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from lastword.embedding import Embedder
from lastword.embedding.tokens import Batch
from lastword.encoder import Wrapper
from lastword.geometry import unit
from lastword.paper.switches import EVALUATION_BATCH


@dataclass
class LeftAssumed(Wrapper):
    """An embedder whose tokenizer pads on the left, read by code that counts tokens from the left.

    Texts are encoded in their order, 32 at a time. In a row of p padding tokens and n real ones, the state at
    column n - 1 is taken: the last token's if p is 0, that of the token p positions before it if there is one,
    and that of a padding token otherwise. So a vector depends on the other texts in its batch.

    Attributes:
        encoder: the model, with last-token or eos pooling.
        batch_dependent: its vectors are not to be cached.
    """

    encoder: Embedder
    batch_dependent: ClassVar[bool] = True

    @property
    def identity(self) -> str:
        """Another than the embedder's, whose vectors differ."""
        return f"{self.encoder.identity}-left-assumed"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, dim) float32, of length 1 where the embedder's vectors are."""
        ids = self.encoder.pipeline.tokenize(texts).ids
        if not ids:
            return np.empty((0, self.encoder.dim), np.float32)
        batches = [ids[start : start + EVALUATION_BATCH] for start in range(0, len(ids), EVALUATION_BATCH)]
        with torch.inference_mode():
            vectors = np.concatenate([self._batch(batch) for batch in batches])
        return unit(vectors) if self.spec.normalize else vectors

    def _batch(self, ids: list[list[int]]) -> np.ndarray:
        pipeline, width = self.encoder.pipeline, max(map(len, ids))
        backbone = pipeline.backbone
        padding = [width - len(row) for row in ids]
        rows = [[pipeline.tokenizer.pad_id] * pad + row for pad, row in zip(padding, ids, strict=True)]
        mask = (torch.arange(width) >= torch.tensor(padding)[:, None]).to(backbone.device)
        input_ids = torch.tensor(rows, device=backbone.device)
        batch = Batch(list(range(len(rows))), input_ids, mask, mask, [len(row) for row in ids])
        # only the model's own pass takes rows that are padded on the left
        ((_, states),) = backbone.stock.hidden(batch, [pipeline.layer], pipeline.spec.norm)
        column = mask.sum(1) - 1
        vectors: np.ndarray = states[torch.arange(len(rows)), column].float().cpu().numpy()
        return vectors
