"""A probe gives the scores of each option encoded alone, the same ones in any parts, and picks up where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword import probe
from lastword.embedding import Embedder, GridPoint
from lastword.errors import ExistingOutputError, RequestError, TableError
from lastword.evaluation import vectors_classification_score, vectors_cluster_score
from lastword.geometry import alignment, effective_rank, uniformity
from lastword.probing import Option, ProbeResult
from lastword.probing import run as run_module
from lastword.probing.labelfree import neighbour_stability, noise_tolerance, split_half_agreement
from lastword.probing.measures import BOOTSTRAP_SIZE, MEASURES
from lastword.probing.texts import few_shot_rows, sampled

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


def assert_same(scores: dict[str, float], expected: dict[str, float]) -> None:
    assert scores.keys() == expected.keys()
    for name, value in scores.items():
        assert value == pytest.approx(expected[name], abs=CLUSTERED.get(name, 1e-4)), name


@pytest.fixture(scope="module")
def found(load: Load) -> ProbeResult:
    return probe(load(), TEXTS, labels=LABELS, samples_per_label=3, seed=5, **GRID)


def test_scores_are_those_of_each_option_alone(found: ProbeResult, load: Load) -> None:
    given = sampled(TEXTS, LABELS, "", None, 5)
    halves = few_shot_rows(LABELS, 3, 5)
    assert halves is not None
    train, test = halves
    assert [option.point for option in found.options] == [
        GridPoint(t, p, k) for t in GRID["templates"] for p in GRID["poolings"] for k in GRID["layers"]
    ]
    for option in found.options:
        point = option.point
        alone = load(template=point.template, pooling=point.pooling, layer=point.layer)
        vectors, damaged = alone.encode(given.texts), alone.encode(given.damaged)
        cluster = vectors_cluster_score(vectors, LABELS, bootstrap_size=BOOTSTRAP_SIZE)
        few = vectors_classification_score(
            vectors[train], [LABELS[row] for row in train], vectors[test], [LABELS[row] for row in test],
            samples_per_label=3,
        )  # fmt: skip
        stable, agreed = neighbour_stability(vectors, damaged, seed=5), split_half_agreement(vectors, seed=5)
        tolerant = noise_tolerance(vectors, damaged)
        expected = {
            "v_measure": cluster.score, "accuracy": few.score, "stability": stable[0], "agreement": agreed[0],
            "tolerance": tolerant[0], "effective_rank": effective_rank(vectors),
            "alignment": alignment(vectors, damaged), "uniformity": uniformity(vectors),
        }  # fmt: skip
        assert_same(option.scores, expected)
        assert option.bands.keys() == {"v_measure", "accuracy", "stability", "agreement", "tolerance"}
        assert option.bands["stability"] == pytest.approx(stable[1], abs=1e-4)
        assert option.bands["tolerance"] == pytest.approx(tolerant[1], abs=1e-4)
        assert option.bands["v_measure"] == pytest.approx(cluster.std, abs=0.03)


@pytest.mark.parametrize("most_options", [1, 2, 5])
def test_parts_do_not_change_the_result(most_options: int, found: ProbeResult, load: Load) -> None:
    memory_gib = most_options * 2 * len(TEXTS) * 32 * 8 / 2**30 * 1.001
    in_parts = probe(
        load(), TEXTS, labels=LABELS, samples_per_label=3, seed=5, memory_gib=memory_gib, batch_tokens=300, **GRID
    )  # fmt: skip
    assert [option.point for option in in_parts.options] == [option.point for option in found.options]
    for one, other in zip(in_parts.options, found.options, strict=True):
        assert_same(one.scores, other.scores)


def test_ranked_by_v_measure_with_labels_and_without_them_by_a_score_that_needs_none(
    found: ProbeResult, load: Load
) -> None:
    values = [option.scores["v_measure"] for option in found.ranked]
    assert (found.ranked_by, values) == ("v_measure", sorted(values, reverse=True))
    free = probe(load(), TEXTS, **GRID)
    assert not MEASURES[free.ranked_by].labelled
    assert free.score_names == [name for name, measure in MEASURES.items() if not measure.labelled]
    assert free.correlations == {}
    assert (free.facts["labels"], free.facts["bootstrap_size"]) == (None, None)
    aligned = probe(load(), TEXTS, rank_by="alignment", scores="stability,agreement", **GRID)
    values = [option.scores["alignment"] for option in aligned.ranked]
    assert values == sorted(values), "the lower, the better"
    assert aligned.score_names == ["stability", "agreement", "alignment"]
    assert aligned.level == [aligned.best], "no band is known for alignment"


def test_all_layers_with_labels_and_the_last_without(load: Load) -> None:
    few: dict[str, Any] = {"templates": "none", "poolings": "mean", "scores": "stability"}
    labelled, free = probe(load(), TEXTS, labels=LABELS, **few), probe(load(), TEXTS, **few)
    assert [one.point.layer for one in labelled.options] == [0, 1, 2]
    assert [one.point.layer for one in free.options] == [2]


def option(name: str, score: float, band: float, **more: float) -> Option:
    return Option(GridPoint(name, "mean", 0), {"v_measure": score, **more}, {"v_measure": band})


def test_level_with_the_best_is_within_twice_the_noise_of_the_difference() -> None:
    options = (option("far", 0.30, 0.03), option("best", 0.50, 0.03), option("near", 0.41, 0.04))
    result = ProbeResult(options, "v_measure", {})
    assert [one.point.template for one in result.ranked] == ["best", "near", "far"]
    assert [one.point.template for one in result.level] == [
        "best",
        "near",
    ]  # 0.09 < 2 · 0.05; 0.20 > 2 · 0.042


def test_correlations_are_positive_where_a_score_points_the_right_way() -> None:
    options = tuple(
        option(str(i), i / 9, 0.01, stability=i / 3, alignment=-float(i), uniformity=float(i), agreement=0.5)
        for i in range(5)
    )
    assert ProbeResult(options, "v_measure", {}).correlations == {
        "stability": pytest.approx(1), "agreement": None, "alignment": pytest.approx(1),
        "uniformity": pytest.approx(-1),
    }  # fmt: skip


def test_samples_are_seeded() -> None:
    draws = [sampled(TEXTS, LABELS, "", 24, seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1]
    assert draws[0].texts != draws[2].texts
    assert draws[0].texts == [text for text in TEXTS if text in draws[0].texts], "in their order"
    assert len(draws[0].texts) == 24
    assert draws[0].count == len(TEXTS)
    own = dict(zip(TEXTS, LABELS, strict=True))
    assert draws[0].labels == [own[text] for text in draws[0].texts]
    assert all(text != copy for text, copy in zip(draws[0].texts, draws[0].damaged, strict=True))


def test_a_text_is_damaged_in_the_same_way_in_every_sample() -> None:
    damage = [
        dict(zip(one.texts, one.damaged, strict=True))
        for one in (sampled(TEXTS, None, "", most, 3) for most in (24, None))
    ]
    assert all(damage[1][text] == copy for text, copy in damage[0].items())


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
        "fewer than two labels have 16 texts: no accuracy; ask for fewer samples_per_label, or give more texts"
    )


def test_suffixes_are_options(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "suffixes.txt"
    path.write_text("means in one word:\nis about\n")
    result = probe(load(), TEXTS, suffixes=path, poolings="lasttoken", layers="last", scores="stability")
    assert {one.point for one in result.options} == {
        GridPoint(f'This sentence: "{{text}}" {suffix}', "lasttoken", 2)
        for suffix in ("means in one word:", "is about")
    }


def test_a_probe_goes_on_where_it_was_stopped(
    found: ProbeResult, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    out, done = tmp_path / "probed", []
    settings: dict[str, Any] = {"labels": LABELS, "samples_per_label": 3, "seed": 5, **GRID}
    real = run_module._scored

    def counted(*args: Any) -> Any:
        if len(done) == 1 and "stop" not in done:
            done.append("stop")
            raise KeyboardInterrupt
        done.append("part")
        return real(*args)

    monkeypatch.setattr(run_module, "_scored", counted)
    with pytest.raises(KeyboardInterrupt):
        probe(load(), TEXTS, out=out, **settings)
    assert not out.exists()
    assert refused(ExistingOutputError, probe, load(), TEXTS, out=out, **settings) == (
        f"{out}.partial has an interrupted probe: pass resume=True to continue it or overwrite=True to start over"
    )
    assert refused(
        RequestError, probe, load(), TEXTS, out=out, resume=True, **{**settings, "seed": 6}
    ).startswith("resume=True: ")
    result = probe(load(), TEXTS, out=out, resume=True, **settings)
    assert done == ["part", "stop", "part"], "two beginnings, so two parts; none twice"
    assert [one.scores for one in result.options] == [pytest.approx(one.scores) for one in found.options]
    assert json.loads((out / "probe.json").read_text()) == result.to_dict()
    assert (out / "heatmap.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["probed"]
    assert refused(ExistingOutputError, probe, load(), TEXTS, out=out, **settings) == (
        f"{out} exists: choose another path or pass overwrite=True"
    )
    probe(load(), TEXTS, out=out, overwrite=True, **{**settings, "templates": "none"})
    assert len(json.loads((out / "probe.json").read_text())["options"]) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": ["x"] * 36}, "the list has one label only ('x'): a probe needs at least two"),
        ({"labels": ["x"]}, "36 texts and 1 labels: give one label per text"),
        ({"max_texts": 5}, "the list has 5 texts: a probe needs at least 20"),
        ({"max_texts": 0}, "max_texts=0: give 1 or more, or nothing for all"),
        ({"rank_by": "v_measure"},
         "v_measure needs labels: give --label-column, or choose from stability, agreement, tolerance, "
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
    ],
)  # fmt: skip
def test_what_cannot_be_probed(settings: dict[str, Any], message: str, load: Load, refused: Refused) -> None:
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
    assert "1 of 73 rows hold no text (empty in 'body'; rows 72, counted from 0)" in refused(
        TableError, probe, load(), path, **columns
    )
    result = probe(load(), path, split="dev", drop_empty=True, **columns, **options)
    assert (result.facts["texts"], result.facts["labels"]) == (36, 3)
    assert result.facts["data"] == f"{path} (split 'dev')"
    assert refused(RequestError, probe, load(), path, labels=LABELS) == (
        "labels of a file are one of its columns: give label_column"
    )


def test_vectors_that_are_not_finite(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from lastword.errors import WorkError

    embedder = load()
    spoilt = {GridPoint("none", "mean", 2): np.full((2 * len(TEXTS), 32), np.nan, np.float32)}
    monkeypatch.setattr(Embedder, "encode_grid", lambda *args, **settings: dict(spoilt))
    with pytest.raises(WorkError) as caught:
        probe(embedder, TEXTS, templates="none", poolings="mean", layers=2)
    assert str(caught.value) == (
        "template 'none', mean, layer 2: vectors with numbers that are not finite: try dtype float32"
    )
