"""Masked next-token training: before the pairs, a model whose attention has become bidirectional learns to use it.

Some tokens of a text are replaced by a mask, and each is predicted from the state of the token before it, as the model
has always predicted tokens; that state now sees what comes after the mask.

Source: LLM2Vec, arXiv:2404.05961, §2.1. There the adapter is merged and the pairs train another one; here one adapter
learns both, so that a run has one adapter to keep. Each masked token becomes the mask, and none a random token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Batch
from lastword.embedding.vocabulary import Vocabulary
from lastword.errors import ModelError
from lastword.training.objectives import step_rows


@dataclass(frozen=True)
class MaskedTexts:
    """Texts to the loss of their masked tokens, as a row for each text.

    Attributes:
        pipeline: the model and its tokenizer, without a template.
        head: (tokens, dim) float32, the output head of the model; it is not trained.
        mask_id: token that stands for a masked one.
        share: of the text's own tokens that are masked, 0 to 1.
    """

    pipeline: Pipeline
    head: Tensor
    mask_id: int
    share: float

    @classmethod
    def of(cls, embedder: Embedder, pipeline: Pipeline, share: float) -> MaskedTexts:
        """For a loaded model.

        Args:
            embedder: the model, with the folder or name that its head is read from.
            pipeline: the same, as it is trained.
            share: of the tokens that are masked.

        Raises:
            ModelError: the model has no output head.
        """
        vocabulary = Vocabulary.of(embedder.variant(pooling="mean"))
        if vocabulary is None:
            raise ModelError(
                f"masked_steps: {embedder.name} has no output head, which predicts the masked tokens: use the base "
                "model, or leave masked_steps out"
            )
        head = vocabulary.head.to(pipeline.backbone.device)
        bare = pipeline.variant(template="none", pooling="mean")
        return cls(bare, head, mask_token(pipeline.tokenizer), share)

    def vectors(self, batch: Batch) -> Tensor:
        """The loss of each row, summed over its masked tokens, and their number: (batch, 2) float32.

        The token at position i is predicted from the state at i - 1: -log softmax(W h_{i-1})_{x_i}, with the head W.
        What is masked is drawn from torch's global generator, like what dropout drops.
        """
        drawn = torch.rand(batch.input_ids.shape).to(batch.input_ids.device) < self.share
        masked = drawn & batch.text_mask
        masked[:, 0] = False  # nothing is before it
        hidden = replace(batch, input_ids=batch.input_ids.masked_fill(masked, self.mask_id))
        ((_, states),) = self.pipeline.backbone.hidden(hidden, [self.pipeline.backbone.layers])
        rows, columns = masked.nonzero(as_tuple=True)
        logits = states[rows, columns - 1].float() @ self.head.T
        losses = F.cross_entropy(logits.float(), batch.input_ids[rows, columns], reduction="none")
        total = losses.new_zeros(len(batch.rows)).index_add(0, rows, losses)
        return torch.stack([total, masked.sum(1).float()], dim=1)


@dataclass(frozen=True)
class MaskedStep:
    """Texts of a step.

    Attributes:
        texts: n texts.
    """

    texts: list[str]
    negatives: int = 0

    def loss_of(self, vectors: Tensor) -> Tensor:
        """Mean loss of a masked token, from (n, 2) sums and numbers; 0 where none is masked."""
        loss, count = vectors.sum(0)
        mean: Tensor = loss / count.clamp(min=1)
        return mean


@dataclass(frozen=True)
class MaskedObjective:
    """Texts in random order.

    Attributes:
        texts: distinct texts.
        config: batch_pairs and seed count.
    """

    texts: Sequence[str]
    config: TrainConfig

    def __len__(self) -> int:
        return len(self.texts)

    def step(self, number: int) -> MaskedStep:
        """As many texts as a step of training has pairs."""
        rows = step_rows(len(self), self.config.batch_pairs, number, self.config.seed)
        return MaskedStep([self.texts[row] for row in rows])


def mask_token(tokenizer: TextTokenizer) -> int:
    """The mask token of a tokenizer; decoders rarely have one: then that of "_", or the one that pads."""
    if tokenizer.hf.mask_token_id is not None:
        return int(tokenizer.hf.mask_token_id)
    (underscore,) = tokenizer.text_ids(["_"])
    return underscore[0] if len(underscore) == 1 else tokenizer.pad_id
