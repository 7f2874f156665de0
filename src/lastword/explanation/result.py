"""The result of `explain`: numbers and words, independent of how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lastword.embedding.vocabulary import Word
from lastword.explanation.groups import Group
from lastword.explanation.shares import KINDS, Kind, Shares
from lastword.explanation.words import Token
from lastword.files.plain_json import json_values
from lastword.uncertainty import MeanInterval, mean_interval, mean_intervals


@dataclass(frozen=True)
class TextDetail:
    """One text, its tokens, and the words nearest to its vector (and to that minus the mean); None without a head."""

    text: str
    tokens: list[Token]
    words: list[Word] | None
    distinctive: list[str] | None


@dataclass(frozen=True)
class ModelExplanation:
    """The measurements of one model.

    Attributes:
        name: of the model or checkpoint.
        step: training step; 0 is the base model, None a model whose step is unknown.
        template: its name, or "custom".
        pooling: its name.
        shares: its attention, text by text.
        geometry: mean_cosine, effective_rank, uniformity and alignment; None where it is not defined.
        details: texts shown token by token.
        groups: of the file's texts; empty if none were requested.
    """

    name: str
    step: int | None
    template: str
    pooling: str
    shares: Shares
    geometry: dict[str, float | None]
    details: list[TextDetail]
    groups: list[Group]

    @property
    def kinds(self) -> dict[Kind, MeanInterval]:
        """Share of each kind of token in the last layer."""
        return self._kinds(-1)

    @property
    def content(self) -> MeanInterval:
        """Share on content words in the last layer: the one number that summarises a checkpoint."""
        return mean_interval(self.shares.content[:, -1])

    @property
    def balance(self) -> MeanInterval:
        """Balance of the remaining attention in the last layer."""
        return mean_interval(self.shares.balance[:, -1])

    @property
    def uniform(self) -> float:
        """Share on content words if all weights were equal."""
        return mean_interval(self.shares.uniform).mean

    def gain(self, other: ModelExplanation) -> MeanInterval:
        """Share on content words minus that of another model, paired by text."""
        return mean_interval(self.shares.content[:, -1] - other.shares.content[:, -1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN where a number is not defined."""
        layers = range(self.shares.kinds.shape[1])
        return {
            "name": self.name,
            "step": self.step,
            "template": self.template,
            "pooling": self.pooling,
            "content": self.content.to_dict(),
            "uniform": self.uniform,
            "balance": self.balance.to_dict(),
            "kinds": {kind: share.to_dict() for kind, share in self.kinds.items()},
            "layers": [self._layer(layer) for layer in layers],
            "heads": self.shares.heads.tolist(),
            "geometry": self.geometry,
            "texts": [asdict(detail) for detail in self.details],
            "groups": [asdict(group) for group in self.groups],
        }

    def _layer(self, layer: int) -> dict[str, Any]:
        return {
            "content": mean_interval(self.shares.content[:, layer]).to_dict(),
            "balance": mean_interval(self.shares.balance[:, layer]).to_dict(),
            "kinds": {kind: share.to_dict() for kind, share in self._kinds(layer).items()},
        }

    def _kinds(self, layer: int) -> dict[Kind, MeanInterval]:
        return dict(zip(KINDS, mean_intervals(self.shares.kinds[:, layer]), strict=True))


@dataclass(frozen=True)
class Explanation:
    """Models side by side.

    Attributes:
        data: the file.
        texts: number of its texts in the sample.
        texts_in_file: number of texts in the file.
        seed: of the sample and of k-means.
        models: in the given order, checkpoints last.
    """

    data: str
    texts: int
    texts_in_file: int
    seed: int
    models: Sequence[ModelExplanation]

    @property
    def reference(self) -> ModelExplanation:
        """The model that the others are compared with: the base model of a run, else the first."""
        return next((model for model in self.models if model.step == 0), self.models[0])

    def to_dict(self) -> dict[str, Any]:
        """The content of explain.json: JSON-compatible values, null where a number is not defined."""
        reference = self.reference
        content: dict[str, Any] = {
            "data": self.data,
            "texts": self.texts,
            "texts_in_file": self.texts_in_file,
            "seed": self.seed,
            "intervals": "95 %, over the texts",
            "kinds": list(KINDS),
            "reference": reference.name,
            "models": [{**model.to_dict(), "gain": model.gain(reference).to_dict()} for model in self.models],
        }
        plain: dict[str, Any] = json_values(content)
        return plain
