"""Scores, their standard errors, and whether one model is better than another: one rule for the whole package.

A `Score` is a value with two standard errors, reported apart:

- `draw_se`, of what the protocol drew at random: bootstraps and starts of k-means, few-shot training texts;
- `text_se`, of the sampling of texts: how much the value would vary over other texts of the same kind.

Two models are compared only on the same texts, and *paired*: every score carries aligned replicates, that is
the value for each draw (`draws`) and for each of `HALVES` random halves of the texts (`resamples`). Draw 3 or
half 7 of one model is draw 3 or half 7 of the other, so their differences hold none of the noise that both
share. `compare` gives the difference, its 95 % interval, and "better", "worse" or "not distinguishable".

    base, adapted = cluster_score(encoder, texts, labels), cluster_score(other, texts, labels)
    compare(adapted, base).verdict                         # two models as they are
    compare([run_0, run_1, run_2], base)                   # a recipe with three training seeds against a model
    compare([new_0, new_1, new_2], [old_0, old_1, old_2])  # two recipes, paired by seed
    combine([first_set, second_set])                       # one score, the mean over several sets of texts
    summarize([run_0, run_1, run_2])                       # value, draw_se (with training seeds), text_se

A mean over texts, such as a share of attention, needs no replicates: `mean_interval` gives it with its interval.

A new metric makes its replicates with `halves`: `resamples(lambda rows: [metric(rows)], n)`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from lastword.errors import RequestError

HALVES = 24
"""Random halves of the texts that a metric is computed on again."""
CONFIDENCE = 0.95
_STARTS_SHARE = 0.85
"""Share of the variance of random starts that an interval takes away from that between halves. All of it would be
unbiased, but too little would be left as often as too much; with this share, intervals cover 95 % or more."""
_SEED = 0  # of the halves: the same for every model, whatever the seed of the protocol

Verdict = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True)
class Score:
    """A value with its aligned replicates.

    Attributes:
        metric: such as "v_measure".
        value: 0 … 1 (a correlation −1 … 1); as the protocol defines it, to the last digit.
        draws: the value for each draw of the protocol; empty where the protocol draws nothing.
        resamples: the value on each random half of the texts, (halves, starts), scaled so that its spread is that
            of the value itself; `starts` are repetitions with other random starts on the same half. Empty
            where there are too few texts to halve.
        n: texts, pairs or queries that were scored.
        sample: hash of what two scores must share to be compared: texts or labels, protocol, seed.
        mean_of: how many independent draws the value is the mean of; None is as many as `draws`. Fewer where it
            takes only some of them, or where draws from one small set resemble each other.
        chance: value of the same clusters against shuffled labels; None where chance is plain.
        ami: adjusted mutual information of the clusters and the labels: 0 is chance, 1 is equal.
    """

    metric: str
    value: float
    draws: tuple[float, ...]
    resamples: tuple[tuple[float, ...], ...]
    n: int
    sample: str
    mean_of: float | None = None
    chance: float | None = None
    ami: float | None = None

    @property
    def draw_se(self) -> float:
        """Standard error of the value from the draws of the protocol; 0 where it draws nothing."""
        return math.sqrt(_of_draws(self).variance)

    @property
    def text_se(self) -> float | None:
        """Standard error of the value from the sampling of texts; None where there are too few of them."""
        part = _of_texts(np.array(self.resamples), 1.0)
        return math.sqrt(part.variance) if math.isfinite(part.variance) else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; `from_dict` reads them back."""
        return asdict(self) | {"draw_se": self.draw_se, "text_se": self.text_se}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        """Read what `to_dict` wrote."""
        fields = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        fields["draws"] = tuple(fields["draws"])
        fields["resamples"] = tuple(map(tuple, fields["resamples"]))
        return cls(**fields)


@dataclass(frozen=True)
class Summary:
    """A score over training seeds.

    Attributes:
        value: mean over the seeds.
        draw_se: standard error from training seeds and draws of the protocol.
        text_se: standard error from the sampling of texts; None where there are too few of them.
        n: texts that were scored.
        seeds: training seeds; the spread over them is in `draw_se` if there are two or more.
        chance, ami: means over the seeds, see `Score`.
    """

    value: float
    draw_se: float
    text_se: float | None
    n: int
    seeds: int
    chance: float | None
    ami: float | None


@dataclass(frozen=True)
class Difference:
    """One model's score minus another's, on the same texts.

    Attributes:
        value: the difference, in the unit of the score.
        low, high: ends of the 95 % interval; infinite where there are too few texts to know.
    """

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval allows to say of the first model."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "not distinguishable"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; infinite ends are None."""
        low, high = (end if math.isfinite(end) else None for end in (self.low, self.high))
        return {"value": self.value, "low": low, "high": high, "verdict": self.verdict}


@dataclass(frozen=True)
class MeanInterval:
    """A mean over texts.

    Attributes:
        mean: over the texts; NaN if there are none.
        low, high: ends of the 95 % interval; NaN if there are fewer than two texts.
        n: texts.
    """

    mean: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; NaN is None."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def compare(first: Score | Sequence[Score], second: Score | Sequence[Score]) -> Difference:
    """Judge the first model against the second on the same texts, paired.

    The variance of the difference is the sum of three: of the sampling of texts, of the draws of the protocol,
    and of the training seeds where a side has several. Each counts with the t quantile of its own degrees of
    freedom, so that three seeds do not pass for many. Of several models that are compared with the best of
    them, some are "worse" by chance: the interval is that of one comparison.

    Args:
        first: the score of a model, or one per training seed.
        second: that of another; as many training seeds are paired in order, other numbers are not paired.

    Raises:
        RequestError: no score, or scores of different texts, metrics or protocols.

    Source: half-samples, Shao and Wu 1989, doi:10.1214/aos/1176347263 (delete-d jackknife, d = n/2); a quantile for
        each part, Banerjee 1961, Sankhyā A 23, 359-378.
    """
    sides = [[side] if isinstance(side, Score) else list(side) for side in (first, second)]
    _require_same_sample([score for side in sides for score in side])
    left, right = (_mean(side) for side in sides)
    _require_same_replicates(left, right)
    draws = np.array(left.draws) - np.array(right.draws)
    resampled = np.array(left.resamples) - np.array(right.resamples)
    parts = [_of_texts(resampled, _STARTS_SHARE), _spread(draws, left.mean_of or len(draws))]
    values = [np.array([score.value for score in side]) for side in sides]
    if len(values[0]) == len(values[1]):
        parts.append(_spread(values[0] - values[1], len(values[0])))
    else:
        parts += [_spread(side, len(side)) for side in values]
    value = left.value - right.value
    margin = _margin(parts)
    return Difference(value, value - margin, value + margin)


def combine(scores: Sequence[Score]) -> Score:
    """The mean over several sets of texts, or over several seeds of the protocol, as one score.

    Training seeds are not combined but handed to `compare` or `summarize` one by one, since their spread is
    part of the error.

    Args:
        scores: of one model and metric, in the same order for every model.

    Returns:
        A score that compares with those of other models for the same sets.

    Raises:
        RequestError: no score, or scores of different metrics.
    """
    if len({score.metric for score in scores}) != 1:
        raise RequestError(
            f"scores of {sorted({score.metric for score in scores})}: give those of one metric"
        )
    if len(scores) == 1:
        return scores[0]
    return _mean(scores)


def summarize(scores: Sequence[Score]) -> Summary:
    """Value and standard errors over training seeds: one score each, all of the same texts.

    Raises:
        RequestError: no score, or scores of different texts.
    """
    _require_same_sample(scores)
    mean, values = _mean(scores), np.array([score.value for score in scores])
    variance = _of_draws(mean).variance + _spread(values, len(values)).variance
    return Summary(mean.value, math.sqrt(variance), mean.text_se, mean.n, len(scores), mean.chance, mean.ami)


def mean_intervals(values: np.ndarray) -> list[MeanInterval]:
    """Mean over texts with its 95 % interval, for each column; texts with NaN in a column are left out of it.

    The interval covers the sampling of texts, not the variation between training runs. To compare two models
    on the same texts, give it the differences of their values.

    Args:
        values: (n, columns), a row for each text.
    """
    return [mean_interval(column) for column in values.T]


def mean_interval(values: np.ndarray) -> MeanInterval:
    """Mean of (n,) values with its 95 % interval, by the t distribution; see `mean_intervals`."""
    known = values[~np.isnan(values)]
    n = len(known)
    if n < 2:
        return MeanInterval(float(known[0]) if n else math.nan, math.nan, math.nan, n)
    mean, part = float(known.mean()), _spread(known, n)
    margin = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * math.sqrt(part.variance)
    return MeanInterval(mean, mean - margin, mean + margin, n)


def halves(n: int, most: int | None = None) -> list[np.ndarray]:
    """Rows of `HALVES` random halves of n texts, sorted; none if n < 4.

    They depend on n alone, so that all models are scored on the same ones.

    Args:
        n: texts.
        most: rows in each at most, to bound the cost; None is n // 2.
    """
    if n < 4:
        return []
    rng = np.random.default_rng([_SEED, n])
    return [np.sort(rng.permutation(n)[: min(n // 2, most or n)]) for _ in range(HALVES)]


def resamples(
    values_of: Callable[[np.ndarray], Sequence[float]], n: int, *, most: int | None = None
) -> tuple[tuple[float, ...], ...]:
    """Replicates of a metric for `Score.resamples`.

    The variance of a metric over random halves of n texts, given these, is that over other texts of the same
    kind: for a mean exactly, for smooth metrics and for clusterings nearly, as the package's calibration shows.

    Args:
        values_of: rows of one half to the metric on these; several values where the metric has random starts,
            one for each.
        n: texts.
        most: rows in a half at most, to bound the cost of a metric; None is n // 2.

    Returns:
        (halves, starts); scaled where a half is not half of the texts.
    """
    rows_of = halves(n, most)
    if not rows_of:
        return ()
    values, size = np.array([values_of(rows) for rows in rows_of]), len(rows_of[0])
    scaled = values.mean() + math.sqrt(size / (n - size)) * (values - values.mean())
    return tuple(tuple(round(float(value), 6) for value in row) for row in scaled)


def sample_hash(facts: Iterable[object]) -> str:
    """Short hash for `Score.sample`: of texts or labels, of the protocol and its seed."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\0".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Part:
    """A share of the variance of a difference.

    Attributes:
        variance: its estimate; infinite where it is unknown.
        df: degrees of freedom of the estimate.
    """

    variance: float
    df: int


def _spread(values: np.ndarray, count: float) -> _Part:
    """Variance of the mean of `count` values that are spread as these; 0 for fewer than two."""
    if len(values) < 2:
        return _Part(0.0, 1)
    return _Part(float(values.var(ddof=1)) / count, len(values) - 1)


def _of_draws(score: Score) -> _Part:
    return _spread(np.array(score.draws), score.mean_of or len(score.draws))


def _of_texts(values: np.ndarray, starts_share: float) -> _Part:
    """Variance between halves, less a share of what the random starts within a half add to it."""
    if not values.size:
        return _Part(math.inf, 1)
    count, starts = values.shape
    variance = float(values.mean(axis=1).var(ddof=1))
    if starts > 1:
        variance -= starts_share * float(values.var(axis=1, ddof=1).mean()) / starts
    return _Part(max(variance, 0.0), count - 1)


def _margin(parts: Sequence[_Part]) -> float:
    """Half the width of the interval of a difference whose variance has these parts."""
    if any(math.isinf(part.variance) for part in parts):
        return math.inf
    quantile = (1 + CONFIDENCE) / 2
    return math.sqrt(sum(float(stdtrit(part.df, quantile)) ** 2 * part.variance for part in parts))


def _mean(scores: Sequence[Score]) -> Score:
    """Mean of value and replicates, draw by draw and half by half."""
    if not scores:
        raise RequestError("no score: give one or more")
    worth = {score.mean_of for score in scores}
    draws = [np.array(score.draws) if len(worth) == 1 else _scaled_draws(score) for score in scores]
    if len({len(values) for values in draws}) > 1:
        raise RequestError("scores of different protocols: they have different numbers of draws")
    halved = [np.array(score.resamples) for score in scores]
    known = all(values.size for values in halved)
    starts = max(values.shape[-1] for values in halved)
    replicates = (
        np.mean([np.broadcast_to(values, (HALVES, starts)) for values in halved], axis=0) if known else []
    )
    samples = list(dict.fromkeys(score.sample for score in scores))
    return Score(
        metric=scores[0].metric,
        value=float(np.mean([score.value for score in scores])),
        draws=tuple(np.mean(draws, axis=0).tolist()),
        resamples=tuple(tuple(map(float, row)) for row in replicates),
        n=scores[0].n if len(samples) == 1 else sum(score.n for score in scores),
        sample=samples[0] if len(samples) == 1 else sample_hash(samples),
        mean_of=worth.pop() if len(worth) == 1 else None,
        chance=_mean_or_none([score.chance for score in scores]),
        ami=_mean_or_none([score.ami for score in scores]),
    )


def _scaled_draws(score: Score) -> np.ndarray:
    """Draws whose mean is spread as the value is, even if the value is the mean of only some of them."""
    draws = np.array(score.draws)
    if not draws.size or score.mean_of is None:
        return draws
    scaled: np.ndarray = draws.mean() + math.sqrt(len(draws) / score.mean_of) * (draws - draws.mean())
    return scaled


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if len(present) == len(values) else None


def _require_same_sample(scores: Sequence[Score]) -> None:
    if len({(score.metric, score.sample, score.n) for score in scores}) > 1:
        shown = ", ".join(sorted({f"{score.metric} of {score.n} texts ({score.sample})" for score in scores}))
        raise RequestError(f"scores of different texts or protocols cannot be compared: {shown}")


def _require_same_replicates(left: Score, right: Score) -> None:
    counts = [f"{len(score.draws)} draws and {len(score.resamples)} halves" for score in (left, right)]
    if counts[0] != counts[1]:
        raise RequestError(
            f"scores of different protocols cannot be compared: {counts[0]} against {counts[1]}; score both alike"
        )
