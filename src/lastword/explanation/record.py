"""What an explanation holds: numbers and words, and nothing about how they look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastword.explanation.bands import DRAWS, Estimate, estimate, estimates
from lastword.explanation.groups import Group
from lastword.explanation.shares import KINDS, Shares
from lastword.explanation.vocabulary import Word


@dataclass(frozen=True)
class Token:
    """One token of a text that is shown whole.

    Attributes:
        token: its piece of the text.
        part: "bos", "template", "text" or "suffix".
        weight: share of the last token's attention in the last layer, mean over heads, 0 … 1.
        content: whether it belongs to a content word.
    """

    token: str
    part: str
    weight: float
    content: bool


@dataclass(frozen=True)
class Shown:
    """One text that is shown whole.

    Attributes:
        text: the text.
        tokens: of the whole sequence.
        words: nearest to its vector; None without an output head.
        apart: nearest to its vector less the mean of the texts of the file.
    """

    text: str
    tokens: list[Token]
    words: list[Word] | None
    apart: list[str] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        words = None if self.words is None else [word.to_dict() for word in self.words]
        tokens = [vars(token) for token in self.tokens]
        return {"text": self.text, "tokens": tokens, "words": words, "apart": self.apart}


@dataclass(frozen=True)
class Measured:
    """One model.

    Attributes:
        name: of the model or checkpoint.
        step: step of the training; 0 is the base model, None a model of no known step.
        template: its name, or "custom".
        pooling: as written.
        shares: its attention, text by text.
        geometry: mean_cosine, effective_rank, uniformity and alignment; None where it cannot be told.
        shown: the texts that are shown whole.
        groups: of the file's texts; empty if none were asked for.
        seed: of the draws behind the bands.
    """

    name: str
    step: int | None
    template: str
    pooling: str
    shares: Shares
    geometry: dict[str, float | None]
    shown: list[Shown]
    groups: list[Group]
    seed: int

    @property
    def kinds(self) -> dict[str, Estimate]:
        """Share of each kind of token in the last layer."""
        return dict(zip(KINDS, estimates(self.shares.kinds[:, -1], self.seed), strict=True))

    @property
    def content(self) -> Estimate:
        """Share on content words in the last layer: the one number of a checkpoint."""
        return estimate(self.shares.content[:, -1], self.seed)

    @property
    def evenness(self) -> Estimate:
        """How evenly the remaining attention is spread in the last layer."""
        return estimate(self.shares.evenness[:, -1], self.seed)

    @property
    def level(self) -> float:
        """Share on content words if all weights were the same."""
        return estimate(self.shares.level, self.seed).mean

    def gain(self, other: Measured) -> Estimate:
        """Share on content words less that of another model, text by text: a narrower band than the two have."""
        return estimate(self.shares.content[:, -1] - other.shares.content[:, -1], self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        layers = range(self.shares.kinds.shape[1])
        return {
            "name": self.name,
            "step": self.step,
            "template": self.template,
            "pooling": self.pooling,
            "content": self.content.to_dict(),
            "level": self.level,
            "evenness": self.evenness.to_dict(),
            "kinds": {kind: found.to_dict() for kind, found in self.kinds.items()},
            "layers": [self._layer(layer) for layer in layers],
            "heads": self.shares.heads.tolist(),
            "geometry": self.geometry,
            "texts": [shown.to_dict() for shown in self.shown],
            "groups": [group.to_dict() for group in self.groups],
        }

    def _layer(self, layer: int) -> dict[str, Any]:
        kinds = estimates(self.shares.kinds[:, layer], self.seed)
        return {
            "content": estimate(self.shares.content[:, layer], self.seed).to_dict(),
            "evenness": estimate(self.shares.evenness[:, layer], self.seed).to_dict(),
            "kinds": {kind: found.to_dict() for kind, found in zip(KINDS, kinds, strict=True)},
        }


@dataclass(frozen=True)
class Explanation:
    """Models side by side.

    Attributes:
        data: the file.
        texts: how many of its texts were looked at.
        held: how many it has.
        seed: of the sample, of the draws behind the bands and of k-means.
        models: in the order given, checkpoints last.
    """

    data: str
    texts: int
    held: int
    seed: int
    models: Sequence[Measured]

    @property
    def reference(self) -> Measured:
        """What the others are compared with: the base model of a training if it is there, else the first."""
        return next((model for model in self.models if model.step == 0), self.models[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; what is not a number is null."""
        reference = self.reference
        content: dict[str, Any] = {
            "data": self.data,
            "texts": self.texts,
            "held": self.held,
            "seed": self.seed,
            "bands": f"95 %, bootstrap over the texts, {DRAWS:,} draws",
            "kinds": list(KINDS),
            "reference": reference.name,
            "models": [{**model.to_dict(), "gain": model.gain(reference).to_dict()} for model in self.models],
        }
        plain: dict[str, Any] = _without_nan(content)
        return plain


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
