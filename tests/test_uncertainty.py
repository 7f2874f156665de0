"""Equal models are seldom told apart, a known gain is found, and intervals cover the truth as often as they claim."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import t

from lastword.errors import RequestError
from lastword.uncertainty import (
    HALVES,
    Difference,
    Score,
    combine,
    compare,
    halves,
    mean_interval,
    mean_intervals,
    resamples,
    sample_hash,
    summarize,
)

TRIALS = 400


def per_text(values: np.ndarray, most: int | None = None) -> Score:
    """The mean of n numbers as a score."""
    return Score(
        "mean",
        float(np.mean(values)),
        (),
        resamples(lambda rows: [float(values[rows].mean())], len(values), most=most),
        len(values),
        "s",
    )


def noisy(
    rng: np.random.Generator,
    texts: np.ndarray,
    starts: int = 4,
    start_error: float = 0.05,
    shift: float = 0.0,
) -> Score:
    """A score over texts to which every draw and every start on a half adds an error of its own."""
    draws = texts.mean() + shift + rng.normal(0, start_error, 10)
    return Score(
        "noisy",
        float(draws.mean()),
        tuple(draws.tolist()),
        resamples(
            lambda rows: (texts[rows].mean() + shift + rng.normal(0, start_error, starts)).tolist(),
            len(texts),
        ),
        len(texts),
        "s",
    )


def share(count: int) -> float:
    return count / TRIALS


# --- one score ---


def test_draw_error_is_that_of_the_mean_of_the_draws() -> None:
    score = Score("m", 0.2, (0.1, 0.2, 0.3), (), 9, "s")
    assert score.draw_se == pytest.approx(0.1 / math.sqrt(3))
    assert Score("m", 0.1, (0.1, 0.2, 0.3), (), 9, "s", mean_of=1).draw_se == pytest.approx(0.1)
    assert Score("m", 0.2, (), (), 9, "s").draw_se == 0.0


@pytest.mark.parametrize(("n", "most"), [(40, None), (41, None), (301, None), (300, 60)])
def test_text_error_of_a_mean_is_the_usual_standard_error(n: int, most: int | None) -> None:
    values = np.random.default_rng(n).normal(0.5, 0.2, n)
    estimates = []
    for _ in range(50):  # other halves: the same values in another order
        values = np.random.default_rng(len(estimates)).permutation(values)
        error = per_text(values, most=most).text_se
        assert error is not None
        estimates.append(error**2)
    assert np.mean(estimates) == pytest.approx(values.var(ddof=1) / n, rel=0.12)


def test_starts_are_no_part_of_the_text_error() -> None:
    rng = np.random.default_rng(0)
    errors = np.array([noisy(rng, rng.normal(0.5, 0.2, 400), start_error=0.01).text_se for _ in range(200)])
    assert (errors**2).mean() == pytest.approx(0.2**2 / 400, rel=0.1)


def test_too_few_texts_have_no_text_error() -> None:
    score = per_text(np.array([0.1, 0.9, 0.5]))
    assert score.resamples == ()
    assert score.text_se is None
    assert compare(score, per_text(np.array([0.9, 0.1, 0.2]))).verdict == "not distinguishable"


def test_halves_are_half_the_texts_without_repeats_and_always_the_same() -> None:
    rows = halves(21)
    assert len(rows) == HALVES
    assert all(len(set(half.tolist())) == 10 and half.max() < 21 for half in rows)
    assert len({half.tobytes() for half in rows}) == HALVES
    assert all(np.array_equal(half, again) for half, again in zip(rows, halves(21), strict=True))
    assert all(len(half) == 5 for half in halves(21, most=5))
    assert halves(3) == []
    assert [len(half) for half in halves(4)] == [2] * HALVES


@pytest.mark.parametrize("most", [None, 15, 6])
def test_replicates_are_values_on_the_halves_scaled_to_the_error_of_all_texts(most: int | None) -> None:
    values = np.random.default_rng(0).normal(0.5, 0.2, 30)
    plain = np.array([[values[rows].mean(), values[rows].max()] for rows in halves(30, most)])
    factor = math.sqrt(6 / 24) if most == 6 else 1.0
    expected = plain.mean() + factor * (plain - plain.mean())
    replicates = resamples(lambda rows: [values[rows].mean(), values[rows].max()], 30, most=most)
    assert replicates == tuple(tuple(row) for row in np.round(expected, 6).tolist())


# --- differences ---

WAVE = np.tile([-0.1, 0.0, 0.1], HALVES // 3)


def half_interval(*parts: tuple[float, int]) -> float:
    """Of a difference whose variance has parts with these degrees of freedom."""
    return math.sqrt(sum(variance * float(t.ppf(0.975, df)) ** 2 for variance, df in parts))


def made(value: float, *, starts: float = 0.0, texts: float = 0.0, draws: tuple[float, ...] = ()) -> Score:
    """A score whose halves go up and down by `texts`, and whose two starts on each half are `starts` apart."""
    rows = tuple((value + texts * x - starts / 2, value + texts * x + starts / 2) for x in WAVE.tolist())
    return Score("m", value, draws, rows, 100, "s")


def test_interval_of_a_difference_by_hand() -> None:
    base = made(0.5)
    texts = WAVE.var(ddof=1)
    assert compare(made(0.6, texts=1), base).low == pytest.approx(0.1 - half_interval((texts, 23)))
    assert compare(base, made(0.6, texts=1)).high == pytest.approx(-0.1 + half_interval((texts, 23)))
    # Of the variance of two starts that are 0.1 apart, 0.005, their mean has half.
    starts = texts - 0.85 * 0.005 / 2
    assert compare(made(0.6, texts=1, starts=0.1), base).high == pytest.approx(
        0.1 + half_interval((starts, 23))
    )
    assert made(0.6, texts=1, starts=0.1).text_se == pytest.approx(math.sqrt(texts - 0.005 / 2))
    assert made(0.6, texts=1).text_se == pytest.approx(math.sqrt(texts))
    assert made(0.6, starts=0.1).text_se == 0
    both = compare(made(0.6, texts=1, draws=(0.5, 0.7)), made(0.5, draws=(0.5, 0.5)))
    assert both.high == pytest.approx(0.1 + half_interval((texts, 23), (0.02 / 2, 1)))
    assert both.value == pytest.approx(0.1)


def test_training_seeds_count_with_their_own_degrees_of_freedom() -> None:
    texts = WAVE.var(ddof=1)
    two, one = [made(0.5, texts=1), made(0.7, texts=1)], [made(0.4)]
    assert compare(two, one).value == pytest.approx(0.2)
    assert compare(two, one).high == pytest.approx(0.2 + half_interval((texts, 23), (0.02 / 2, 1)))
    three = [made(0.3), made(0.4), made(0.5)]
    unpaired = half_interval((texts, 23), (0.02 / 2, 1), (0.01 / 3, 2))
    assert compare(two, three).high == pytest.approx(0.2 + unpaired)
    assert compare(three, two).low == pytest.approx(-0.2 - unpaired)
    paired = half_interval((texts, 23), (0.02 / 2, 1))  # the differences are 0.1 and 0.3
    assert compare(two, [made(0.4), made(0.4)]).high == pytest.approx(0.2 + paired)


def test_a_value_that_takes_one_of_its_draws_has_their_whole_spread() -> None:
    first = dataclasses.replace(made(0.6, draws=(0.5, 0.7)), mean_of=1)
    second = dataclasses.replace(made(0.5, draws=(0.5, 0.5)), mean_of=1)
    assert compare(first, second).high == pytest.approx(0.1 + half_interval((0.02, 1)))


@pytest.mark.parametrize("n", [20, 200])
def test_equal_models_are_told_apart_in_five_percent_of_cases(n: int) -> None:
    rng, wrong = np.random.default_rng(n), 0
    for _ in range(TRIALS):
        hard = rng.normal(0, 0.5, n)  # texts that are easy or hard for both
        wrong += compare(*(per_text(hard + rng.normal(0, 0.2, n)) for _ in range(2))).verdict != (
            "not distinguishable"
        )
    assert 0.015 < share(wrong) < 0.085


@pytest.mark.parametrize("start_error", [0.003, 0.03, 0.3])
def test_equal_models_with_random_starts(start_error: float) -> None:
    rng, wrong = np.random.default_rng(7), 0
    for _ in range(TRIALS):
        texts = rng.normal(0, 0.5, 200)
        scores = (noisy(rng, texts + rng.normal(0, 0.2, 200), start_error=start_error) for _ in range(2))
        wrong += compare(*scores).verdict != "not distinguishable"
    assert 0.002 < share(wrong) < 0.08


def test_equal_recipes_with_three_training_seeds_each() -> None:
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        hard = rng.normal(0, 0.5, 200)

        def run(texts: np.ndarray = hard) -> Score:
            return per_text(texts + rng.normal(0, 0.2, 200) + rng.normal(0, 0.05))

        sides = [[run() for _ in range(3)] for _ in range(2)]
        wrong += compare(*sides).verdict != "not distinguishable"
    assert 0.005 < share(wrong) < 0.075


def test_a_gain_that_pairing_alone_can_see_is_found() -> None:
    """Unpaired, each side has a standard error of 0.035, more than the gain."""
    rng, right = np.random.default_rng(1), 0
    for _ in range(TRIALS):
        hard = rng.normal(0.5, 0.5, 200)
        base, better = (per_text(hard + gain + rng.normal(0, 0.05, 200)) for gain in (0.0, 0.02))
        right += compare(better, base).verdict == "better" and compare(base, better).verdict == "worse"
    assert share(right) > 0.95


def test_intervals_cover_the_true_difference() -> None:
    rng, covered = np.random.default_rng(2), 0
    for _ in range(TRIALS):
        hard = rng.normal(0, 0.5, 100)
        a, b = (noisy(rng, hard + rng.normal(0, 0.3, 100), shift=shift) for shift in (0.1, 0.0))
        difference = compare(a, b)
        covered += difference.low <= 0.1 <= difference.high
    assert 0.94 < share(covered) < 0.99


def test_the_spread_of_training_seeds_widens_the_interval() -> None:
    texts = np.random.default_rng(0).normal(0.5, 0.01, 500)
    base, tight = per_text(texts), [per_text(texts + shift) for shift in (0.019, 0.02, 0.021)]
    wide = [per_text(texts + shift) for shift in (-0.02, 0.02, 0.06)]
    assert compare(tight, base).verdict == "better"
    assert compare(wide, base).verdict == "not distinguishable"
    assert compare(wide, base).value == pytest.approx(compare(tight, base).value)


def test_seeds_are_paired_in_order_where_both_sides_have_as_many() -> None:
    texts = np.random.default_rng(0).normal(0.5, 0.01, 500)
    old = [per_text(texts + shift) for shift in (-0.05, 0.0, 0.05)]
    new = [per_text(texts + shift + 0.01) for shift in (-0.05, 0.001, 0.05)]
    assert compare(new, old).verdict == "better"
    assert compare(new, old[::-1]).verdict == "not distinguishable"
    assert compare(new, old[:2]).verdict == "not distinguishable"


def test_turned_round_a_difference_changes_its_sign_alone() -> None:
    rng = np.random.default_rng(4)
    a, b = (noisy(rng, rng.normal(0.5, 0.1, 50)) for _ in range(2))
    one, other = compare(a, b), compare(b, a)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_a_model_is_not_distinguishable_from_itself() -> None:
    score = noisy(np.random.default_rng(0), np.arange(10) / 10)
    assert compare(score, score) == Difference(0.0, 0.0, 0.0)
    assert compare(score, score).verdict == "not distinguishable"


def test_a_difference_that_nothing_can_change_is_one() -> None:
    assert compare(per_text(np.full(10, 0.7)), per_text(np.full(10, 0.6))).verdict == "better"


def test_scores_of_other_texts_are_refused() -> None:
    a = Score("v_measure", 0.5, (), (), 10, "one")
    b = Score("v_measure", 0.5, (), (), 20, "two")
    for scores in ((a, b), ([a, b], a)):
        with pytest.raises(RequestError) as caught:
            compare(*scores)
        assert str(caught.value) == (
            "scores of different texts or protocols cannot be compared: "
            "v_measure of 10 texts (one), v_measure of 20 texts (two)"
        )
    with pytest.raises(RequestError, match="no score: give one or more"):
        compare([], a)


@pytest.mark.parametrize("change", [{"draws": (0.5, 0.5)}, {"draws": ()}, {"resamples": ()}])
def test_scores_of_different_protocols_are_refused(change: dict[str, Any]) -> None:
    score = Score("v_measure", 0.5, (0.4, 0.5, 0.6), ((0.5,),) * HALVES, 10, "one")
    for scores in (
        (score, dataclasses.replace(score, **change)),
        (dataclasses.replace(score, **change), score),
    ):
        with pytest.raises(RequestError, match="scores of different protocols cannot be compared: "):
            compare(*scores)


# --- means and files ---


def test_the_mean_over_sets_has_the_error_of_independent_texts() -> None:
    rng = np.random.default_rng(5)
    parts = [
        Score("m", 0.5, (0.4, 0.6), tuple((0.5 + x,) for x in rng.normal(0, 0.1, HALVES)), 100, name)
        for name in ("a", "b")
    ]
    mean = combine(parts)
    expected = np.sqrt(sum(part.text_se**2 for part in parts)) / 2  # type: ignore[operator]
    assert (mean.value, mean.n) == (0.5, 200)
    assert mean.text_se == pytest.approx(expected, rel=0.35)
    assert mean.draw_se == parts[0].draw_se  # the same draws: their errors do not average out
    assert combine(parts[:1]) is parts[0]
    assert combine(parts).sample == combine(parts).sample != combine(parts[::-1]).sample


def test_a_mean_keeps_the_error_of_a_value_that_takes_one_of_its_draws() -> None:
    rng = np.random.default_rng(6)
    parts = [
        Score("m", 0.5, tuple(rng.normal(0.5, 0.1, 10)), (), 100, name, mean_of=1) for name in ("a", "b")
    ]
    errors = [part.draw_se for part in parts]
    assert combine(parts).draw_se == pytest.approx(math.hypot(*errors) / 2, rel=0.5)
    assert combine(parts[:1] * 2).draw_se == pytest.approx(errors[0])


def test_a_mean_of_scores_by_hand() -> None:
    first = made(0.5, texts=1, draws=(0.4, 0.6))
    second = dataclasses.replace(made(0.7, texts=1, starts=0.1, draws=(0.7, 0.9)), sample="other", n=50)
    second = dataclasses.replace(second, chance=0.1, ami=0.3)
    mean = combine([first, second])
    assert (mean.metric, mean.value, mean.n, mean.mean_of) == ("m", 0.6, 150, None)
    assert mean.draws == pytest.approx((0.55, 0.75))
    assert np.array(mean.resamples) == pytest.approx((np.array(first.resamples) + second.resamples) / 2)
    assert mean.sample == sample_hash(["s", "other"])
    assert (mean.chance, mean.ami) == (None, None)
    mean = combine([second, dataclasses.replace(second, chance=0.2, ami=0.5, n=70)])
    assert (mean.chance, mean.ami) == pytest.approx((0.15, 0.4))
    assert (mean.n, mean.sample) == (50, "other")


def test_scores_with_one_start_and_with_several_are_combined_half_by_half() -> None:
    several = made(0.5, texts=1, starts=0.1)
    one = dataclasses.replace(several, resamples=tuple((0.3 + x,) for x in WAVE.tolist()))
    expected = (np.array(several.resamples) + np.array(one.resamples)) / 2
    assert np.array(combine([one, several]).resamples) == pytest.approx(expected)
    assert combine([several, dataclasses.replace(several, resamples=())]).resamples == ()


def test_draws_are_scaled_where_values_take_different_numbers_of_them() -> None:
    all_draws = made(0.5, draws=(0.4, 0.5, 0.6, 0.5))
    of_two = dataclasses.replace(all_draws, mean_of=2, draws=(0.3, 0.5, 0.5, 0.5))
    mean = combine([all_draws, of_two])
    # The variance of the second value is that of the mean of two draws: twice that of the mean of four.
    scaled = np.array([0.45 + math.sqrt(2) * x for x in (-0.15, 0.05, 0.05, 0.05)])
    assert mean.mean_of is None
    assert mean.draws == pytest.approx(((scaled + np.array(all_draws.draws)) / 2).tolist())
    none = dataclasses.replace(all_draws, draws=(), mean_of=1)
    assert combine([none, dataclasses.replace(none, mean_of=2)]).draws == ()


def test_scores_with_other_numbers_of_draws_are_not_combined() -> None:
    with pytest.raises(RequestError) as caught:
        combine([made(0.5, draws=(0.4, 0.6)), made(0.5, draws=(0.4, 0.5, 0.6))])
    assert str(caught.value) == "scores of different protocols: they have different numbers of draws"


def test_metrics_do_not_mix() -> None:
    with pytest.raises(RequestError, match=r"scores of \['a', 'b'\]: give those of one metric"):
        combine([Score(name, 0.5, (), (), 10, "s") for name in ("a", "b")])


def test_a_summary_has_the_spread_over_seeds_in_its_draw_error() -> None:
    texts = np.random.default_rng(0).normal(0.5, 0.1, 100)
    runs = [per_text(texts + shift) for shift in (-0.1, 0.0, 0.1)]
    summary = summarize(runs)
    assert (summary.n, summary.seeds) == (100, 3)
    assert summary.value == pytest.approx(texts.mean())
    assert summary.draw_se == pytest.approx(0.1 / math.sqrt(3))
    assert summary.text_se == pytest.approx(runs[0].text_se, abs=1e-5)
    assert summarize(runs[:1]).draw_se == 0.0
    assert (summary.chance, summary.ami) == (None, None)
    clustered = [
        dataclasses.replace(run, chance=x, ami=2 * x) for run, x in zip(runs, (0.1, 0.2, 0.3), strict=True)
    ]
    assert (summarize(clustered).chance, summarize(clustered).ami) == pytest.approx((0.2, 0.4))
    drawn = [made(0.5, draws=(0.4, 0.6)), made(0.7, draws=(0.6, 0.8))]
    assert summarize(drawn).draw_se == pytest.approx(math.sqrt(0.02 / 2 + 0.02 / 2))


def test_scores_survive_a_file() -> None:
    score = noisy(np.random.default_rng(0), np.arange(20) / 20)
    content = json.loads(json.dumps(score.to_dict()))
    assert Score.from_dict(content) == score
    assert content["text_se"] == score.text_se
    assert content["draw_se"] == score.draw_se
    assert content.keys() == {field.name for field in dataclasses.fields(Score)} | {"draw_se", "text_se"}
    assert Difference(0.1, 0.05, 0.15).to_dict() == {
        "value": 0.1,
        "low": 0.05,
        "high": 0.15,
        "verdict": "better",
    }
    assert Difference(0.1, -math.inf, math.inf).to_dict() == {
        "value": 0.1,
        "low": None,
        "high": None,
        "verdict": "not distinguishable",
    }


def test_hash_of_a_sample() -> None:
    assert sample_hash(["a", 1]) == sample_hash(["a", 1]) != sample_hash(["a1"])
    assert len(sample_hash([])) == 16


def test_interval_of_a_mean_of_normal_values() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    interval = mean_interval(values)
    assert interval.n == 400
    assert interval.mean == pytest.approx(values.mean())
    margin = 1.966 * values.std(ddof=1) / 20
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - margin, values.mean() + margin), rel=1e-4
    )


def test_interval_of_a_mean_of_two_and_of_three_values() -> None:
    pair = mean_interval(np.array([0.2, 0.4]))
    assert (pair.low, pair.high) == pytest.approx((0.3 - 12.7062 * 0.1, 0.3 + 12.7062 * 0.1), rel=1e-5)
    three = mean_interval(np.array([0.2, 0.3, 0.4]))
    assert three.high - three.low == pytest.approx(2 * 4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert three.to_dict() == {"mean": three.mean, "low": three.low, "high": three.high, "n": 3}


def test_95_percent_of_the_intervals_of_a_mean_contain_the_true_mean() -> None:
    draw = np.random.default_rng(1)
    intervals = [mean_interval(draw.beta(2, 5, 60)) for _ in range(TRIALS)]
    assert 0.92 <= np.mean([interval.low <= 2 / 7 <= interval.high for interval in intervals]) <= 0.98


def test_texts_with_nan_are_left_out_of_a_mean() -> None:
    first, second = mean_intervals(np.array([[0.1, 0.2], [np.nan, 0.9], [0.3, 0.4]]))
    assert (first.n, second.n) == (2, 3)
    assert (first.mean, second.mean) == pytest.approx((0.2, 0.5))


def test_a_mean_of_one_text_has_no_interval() -> None:
    assert mean_interval(np.array([0.25])).to_dict() == {"mean": 0.25, "low": None, "high": None, "n": 1}
    assert mean_interval(np.array([np.nan])).to_dict() == {"mean": None, "low": None, "high": None, "n": 0}
