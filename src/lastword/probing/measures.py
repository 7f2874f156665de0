"""The scores of one option, from its vectors: those that need labels where there are some, and those that do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lastword.console import warn
from lastword.errors import RequestError, unknown_name
from lastword.evaluation import vectors_classification_score, vectors_cluster_score
from lastword.geometry import alignment, effective_rank, uniformity
from lastword.probing.labelfree import neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.texts import ProbeTexts, few_shot_rows

BOOTSTRAP_SIZE = 1024
"""A sixteenth of mteb's: hundreds of options are ranked, and only their differences matter here."""


@dataclass(frozen=True)
class Measure:
    """What a score is called, which way it points and how it is written.

    Attributes:
        title: for a table.
        higher: whether more is better.
        percent: whether it is shown as 0 … 100.
        labelled: whether it needs labels.
    """

    title: str
    higher: bool = True
    percent: bool = True
    labelled: bool = False

    def shown(self, value: float) -> str:
        """The value, and a band likewise."""
        return f"{100 * value:.1f}" if self.percent else f"{value:.3g}"


MEASURES: dict[str, Measure] = {
    "v_measure": Measure("V-measure", labelled=True),
    "accuracy": Measure("accuracy", labelled=True),
    "stability": Measure("stability"),
    "agreement": Measure("agreement"),
    "tolerance": Measure("tolerance"),
    "effective_rank": Measure("rank", percent=False),
    "alignment": Measure("alignment", higher=False, percent=False),
    "uniformity": Measure("uniformity", higher=False, percent=False),
}
# Of the scores without labels, the one whose order of the last layer's options agrees best with V-measure on
# public texts: results/probe.json, docs/reference/probe.md.
LABELLED_RANKING, LABEL_FREE_RANKING = "v_measure", "stability"

Measured = tuple[float, float | None]


def measure_names(given: str | Sequence[str] | None, labelled: bool, rank_by: str | None) -> tuple[str, ...]:
    """The scores to compute, in the order of `MEASURES`; the ranking one is always among them.

    Args:
        given: names, or names with commas between; None is all that the texts allow.
        labelled: whether there are labels.
        rank_by: see `ranking`.

    Raises:
        RequestError: an unknown name, or one that needs labels where there are none.
    """
    if given is None:
        return tuple(name for name, measure in MEASURES.items() if labelled or not measure.labelled)
    names = [name.strip() for name in (given.split(",") if isinstance(given, str) else given)]
    names.append(ranking(rank_by, labelled))
    for name in names:
        _require_known(name, labelled)
    return tuple(name for name in MEASURES if name in names)


def ranking(given: str | None, labelled: bool) -> str:
    """The score that ranks: V-measure where there are labels, else the one that orders a layer's options as it does.

    Raises:
        RequestError: an unknown name, or one that needs labels where there are none.
    """
    if given is None:
        return LABELLED_RANKING if labelled else LABEL_FREE_RANKING
    _require_known(given, labelled)
    return given


def _require_known(name: str, labelled: bool) -> None:
    if name not in MEASURES:
        raise RequestError(unknown_name("score", name, MEASURES))
    if MEASURES[name].labelled and not labelled:
        free = [known for known, measure in MEASURES.items() if not measure.labelled]
        raise RequestError(f"{name} needs labels: give --label-column, or choose from {', '.join(free)}")


class Judge:
    """Computes the chosen scores of an option.

    Attributes:
        names: of the scores it gives.
        samples_per_label: training texts of each label for accuracy.
    """

    def __init__(self, given: ProbeTexts, names: Sequence[str], seed: int, samples_per_label: int) -> None:
        self._labels = given.labels or []
        self._seed, self.samples_per_label = seed, samples_per_label
        self._halves = few_shot_rows(self._labels, samples_per_label, seed) if "accuracy" in names else None
        if "accuracy" in names and not self._halves:
            warn(
                f"fewer than two labels have {2 * samples_per_label} texts: no accuracy; "
                "ask for fewer samples_per_label, or give more texts"
            )
        self.names = tuple(name for name in names if name != "accuracy" or self._halves)

    @property
    def few_shot_texts(self) -> int:
        """Texts that accuracy is measured on."""
        return len(self._halves[1]) if self._halves else 0

    def __call__(self, vectors: np.ndarray, damaged: np.ndarray) -> dict[str, Measured]:
        """Score → its value and its band (None where none is known).

        Args:
            vectors: (n, dim), of the texts.
            damaged: (n, dim), of their damaged copies.
        """
        how: dict[str, Callable[[], Measured]] = {
            "v_measure": lambda: self._v_measure(vectors),
            "accuracy": lambda: self._accuracy(vectors),
            "stability": lambda: neighbour_stability(vectors, damaged, seed=self._seed),
            "agreement": lambda: split_half_agreement(vectors, seed=self._seed),
            "tolerance": lambda: noise_tolerance(vectors, damaged),
            "effective_rank": lambda: (effective_rank(vectors), None),
            "alignment": lambda: (alignment(vectors, damaged), None),
            "uniformity": lambda: (uniformity(vectors), None),
        }
        return {name: how[name]() for name in self.names}

    def _v_measure(self, vectors: np.ndarray) -> Measured:
        size = max(BOOTSTRAP_SIZE, len(set(self._labels)))
        score = vectors_cluster_score(vectors, self._labels, bootstrap_size=size)
        return score.value, float(np.std(score.draws))

    def _accuracy(self, vectors: np.ndarray) -> Measured:
        assert self._halves is not None
        train, test = self._halves
        score = vectors_classification_score(
            vectors[train], [self._labels[row] for row in train],
            vectors[test], [self._labels[row] for row in test],
            samples_per_label=self.samples_per_label,
        )  # fmt: skip
        return score.value, float(np.std(score.draws))
