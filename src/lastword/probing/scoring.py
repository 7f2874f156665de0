"""From a model and texts to scored options: parts of the grid that fit into memory, embedded and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from lastword.console import progress
from lastword.embedding import Embedder
from lastword.embedding.grid import GridAxes, families, label
from lastword.evaluation.classification import vectors_classification_score
from lastword.evaluation.clustering import half_v_measures, vectors_cluster_score
from lastword.evaluation.labels import coded
from lastword.geometry import alignment, effective_rank, uniformity
from lastword.probing.labelfree import SPLITS, neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.result import Key, Option, ranked
from lastword.probing.texts import FewShot, ProbeTexts
from lastword.uncertainty import Score, resamples, sample_hash

BOOTSTRAP_SIZE = 1024
"""A sixteenth of mteb's: hundreds of options are ranked, and only their differences matter here."""
COMPARED = 20
"""Options, the best ones, that are compared with the best: each takes as long as scoring several others."""
_BYTES_PER_NUMBER = 8  # float32, and its copy while vectors are scaled
_SPLITS_OF_HALVES = 2  # of split-half agreement, on each half of the texts

Item = TypeVar("Item")


@dataclass(frozen=True)
class OptionScorer:
    """Computes the chosen scores of an option; `few_shot` are the rows for accuracy, if it is among the names."""

    texts: ProbeTexts
    names: tuple[str, ...]
    seed: int
    samples_per_label: int
    few_shot: FewShot | None

    @property
    def bootstrap_size(self) -> int:
        """Draws in a bootstrap of the V-measure."""
        return max(BOOTSTRAP_SIZE, len(set(self._labels)))

    @cached_property
    def _labels(self) -> list[str]:
        return self.texts.labels or []

    @cached_property
    def _sample(self) -> str:
        return sample_hash([*self.texts.texts, *self.texts.noisy, self.seed])

    def scores(self, vectors: np.ndarray, noisy: np.ndarray) -> dict[str, Score]:
        """Name → score, without resamples.

        Args:
            vectors: (n, dim), of the texts.
            noisy: (n, dim), of their noisy copies.
        """
        return {name: self._score(name, vectors, noisy) for name in self.names}

    def resamples(self, name: str, vectors: np.ndarray, noisy: np.ndarray) -> tuple[tuple[float, ...], ...]:
        """Replicates of a score on halves of the texts; see `lastword.uncertainty`."""
        if name == "v_measure":
            return half_v_measures(vectors, coded(self._labels))
        if name == "accuracy":
            return self._accuracy(vectors).resamples
        if name == "stability":
            shares = neighbour_stability(vectors, noisy, seed=self.seed)
            return resamples(lambda rows: [shares[rows].mean()], len(vectors))
        return resamples(
            lambda rows: self._label_free(name, vectors[rows], noisy[rows], _SPLITS_OF_HALVES), len(vectors)
        )

    def _score(self, name: str, vectors: np.ndarray, noisy: np.ndarray) -> Score:
        if name == "v_measure":
            return vectors_cluster_score(
                vectors, self._labels, bootstrap_size=self.bootstrap_size, resampled=False
            )
        if name == "accuracy":
            return replace(self._accuracy(vectors), resamples=())
        values = self._label_free(name, vectors, noisy)
        draws = tuple(values) if len(values) > 1 else ()
        return Score(name, float(np.mean(values)), draws, (), len(vectors), self._sample)

    def _label_free(
        self, name: str, vectors: np.ndarray, noisy: np.ndarray, splits: int = SPLITS
    ) -> list[float]:
        """The value for each random draw, one if nothing is drawn."""
        compute: dict[str, Callable[[], list[float]]] = {
            "stability": lambda: [float(neighbour_stability(vectors, noisy, seed=self.seed).mean())],
            "agreement": lambda: split_half_agreement(vectors, seed=self.seed, splits=splits).tolist(),
            "tolerance": lambda: [noise_tolerance(vectors, noisy)],
            "effective_rank": lambda: [effective_rank(vectors)],
            "alignment": lambda: [alignment(vectors, noisy)],
            "uniformity": lambda: [uniformity(vectors)],
        }
        return compute[name]()

    def _accuracy(self, vectors: np.ndarray) -> Score:
        assert self.few_shot is not None
        train, test = self.few_shot
        return vectors_classification_score(
            vectors[train], [self._labels[row] for row in train],
            vectors[test], [self._labels[row] for row in test],
            samples_per_label=self.samples_per_label,
        )  # fmt: skip


def parts_within(embedder: Embedder, axes: GridAxes, texts: int, memory_gib: float) -> Iterator[GridAxes]:
    """Divide the options into parts whose vectors take at most `memory_gib`, or that have a single option.

    Templates with the same beginning share their passes, and all poolings and layers of a pass are computed
    together. So the options are divided where this repeats the least: by beginnings, then by layers (a pass
    for early layers stops early), then by templates, and by poolings last.

    Args:
        embedder: its tokenizer decides which templates begin alike.
        axes: what is combined.
        texts: texts that are embedded for each option, noisy copies included.
        memory_gib: memory for vectors, in GiB, in addition to the model's own.
    """
    most = max(1, int(memory_gib * 2**30 / (texts * embedder.dim * _BYTES_PER_NUMBER)))
    for family in families(embedder.pipeline, axes):
        by_layers = max(1, most // (len(family.templates) * len(axes.poolings)))
        by_templates = max(1, most // len(axes.poolings))
        for templates in _pieces(family.templates, by_templates):
            for poolings in _pieces(axes.poolings, most):
                for layers in _pieces(axes.layers, by_layers):
                    yield GridAxes(templates, poolings, layers)


def _pieces(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """Pieces of at most this size, as equal as possible."""
    count = -(-len(items) // size)
    for i in range(count):
        yield list(items[i * len(items) // count : (i + 1) * len(items) // count])


def score_part(
    embedder: Embedder,
    part: GridAxes,
    scorer: OptionScorer,
    rank_by: str,
    earlier: Sequence[Option],
    batch_tokens: int | None = None,
) -> list[Option]:
    """Embed texts and noisy copies for a part of the options, and score each of them.

    Those among the best `COMPARED` of this part and the earlier ones get resamples of the ranking score.

    Raises:
        DivergenceError: vectors that are not finite.
    """
    texts = scorer.texts.texts + scorer.texts.noisy
    grid = embedder.encode_grid(texts, part.templates, part.poolings, part.layers, batch_tokens=batch_tokens)
    vectors = {(point.template, point.pooling, point.layer): rows for point, rows in grid.items()}
    options: dict[Key, Option] = {}
    with progress("options scored", len(vectors)) as advance:
        for (template, pooling, layer), rows in vectors.items():
            scores = scorer.scores(*np.split(rows, 2))
            options[template, pooling, layer] = Option(template, pooling, layer, scores)
            advance(1)
    best = ranked([*earlier, *options.values()], rank_by)[:COMPARED]
    candidates = [option for option in best if option.key in options]
    with progress("options compared with the best", len(candidates)) as advance:
        for option in candidates:
            resamples_of_score = scorer.resamples(rank_by, *np.split(vectors[option.key], 2))
            options[option.key] = option.with_resamples(rank_by, resamples_of_score)
            advance(1)
    return list(options.values())


def in_order(scored: Sequence[Option], axes: GridAxes, rank_by: str) -> tuple[Option, ...]:
    """Options by template, pooling and layer, with resamples of the best `COMPARED` only.

    So the result does not depend on the parts in which the options were scored.
    """
    compared = {option.key for option in ranked(scored, rank_by)[:COMPARED]}
    by_key = {
        option.key: option if option.key in compared else option.with_resamples(rank_by, ())
        for option in scored
    }
    return tuple(
        by_key[label(template), pooling.spec, layer]
        for template in axes.templates
        for pooling in axes.poolings
        for layer in axes.layers
    )
