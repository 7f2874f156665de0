"""A probe gives the scores of each option encoded alone, the same in any parts, and resumes where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword import probe, uncertainty
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError, TableError
from lastword.evaluation import vectors_classification_score, vectors_cluster_score
from lastword.geometry import alignment, effective_rank, uniformity
from lastword.probing import Option, ProbeResult
from lastword.probing import scoring as scoring_module
from lastword.probing.labelfree import neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.measures import MEASURES
from lastword.probing.scoring import BOOTSTRAP_SIZE, OptionScorer
from lastword.probing.texts import few_shot_rows, sampled
from lastword.uncertainty import Score

Load = Callable[..., Embedder]
Refused = Callable[..., str]
# Of what is not a plain number of the vectors: where a text lies between two clusters, rounding decides.
CLUSTERED = {"v_measure": 0.03, "accuracy": 0.03, "agreement": 0.06}
NOUNS = {
    "water": ["river", "lake", "flood"],
    "money": ["price", "seller", "car"],
    "animals": ["cat", "dog", "fox"],
}
TEXTS = [
    f"the {noun} number {i} is low, said a man"
    for i in range(4)
    for nouns in NOUNS.values()
    for noun in nouns
]
LABELS = [label for _ in range(4) for label, nouns in NOUNS.items() for _ in nouns]
GRID: dict[str, Any] = {
    "templates": ["none", "eol", "ccw"],
    "poolings": ["mean", "lasttoken"],
    "layers": [1, 2],
}


def assert_same(option: Option, expected: dict[str, float]) -> None:
    assert option.scores.keys() == expected.keys()
    for name, score in option.scores.items():
        assert score.value == pytest.approx(expected[name], abs=CLUSTERED.get(name, 1e-4)), name


def values(option: Option) -> dict[str, float]:
    return {name: score.value for name, score in option.scores.items()}


@pytest.fixture(scope="module", autouse=True)
def compared() -> Iterator[int]:
    """Few options are compared with the best, on few halves of the texts: clustering them takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uncertainty, "HALVES", 6)
        patch.setattr(scoring_module, "COMPARED", 3)
        yield 3


@pytest.fixture(scope="module")
def found(load: Load) -> ProbeResult:
    return probe(load(), TEXTS, labels=LABELS, samples_per_label=3, seed=5, **GRID)


def test_scores_are_those_of_each_option_alone(found: ProbeResult, load: Load) -> None:
    given = sampled(TEXTS, LABELS, "", None, 5)
    halves = few_shot_rows(LABELS, 3, 5)
    assert halves is not None
    train, test = halves
    assert [option.key for option in found.options] == [
        (t, p, k) for t in GRID["templates"] for p in GRID["poolings"] for k in GRID["layers"]
    ]
    for option in found.options:
        alone = load(template=option.template, pooling=option.pooling, layer=option.layer)
        vectors, noisy = alone.encode(given.texts), alone.encode(given.noisy)
        best = option is found.best
        cluster = vectors_cluster_score(vectors, LABELS, bootstrap_size=BOOTSTRAP_SIZE, resampled=best)
        few = vectors_classification_score(
            vectors[train], [LABELS[row] for row in train], vectors[test], [LABELS[row] for row in test],
            samples_per_label=3,
        )  # fmt: skip
        agreed = split_half_agreement(vectors, seed=5)
        expected = {
            "v_measure": cluster.value, "accuracy": few.value,
            "stability": neighbour_stability(vectors, noisy, seed=5).mean(), "agreement": agreed.mean(),
            "tolerance": noise_tolerance(vectors, noisy), "effective_rank": effective_rank(vectors),
            "alignment": alignment(vectors, noisy), "uniformity": uniformity(vectors),
        }  # fmt: skip
        assert_same(option, expected)
        draws = {name: len(score.draws) for name, score in option.scores.items() if score.draws}
        assert draws == {"v_measure": 10, "accuracy": 10, "agreement": 5}
        assert option.scores["v_measure"].draw_se == pytest.approx(cluster.draw_se, abs=0.01)
        if best:
            assert option.scores["v_measure"].text_se == pytest.approx(cluster.text_se, abs=0.01)


@pytest.mark.parametrize("most_options", [1, 5])
def test_parts_do_not_change_the_result(most_options: int, found: ProbeResult, load: Load) -> None:
    memory_gib = most_options * 2 * len(TEXTS) * 32 * 8 / 2**30 * 1.001
    in_parts = probe(
        load(), TEXTS, labels=LABELS, samples_per_label=3, seed=5, memory_gib=memory_gib, batch_tokens=300, **GRID
    )  # fmt: skip
    assert [option.key for option in in_parts.options] == [option.key for option in found.options]
    for one, other in zip(in_parts.options, found.options, strict=True):
        assert_same(one, values(other))
    compared = [len(option.scores["v_measure"].resamples) for option in in_parts.ranked]
    assert compared == [uncertainty.HALVES] * 3 + [0] * 9


def test_ranked_by_v_measure_with_labels_and_without_them_by_a_score_that_needs_none(
    found: ProbeResult, load: Load
) -> None:
    v_measures = [option.scores["v_measure"].value for option in found.ranked]
    assert (found.ranked_by, v_measures) == ("v_measure", sorted(v_measures, reverse=True))
    free = probe(load(), TEXTS, **GRID)
    assert not MEASURES[free.ranked_by].labelled
    assert free.score_names == [name for name, measure in MEASURES.items() if not measure.labelled]
    assert free.correlations == {}
    assert (free.facts.labels, free.facts.bootstrap_size) == (None, None)
    aligned = probe(load(), TEXTS, rank_by="alignment", scores="stability,agreement", **GRID)
    alignments = [option.scores["alignment"].value for option in aligned.ranked]
    assert alignments == sorted(alignments), "lower is better"
    assert aligned.score_names == ["stability", "agreement", "alignment"]
    assert {difference.value >= 0 for difference in aligned.differences.values()} == {True}


def test_all_layers_with_labels_and_the_last_without(load: Load) -> None:
    few: dict[str, Any] = {"templates": "none", "poolings": "mean", "scores": "stability"}
    labelled, free = probe(load(), TEXTS, labels=LABELS, **few), probe(load(), TEXTS, **few)
    assert [one.layer for one in labelled.options] == [0, 1, 2]
    assert [one.layer for one in free.options] == [2]


def option(name: str, value: float, **more: float) -> Option:
    scores = {"v_measure": value, **more}
    return Option(name, "mean", 0, {key: Score(key, x, (), (), 100, "") for key, x in scores.items()})


def result_of(*options: Option) -> ProbeResult:
    return ProbeResult(options, "v_measure", None)  # type: ignore[arg-type]


def test_the_best_options_are_compared_with_the_first(found: ProbeResult) -> None:
    """The others are not called worse, since they were not compared."""
    assert [option.key for option in found.ranked[1:3]] == list(found.differences)
    assert [found.standing(option) for option in found.ranked[3:]] == [None] * 9
    assert found.to_dict()["compared"] == 3
    for option in found.ranked[1:3]:
        worse = found.differences[option.key].high < 0
        assert found.standing(option) == ("worse" if worse else "not distinguishable")
        assert (option in found.indistinguishable) == (not worse)


def test_resamples_give_the_error_of_sampling_texts(load: Load) -> None:
    """That of tolerance against the jackknife, which knows nothing of halves; that of stability is of a mean."""
    n, rng = 200, np.random.default_rng(3)
    vectors = rng.normal(0.4, 1, (n, 6))
    noisy = vectors + 0.5 * rng.normal(0.4, 1, (n, 6))
    texts = sampled([str(row) for row in range(n)], None, "", None, 0)
    scorer = OptionScorer(texts, ("stability", "tolerance"), 0, 8, None)
    errors = {
        name: replace(score, resamples=scorer.resamples(name, vectors, noisy)).text_se
        for name, score in scorer.scores(vectors, noisy).items()
    }
    left_out = np.array([noise_tolerance(np.delete(vectors, i, 0), np.delete(noisy, i, 0)) for i in range(n)])
    assert errors["tolerance"] == pytest.approx((n - 1) ** 0.5 * left_out.std(), rel=0.3)
    assert errors["stability"] == pytest.approx(neighbour_stability(vectors, noisy).std() / n**0.5, rel=0.3)


def test_correlations_are_positive_where_a_score_points_the_right_way() -> None:
    options = (
        option(str(i), i / 9, stability=i / 3, alignment=-float(i), uniformity=float(i), agreement=0.5)
        for i in range(5)
    )
    assert result_of(*options).correlations == {
        "stability": pytest.approx(1), "agreement": None, "alignment": pytest.approx(1),
        "uniformity": pytest.approx(-1),
    }  # fmt: skip


def test_samples_are_seeded() -> None:
    draws = [sampled(TEXTS, LABELS, "", 24, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1]
    assert draws[0].texts != draws[2].texts
    assert draws[0].texts == [text for text in TEXTS if text in draws[0].texts], "in their order"
    assert len(draws[0].texts) == 24
    assert draws[0].available == len(TEXTS)
    label_of = dict(zip(TEXTS, LABELS, strict=True))
    assert draws[0].labels == [label_of[text] for text in draws[0].texts]
    assert all(text != copy for text, copy in zip(draws[0].texts, draws[0].noisy, strict=True))


def test_a_text_has_the_same_noisy_copy_in_every_sample() -> None:
    copies = [
        dict(zip(sample.texts, sample.noisy, strict=True))
        for sample in (sampled(TEXTS, None, "", most, 3) for most in (24, None))
    ]
    assert all(copies[1][text] == copy for text, copy in copies[0].items())


def test_few_shot_halves_every_label_that_has_enough() -> None:
    labels = ["a"] * 6 + ["b"] * 5 + ["c"] * 4 + ["d"]
    train, test = few_shot_rows(labels, 2, seed=0) or ([], [])
    assert [labels[row] for row in train] == ["a"] * 3 + ["b"] * 2 + ["c"] * 2
    assert [labels[row] for row in test] == ["a"] * 3 + ["b"] * 3 + ["c"] * 2
    assert not set(train) & set(test)
    assert few_shot_rows(labels, 3, seed=0) is None
    assert few_shot_rows(labels, 2, seed=0) != few_shot_rows(labels, 2, seed=1)


def test_too_few_texts_of_a_label_leave_out_accuracy_and_say_so(load: Load, said: list[str]) -> None:
    result = probe(load(), TEXTS, labels=LABELS, templates="none", poolings="mean", layers=1)
    assert "accuracy" not in result.score_names
    assert said[0] == (
        "fewer than two labels have 16 texts: accuracy is left out; lower samples_per_label, or give more texts"
    )


def test_suffixes_are_options(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "suffixes.txt"
    path.write_text("means in one word:\nis about\n")
    result = probe(load(), TEXTS, suffixes=path, poolings="lasttoken", layers="last", scores="stability")
    assert {one.key for one in result.options} == {
        (f'This sentence: "{{text}}" {suffix}', "lasttoken", 2)
        for suffix in ("means in one word:", "is about")
    }


def test_a_probe_resumes_where_it_was_stopped(
    found: ProbeResult, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    out, done = tmp_path / "probed", []
    settings: dict[str, Any] = {"labels": LABELS, "samples_per_label": 3, "seed": 5, **GRID}
    real = scoring_module.score_part

    def counted(*args: Any, **settings: Any) -> Any:
        if len(done) == 1 and "stop" not in done:
            done.append("stop")
            raise KeyboardInterrupt
        done.append("part")
        return real(*args, **settings)

    monkeypatch.setattr(scoring_module, "score_part", counted)
    with pytest.raises(KeyboardInterrupt):
        probe(load(), TEXTS, output=out, **settings)
    assert not out.exists()
    assert refused(ExistingOutputError, probe, load(), TEXTS, output=out, **settings) == (
        f"{out}.partial has an interrupted probe: pass resume=True to continue it or overwrite=True to start over"
    )
    assert refused(
        RequestError, probe, load(), TEXTS, output=out, resume=True, **{**settings, "seed": 6}
    ).startswith("resume=True: ")
    other = load()
    other.backbone.model.config.rms_norm_eps = 0.1
    for model, texts, name in ((other, TEXTS, other.name), (load(), [*TEXTS[:-1], "a bus"], "the list")):
        assert f"{name} has changed since the interrupted probe" in refused(
            RequestError, probe, model, texts, output=out, resume=True, **settings
        )
    for spec in ({"max_tokens": 40}, {"norm": "pre"}):
        assert refused(
            RequestError, probe, load(**spec), TEXTS, output=out, resume=True, **settings
        ).startswith("resume=True: ")
    result = probe(load(), TEXTS, output=out, resume=True, **settings)
    assert done == ["part", "stop", "part"], "two beginnings, so two parts; none twice"
    assert [values(one) for one in result.options] == [pytest.approx(values(one)) for one in found.options]
    assert json.loads((out / "probe.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    assert (out / "heatmap.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["probed"]
    assert refused(ExistingOutputError, probe, load(), TEXTS, output=out, **settings) == (
        f"{out} exists: choose another path or pass overwrite=True"
    )
    probe(load(), TEXTS, output=out, overwrite=True, **{**settings, "templates": "none"})
    assert len(json.loads((out / "probe.json").read_text())["options"]) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ["x"] * 36}, "the list has one label only ('x'): a probe needs at least two"),
        ({"labels": ["x"]}, "36 texts and 1 labels: give one label per text"),
        ({"max_texts": 5}, "the list has 5 texts: a probe needs at least 20"),
        ({"max_texts": 0}, "max_texts=0: give a whole number, 1 or more"),
        ({"rank_by": "v_measure"},
         "v_measure needs labels: give label_column, or choose from stability, agreement, tolerance, "
         "effective_rank, alignment, uniformity"),
        ({"scores": "stabilty"},
         "unknown score 'stabilty': did you mean 'stability'? Known: v_measure, accuracy, stability, agreement, "
         "tolerance, effective_rank, alignment, uniformity"),
        ({"labels": LABELS, "rank_by": "accuracy"},
         "accuracy cannot be measured on these texts: rank by another score"),
        ({"labels": LABELS, "samples_per_label": 0}, "samples_per_label=0: give 1 or more"),
        ({"device": "cpu"}, "device='cpu': a loaded model takes no device; leave it out"),
        ({"layers": 3}, "layer 3: this model has hidden states 0 … 2"),
        ({"memory_gib": -1}, "memory_gib=-1: give more than 0"),
        ({"memory_gib": 0}, "memory_gib=0: give more than 0"),
        ({"memory_gib": float("nan")}, "memory_gib=nan: give more than 0"),
    ],
)  # fmt: skip
def test_wrong_requests(settings: dict[str, Any], message: str, load: Load, refused: Refused) -> None:
    assert refused(RequestError, probe, load(), TEXTS, **settings) == message


def test_a_file_and_its_columns(load: Load, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "tickets.jsonl"
    rows = [
        {"body": text, "topic": label, "split": "dev" if i % 2 else "test"}
        for i, (text, label) in enumerate(zip(TEXTS + TEXTS, LABELS + LABELS, strict=True))
    ]
    path.write_text("\n".join(json.dumps(row) for row in [*rows, {"body": "", "topic": "x", "split": "dev"}]))
    columns = {"text_column": "body", "label_column": "topic"}
    options: dict[str, Any] = {"templates": "none", "poolings": "mean", "layers": 2, "scores": "v_measure"}
    assert "1 of 73 rows have empty or non-text cells (empty in 'body'; rows 72, counted from 0)" in refused(
        TableError, probe, load(), path, **columns
    )
    result = probe(load(), path, split="dev", drop_empty=True, **columns, **options)
    assert (result.facts.texts, result.facts.labels) == (36, 3)
    assert result.facts.data == f"{path} (split 'dev')"
    assert refused(RequestError, probe, load(), path, labels=LABELS) == (
        "labels of a file are in one of its columns: give label_column"
    )
