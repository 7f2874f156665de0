"""What follows the vectors: groups, a map, scores. One measurement on this machine, and how much longer each takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.console import load_libraries
from lastword.corpus.clustering.choosing import LEAST_TEXTS, NUMBERS
from lastword.corpus.clustering.choosing import TEXTS as TRIED_TEXTS
from lastword.corpus.clustering.partition import FIT_TEXTS, k_means
from lastword.corpus.clustering.stability import REPEATS
from lastword.corpus.clustering.stability import TEXTS as STABILITY_TEXTS
from lastword.corpus.map.plane import way_here
from lastword.corpus.texts import Corpus
from lastword.evaluation.clustering import MOST_HALVED
from lastword.files.sources import Source
from lastword.geometry import unit
from lastword.planning.embedding import Encoding, chunk_bytes, first_texts
from lastword.planning.memory import Machine
from lastword.planning.result import Plan

_POINTS, _GROUPS = 1000, 20  # that are timed
_ROUNDS = 9
_FULL = 8192  # points that k-means takes whole; more go in mini-batches
_STARTS, _CONVERGING = 4, 1.3  # of the groups that are kept
# How much longer than one k-means of 1,000 points in 20 groups other work took, on vectors of the bundled model:
# A number of groups that is tried: in any case, of points, of points in 20 groups.
_TRY, _TRY_POINTS, _TRY_GROUPS = 2.2, 4.2, 8.1
_SCORE, _SCORE_POINTS = 67.0, 87.0  # V-measure with its intervals
_LABEL_FREE, _LABEL_FREE_POINTS = 11.0, 44.0
_OPTION = 0.6  # of a V-measure: a setting that is tried has smaller bootstraps
_UMAP, _UMAP_POINTS, _UMAP_MANY_POINTS = 650.0, 175.0, 90.0  # compiling it; many points get fewer epochs
_UMAP_SEARCH = 1250.0  # compiling the search for neighbours, which few points do not need
_FEW, _MANY = 4096, 10_000  # points, to UMAP
_UMAP_BYTES, _UMAP_SEARCH_BYTES, _UMAP_POINT_BYTES = 165.0 * 2**20, 150.0 * 2**20, 4000.0
_COPIES = 4  # of the vectors that groups are found on: as stored, scaled, centred, in k-means


@dataclass(frozen=True)
class VectorCosts:
    """Seconds of work on vectors of some width.

    Attributes:
        each: seconds of k-means of 1,000 points in 20 groups from one start.
    """

    each: float

    @classmethod
    def of(cls, dim: int) -> VectorCosts:
        """Time k-means of random points with this many dimensions."""
        random = np.random.default_rng(0)
        centres = random.normal(size=(_GROUPS, dim))
        points = unit(centres[np.arange(_POINTS) % _GROUPS] + 2 * random.normal(size=(_POINTS, dim)))
        points = points.astype(np.float32)
        k_means(points[:100], 2, 0, starts=1)  # loads scikit-learn
        seconds = []
        for number in range(_ROUNDS):
            started = time.perf_counter()
            k_means(points, _GROUPS, number, starts=1)
            seconds.append(time.perf_counter() - started)
        return cls(float(np.median(seconds)))

    def groups(self, rows: int, groups: int | None) -> float:
        """Choosing the number of groups if it is not given, finding them, and their stability."""
        tried = min(rows, TRIED_TEXTS) / _POINTS
        numbers = [number for number in NUMBERS if number <= min(rows, TRIED_TEXTS) // LEAST_TEXTS]
        chosen = groups or (numbers or NUMBERS)[-1]
        work = sum(_TRY + tried * (_TRY_POINTS + _TRY_GROUPS * number / _GROUPS) for number in numbers)
        work = 0.0 if groups else work
        work += _STARTS * _CONVERGING * min(rows, _FULL) / _POINTS * chosen / _GROUPS
        work += REPEATS * min(rows, STABILITY_TEXTS) / _POINTS * chosen / _GROUPS
        return work * self.each

    def map(self, points: int, way: str) -> float:
        """Putting points on a map."""
        if way != "umap":
            return 0.0
        each = _UMAP_POINTS if points < _MANY else _UMAP_MANY_POINTS
        search = 0.0 if points < _FEW else _UMAP_SEARCH
        return (_UMAP + search + each * points / _POINTS) * self.each

    def cluster_score(self, texts: int) -> float:
        """V-measure with its intervals."""
        return (_SCORE + _SCORE_POINTS * min(texts, MOST_HALVED) / _POINTS) * self.each

    def label_free(self, texts: int) -> float:
        """Stability and agreement with their intervals."""
        return (_LABEL_FREE + _LABEL_FREE_POINTS * texts / _POINTS) * self.each

    def option(self, texts: int, labels: bool) -> float:
        """The score of a setting that is tried, and its comparison with the best."""
        return _OPTION * (self.cluster_score(texts) if labels else self.label_free(texts))


def plan_clustering(
    inputs: Source | Sequence[Source],
    model: str | Path = "mini",
    *,
    text_column: str = "text",
    groups: int | None = None,
    map: str = "auto",
    map_texts: int = 100_000,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory, time and disk of `cluster_corpus` by k-means; the weights of the model are not needed.

    Args:
        inputs: files with texts.
        model, text_column, groups, map, map_texts, template, pooling, batch_tokens, dtype: as for `cluster_corpus`.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `cluster_corpus`.
    """
    corpus = Corpus.find(inputs, text_column)
    load_libraries("torch", "transformers.modeling_utils", "sklearn.cluster")
    sample, count = first_texts(corpus), corpus.count_read()
    points, map = min(count, map_texts), way_here(map)
    encoding = Encoding.of(
        "clustering", model, sample, Machine.of(device, gpu_memory), data=chunk_bytes(sample, count),
        batch_tokens=batch_tokens, dtype=dtype, template=template, pooling=pooling,
    )  # fmt: skip
    data = chunk_bytes(sample, count) + grouping_bytes(count, encoding.dim, map, points)
    stages: dict[str, float | None] = dict.fromkeys(("embedding", "groups", "map"))
    if (embedding := encoding.seconds(count)) is not None:
        costs = VectorCosts.of(encoding.dim)
        stages = {
            "embedding": embedding,
            "groups": costs.groups(count, groups),
            "map": costs.map(points, map),
        }
    disk = 4.0 * count * encoding.dim + 3 * count * encoding.characters
    return encoding.plan(count, encoding.memory(data, count), stages, disk)


def grouping_bytes(rows: int, dim: int, map: str, points: int | None = None) -> float:
    """Bytes of libraries, vectors and coordinates while texts are grouped and put on a map."""
    vectors = _COPIES * 4.0 * min(rows, FIT_TEXTS["k-means"]) * dim
    if map != "umap":
        return vectors
    mapped = min(rows, points or rows)
    search = min(8.0 * mapped**2, _UMAP_SEARCH_BYTES)  # few points are compared with all others
    return vectors + _UMAP_BYTES + search + _UMAP_POINT_BYTES * mapped
