"""From a model and texts to scored options: parts of the grid that fit into memory, embedded and scored."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from lastword.console import progress, warn
from lastword.embedding import Embedder
from lastword.embedding.grid import families
from lastword.errors import RequestError, WorkError
from lastword.evaluation.scores import vectors_classification_score, vectors_cluster_score
from lastword.geometry import alignment, effective_rank, uniformity
from lastword.probing.choices import Choices
from lastword.probing.labelfree import neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.result import Option, ranked
from lastword.probing.texts import ProbeTexts, few_shot_rows
from lastword.uncertainty import Score, resamples, sample_hash

BOOTSTRAP_SIZE = 1024
"""A sixteenth of mteb's: hundreds of options are ranked, and only their differences matter here."""
COMPARED = 20
"""Options, the best ones, that are compared with the best: each takes as long as scoring several others."""
_BYTES_PER_NUMBER = 8  # float32, and its copy while vectors are scaled
_SPLITS_OF_HALVES = 2  # of split-half agreement, on each half of the texts

Item = TypeVar("Item")


class OptionScorer:
    """Computes the chosen scores of an option.

    Attributes:
        names: of the scores it computes.
        samples_per_label: training texts of each label for accuracy.
    """

    def __init__(self, texts: ProbeTexts, names: Sequence[str], seed: int, samples_per_label: int) -> None:
        self._labels = texts.labels or []
        self._seed, self.samples_per_label = seed, samples_per_label
        self._few_shot = few_shot_rows(self._labels, samples_per_label, seed) if "accuracy" in names else None
        if "accuracy" in names and not self._few_shot:
            warn(
                f"fewer than two labels have {2 * samples_per_label} texts: accuracy is left out; "
                "use fewer samples_per_label, or give more texts"
            )
        self.names = tuple(name for name in names if name != "accuracy" or self._few_shot)
        self._sample = sample_hash([*texts.texts, *texts.noisy, seed])

    @property
    def few_shot_texts(self) -> int:
        """Texts that accuracy is measured on."""
        return len(self._few_shot[1]) if self._few_shot else 0

    def scores(self, vectors: np.ndarray, noisy: np.ndarray) -> dict[str, Score]:
        """Name → score, without resamples.

        Args:
            vectors: (n, dim), of the texts.
            noisy: (n, dim), of their noisy copies.
        """
        return {name: self._score(name, vectors, noisy) for name in self.names}
