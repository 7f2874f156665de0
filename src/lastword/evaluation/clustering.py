"""V-measure of k-means clusters against labels, by mteb's protocol.

The protocol is repeated here in numpy and scikit-learn, so that nothing heavy is imported and the clusters are at
hand for chance, AMI and the error of the texts; tests compare every value with mteb's own.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from lastword.console import progress
from lastword.encoder import TextEncoder, VectorRows, encode_distinct
from lastword.errors import RequestError
from lastword.evaluation.labels import SEED, Label, coded, require_labels, require_same_length
from lastword.uncertainty import HALVES, Score, resamples, sample_hash

BOOTSTRAP_SIZE = 16_384
"""Texts in one bootstrap of mteb's."""
_BOOTSTRAPS, _BATCH = 10, 512
STARTS = 4
"""Random starts of k-means on each half of the texts: what they add to the error of the texts is taken out of it."""
MOST_HALVED = 2048
"""Texts of a half that are clustered; of more texts, smaller parts than halves do."""

Draw = tuple[np.ndarray, np.ndarray]
"""Rows of one bootstrap, (size,), and the cluster of each."""


def cluster_score(
    encoder: TextEncoder,
    texts: Sequence[str],
    labels: Sequence[Label],
    seed: int = SEED,
    *,
    bootstrap_size: int = BOOTSTRAP_SIZE,
) -> Score:
    """V-measure of k-means clusters against the labels, with mteb's value to the last digit.

    All texts are embedded. Ten times, `bootstrap_size` of them are drawn with replacement, put into as many
    clusters as there are labels by mini-batch k-means, and the clusters compared with the labels.

    The bootstrap size is mteb's 16,384 whatever n is, so that the score is the one mteb would print for the
    same texts.

    V-measure does not correct for chance: small groups agree by accident, so vectors without meaning score
    0.17 for 560 texts with 28 labels. Hence `chance`, the V-measure of the same clusters and shuffled labels,
    and `ami`, which is 0 for chance. It counts each text once, where mteb's counts the copies of a bootstrap.

    Args:
        encoder: what is scored.
        texts: n texts; repeated ones are embedded once and counted each time.
        labels: n labels.
        seed: of bootstraps and k-means.
        bootstrap_size: texts in each of the ten bootstraps.

    Returns:
        The mean of ten V-measures, with replicates, chance and AMI.

    Raises:
        RequestError: fewer than two labels, or not one label per text.

    Source: MTEB's fast clustering, arXiv:2502.13595; V-measure, Rosenberg and Hirschberg 2007; AMI, Vinh et al. 2010.
    """
    _require_clusterable(texts, labels, bootstrap_size)
    vectors = encode_distinct(encoder, texts)
    return vectors_cluster_score(vectors, labels, seed, bootstrap_size=bootstrap_size)


def vectors_cluster_score(
    vectors: np.ndarray,
    labels: Sequence[Label],
    seed: int = SEED,
    *,
    bootstrap_size: int = BOOTSTRAP_SIZE,
    resampled: bool = True,
) -> Score:
    """Score vectors that exist already, such as several poolings from one pass; see `cluster_score`.

    Args:
        vectors: (n, dim).
        labels: n labels, in the order of the rows.
        seed: of bootstraps and k-means.
        bootstrap_size: texts in each of the ten bootstraps.
        resampled: whether halves of the texts are clustered too; without them the score cannot be compared.
    """
    _require_clusterable(VectorRows(vectors).texts, labels, bootstrap_size)
    codes, vectors = coded(labels), np.asarray(vectors)
    draws, generator = list[Draw](), random.Random(seed)
    with progress("k-means", _BOOTSTRAPS + (HALVES if resampled else 0)) as advance, one_thread():
        for _ in range(_BOOTSTRAPS):
            rows = np.array(generator.choices(range(len(vectors)), k=bootstrap_size))
            draws.append((rows, k_means(vectors[rows], np.unique(codes).size, seed, _BATCH)))
            advance(1)
        halved = half_v_measures(vectors, codes, advance) if resampled else ()
    return clusters_score(codes, draws, halved, ["clustering", seed, bootstrap_size])


def clusters_score(
    codes: np.ndarray,
    draws: Sequence[Draw],
    halved: tuple[tuple[float, ...], ...],
    protocol: Sequence[object],
    mean_of: int | None = None,
) -> Score:
    """V-measure of clusters against labels, with replicates, chance and AMI.

    Args:
        codes: (n,) labels as numbers.
        draws: what was clustered.
        halved: see `half_v_measures`.
        protocol: what the draws depend on.
        mean_of: how many of the draws, the first ones, the value is the mean of; None is all.
    """
    from sklearn.metrics import v_measure_score

    values = tuple(float(v_measure_score(codes[rows], clusters)) for rows, clusters in draws)
    chance, ami = against_chance(codes, draws)
    return Score(
        "v_measure", float(np.mean(values[:mean_of])), values, halved, len(codes),
        sample_hash([*protocol, codes.tolist()]), mean_of, chance, ami,
    )  # fmt: skip


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep scikit-learn on one thread.

    The threads of k-means wait for each other in a busy loop, so that one second turns into thirty where
    another job uses the cores, and where none does they gain little at these sizes.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield


def k_means(vectors: np.ndarray, clusters: int, seed: int, batch: int) -> np.ndarray:
    """The cluster of each row, (n,), by mini-batch k-means as mteb calls it; call it within `one_thread`."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    model = MiniBatchKMeans(clusters, batch_size=batch, init="k-means++", n_init=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        assigned: np.ndarray = model.fit_predict(vectors)
    return assigned


def against_chance(codes: np.ndarray, draws: Sequence[Draw]) -> tuple[float, float]:
    """V-measure of the clusters against shuffled labels, and AMI of clusters and labels; means over the draws.

    Texts are shuffled, not the rows of a bootstrap, and for AMI each text counts once: copies of one text are
    no evidence of their own.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    shuffle = np.random.default_rng(0)
    chance, ami = [], []
    for rows, clusters in draws:
        chance.append(_v_measure(shuffle.permutation(codes)[rows], clusters))
        texts, first = np.unique(rows, return_index=True)
        ami.append(adjusted_mutual_info_score(codes[texts], clusters[first]))
    return float(np.mean(chance)), float(np.mean(ami))


def half_v_measures(
    vectors: np.ndarray, codes: np.ndarray, advance: Callable[[int], None] = lambda units: None
) -> tuple[tuple[float, ...], ...]:
    """Replicates for `Score.resamples`: the texts of each half clustered again from several random starts.

    Halves are drawn without replacement: copies of a text fall into one cluster, so that a bootstrap of n texts
    would lift the V-measure.
    """

    def values_of(rows: np.ndarray) -> list[float]:
        part, labels = vectors[rows], codes[rows]
        clusters = np.unique(labels).size
        values = [_v_measure(labels, k_means(part, clusters, start, _BATCH)) for start in range(STARTS)]
        advance(1)
        return values

    with one_thread():
        return resamples(values_of, len(codes), most=MOST_HALVED)


def _v_measure(labels: np.ndarray, clusters: np.ndarray) -> float:
    """V-measure as scikit-learn's, in a tenth of its time."""
    counts = np.bincount(labels * (clusters.max() + 1) + clusters, minlength=1)
    joint = _entropy(counts)
    parts = _entropy(np.bincount(labels)) + _entropy(np.bincount(clusters))
    return 2 * (parts - joint) / parts if parts else 1.0


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _require_clusterable(texts: Sequence[str], labels: Sequence[Label], bootstrap_size: int) -> None:
    require_labels(labels, "clustering")
    require_same_length(texts, labels)
    if bootstrap_size < (kinds := len(set(labels))):
        raise RequestError(
            f"bootstrap_size={bootstrap_size}: there are {kinds} labels; draw at least that many texts"
        )
