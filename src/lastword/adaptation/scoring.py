"""Models side by side on the test texts: by labels if there are any, and always by scores that need none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lastword.adaptation.texts import Part
from lastword.encoder import TextEncoder, encode_distinct
from lastword.evaluation.clustering import vectors_cluster_score
from lastword.probing.scoring import OptionScorer
from lastword.probing.texts import sampled
from lastword.uncertainty import Difference, Score, compare

LABELLED = "v_measure"
LABEL_FREE = ("stability", "agreement")
"""Scores without labels; the first one decides where there are no labels."""


@dataclass(frozen=True)
class ModelRow:
    """A model and its scores on the test texts.

    Attributes:
        kind: "adapted", "unadapted" (the model before training, in the setting that was trained), "best unadapted"
            (in the setting that was best on the development texts), "tfidf" or "other".
        name: of the model.
        setting: template, pooling and layer; "" for other models than decoders.
        scores: name in `MEASURES` → score.
    """

    kind: str
    name: str
    setting: str
    scores: dict[str, Score]

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` reads them."""
        return vars(self) | {"scores": {name: score.to_dict() for name, score in self.scores.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ModelRow:
        """Read what `to_dict` wrote."""
        scores = {name: Score.from_dict(score) for name, score in content["scores"].items()}
        return cls(content["kind"], content["name"], content["setting"], scores)

    def against(self, other: ModelRow, measure: str) -> Difference:
        """The score minus that of another model, paired."""
        return compare(self.scores[measure], other.scores[measure])


class Comparer:
    """Scores models on the same texts and the same noisy copies of them.

    Args:
        test: the texts, and their labels if they have any.
        seed: of noise and of scores without labels.
    """

    def __init__(self, test: Part, seed: int) -> None:
        self.labels = test.known_labels
        self.texts = sampled(test.texts, None, "the test texts", None, seed)
        self._label_free = OptionScorer(self.texts, LABEL_FREE, seed, 1, None)

    def scores(self, encoder: TextEncoder) -> dict[str, Score]:
        """Name in `MEASURES` → score, with replicates."""
        vectors, noisy = (encode_distinct(encoder, texts) for texts in (self.texts.texts, self.texts.noisy))
        scores = {LABELLED: vectors_cluster_score(vectors, self.labels)} if self.labels else {}
        for name, score in self._label_free.scores(vectors, noisy).items():
            replicates = self._label_free.resamples(name, vectors, noisy)
            scores[name] = replace(score, resamples=replicates)
        return scores
