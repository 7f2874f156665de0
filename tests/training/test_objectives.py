"""Which texts a step has, and what is made of their vectors, and the learning rate."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastword.augment import noisy
from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.errors import TableError
from lastword.geometry import unit
from lastword.training.guide import Guide
from lastword.training.loop import learning_rate_factor
from lastword.training.losses import Targets, cosent, info_nce, with_teacher
from lastword.training.objectives import PairObjective, Standard, step_rows, step_rows_of_one_file
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.vectors import TextVectors, texts_of


@given(n=st.integers(2, 200), batch=st.integers(2, 64), seed=st.integers(0, 5))
def test_an_epoch_shows_every_pair_at_most_once(n: int, batch: int, seed: int) -> None:
    steps = n // min(batch, n)
    rows = [row for step in range(steps) for row in step_rows(n, batch, step, seed)]
    assert len(rows) == len(set(rows)) == steps * min(batch, n)
    assert set(rows) <= set(range(n))


def test_epochs_and_seeds_differ() -> None:
    first = step_rows(100, 100, 0, seed=0)
    assert first == step_rows(100, 100, 0, seed=0)
    assert first != step_rows(100, 100, 1, seed=0)
    assert first != step_rows(100, 100, 0, seed=1)


def test_learning_rate_rises_then_follows_its_schedule() -> None:
    assert learning_rate_factor(0, 100, 10, "linear") < learning_rate_factor(9, 100, 10, "linear") < 1
    assert learning_rate_factor(10, 100, 10, "linear") == 1
    assert 0 < learning_rate_factor(99, 100, 10, "linear") < 0.02
    assert learning_rate_factor(99, 100, 10, "constant") == 1
    assert 0 < learning_rate_factor(99, 100, 10, "cosine") < 0.01


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "schedule", "factor"),
    [
        (0, 10, 4, "linear", 1 / 5),
        (3, 10, 4, "constant", 4 / 5),
        (4, 10, 4, "linear", 1.0),
        (7, 10, 4, "linear", 1 / 2),
        (7, 10, 4, "cosine", 1 / 2),
        (6, 10, 4, "cosine", (1 + math.cos(math.pi / 3)) / 2),
        (9, 10, 4, "constant", 1.0),
        (0, 10, 0, "linear", 1.0),
        (5, 6, 10, "linear", 6 / 11),
        (4, 4, 4, "linear", 1.0),
    ],
)
def test_learning_rate_by_hand(step: int, steps: int, warmup: int, schedule: str, factor: float) -> None:
    assert learning_rate_factor(step, steps, warmup, schedule) == pytest.approx(factor)


WORDS = "one two three four five six seven eight nine ten"
PAIRS = Pairs(["a a", "b b", "c c"], [f"{side} {WORDS}" for side in "pqr"], [[], ["x", "y"], ["z"]])


def test_a_step_is_anchors_positives_and_hard_negatives() -> None:
    step = PairObjective(PAIRS, train_config({"batch_pairs": 8, "temperature": 0.3})).step(0)
    pairs = PAIRS.take(step_rows(3, 8, 0, seed=0))
    hard = [text for texts in pairs.negatives for text in texts]
    assert step.texts == pairs.anchors + pairs.positives + hard
    assert [pairs.negatives[owner][0][0] for owner in step.owners[3:]] == [
        "x" if text == "y" else text for text in hard
    ]
    assert step.owners[:3] == [0, 1, 2]
    assert step.negatives == 5
    assert step.targets.temperature == 0.3
    assert step.targets.excluded is not None
    assert step.targets.excluded.shape == (3, 6)
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    expected = info_nce(vectors[:3], vectors[3:], Targets(0.3))
    assert step.loss_of(vectors) == pytest.approx(expected)


def test_repeated_texts_are_excluded_before_the_noise() -> None:
    pairs = Pairs(["a", "b"], ["one two", "one two"], [[], ["one two"]])
    step = PairObjective(pairs, train_config({"batch_pairs": 2, "noise": "delete"})).step(0)
    assert step.negatives == 0
    assert set(step.texts[2:4]) <= {"one", "two"}, "hard negatives keep their words"
    assert step.texts[4] == "one two"


def test_noise_depends_on_seed_step_and_row() -> None:
    config = train_config({"batch_pairs": 3, "noise": "delete", "seed": 5})
    for number in (0, 1, 2):
        pairs = PAIRS.take(step_rows(3, 3, number, seed=5))
        expected = [
            noisy(text, ("delete",), random.Random(f"5/{number}/{row}"))
            for row, text in enumerate(pairs.positives)
        ]
        assert PairObjective(PAIRS, config).step(number).texts[3:6] == expected


@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(2, 9), st.integers(0, 3))
def test_an_epoch_by_file_has_every_full_batch_of_every_file(files: list[int], batch: int, seed: int) -> None:
    sizes = {file: min(batch, files.count(file)) for file in set(files)}
    steps = sum(files.count(file) // size for file, size in sizes.items())
    epochs = [
        [step_rows_of_one_file(files, batch, epoch * steps + step, seed) for step in range(steps)]
        for epoch in range(2)
    ]
    for rows in epochs:
        for one in rows:
            (file,) = {files[row] for row in one}
            assert len(one) == len(set(one)) == sizes[file]
        drawn = [row for one in rows for row in one]
        assert len(drawn) == len(set(drawn)) == sum(files.count(f) // s * s for f, s in sizes.items())


GRADES = Pairs(
    list("abcdef"), list("ghijkl"), [[]] * 6, scores=[0.0, 1, 1, 2, 5, 5], files=[0, 0, 0, 1, 1, 1]
)


def test_graded_pairs_reach_the_loss_with_their_scores() -> None:
    config = train_config({"batch_pairs": 6, "loss": "cosent", "temperature": 0.3})
    step = PairObjective(GRADES, config).step(0)
    rows = step_rows(6, 6, 0, seed=0)
    assert step.negatives == 5, "the pair of the score 0 or 2"
    vectors = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    targets = Targets(0.3, scores=torch.tensor([GRADES.scores[row] for row in rows]))
    assert step.loss_of(vectors) == cosent(vectors[:6], vectors[6:], targets)


def test_guide_and_teacher_reach_the_loss() -> None:
    """Both know the texts before the noise; repeated texts are excluded besides."""
    pairs = dataclasses.replace(PAIRS, negatives=[[], [PAIRS.positives[0], "y"], ["z"]])
    texts = texts_of(pairs)
    drawn = np.random.default_rng(0).normal(size=(len(texts), 3)).astype(np.float32)
    known = TextVectors({text: row for row, text in enumerate(texts)}, unit(drawn))
    config = train_config({
        "batch_pairs": 3, "temperature": 0.3, "teacher": "self", "teacher_weight": 0.25, "noise": "delete",
    })  # fmt: skip
    step = Standard().objective(pairs, config, Guide(known), known).step(0)
    plain = PairObjective(pairs, dataclasses.replace(config, noise=())).step(0)
    sides = plain.texts[:3], plain.texts[3:]
    assert plain.targets.excluded is not None
    excluded = plain.targets.excluded | Guide(known).excluded(*sides)
    targets = Targets(0.3, excluded, taught=known.cosines(*sides))
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    expected = with_teacher(info_nce, 0.25)(vectors[:3], vectors[3:], targets)
    assert not torch.equal(excluded, plain.targets.excluded)
    assert step.loss_of(vectors).item() == pytest.approx(expected.item())


def test_files_have_steps_and_temperatures_of_their_own() -> None:
    config = train_config({
        "batch_pairs": 3, "mixing": "by_file", "temperatures": [0.1, 0.7], "widths": [2], "pairs": ["a", "b"],
    })  # fmt: skip
    objective = PairObjective(GRADES, config)
    vectors = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    for number in range(4):
        step = objective.step(number)
        temperature = 0.1 if step.texts[0] in "abc" else 0.7
        assert len({text in "abc" for text in step.texts[:3]}) == 1
        losses = [info_nce(vectors[:3, :k], vectors[3:, :k], Targets(temperature)) for k in (2, 4)]
        assert step.loss_of(vectors).item() == pytest.approx(float(sum(losses)) / 2)
    mixed = PairObjective(GRADES, dataclasses.replace(config, mixing="joint", batch_pairs=6)).step(0)
    assert isinstance(mixed.targets.temperature, torch.Tensor)
    assert mixed.targets.temperature.tolist() == pytest.approx(
        [0.1 if text in "abc" else 0.7 for text in mixed.texts[:6]]
    )


def test_the_standard_way_reads_pairs_and_makes_steps_of_them(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("anchor,positive\na,b\nc,\ne,f\n")
    assert "empty" in refused(TableError, Standard().read, [path], drop_empty=False)
    pairs = Standard().read([path], drop_empty=True)
    assert pairs == read_pairs([path], drop_empty=True)
    path.write_text("anchor,positive,score\na,b,1\ne,f,2\n")
    assert Standard().read([path], drop_empty=False, graded=True).scores == [1, 2]
    config = train_config({"batch_pairs": 2})
    assert Standard().objective(pairs, config) == PairObjective(pairs, config)
    assert Standard().record == {}


def test_pairs_of_one_text_need_dropout_noise_scores_or_a_teacher(said: list[str]) -> None:
    same = Pairs(["a b", "c d"], ["a b", "c d"], [[], []])
    for settings in ({"dropout": 0.1}, {"noise": "delete"}, {"loss": "cosent"}, {"teacher": "self"}):
        Standard().objective(same, train_config({"dropout": 0.0} | settings))
    Standard().objective(PAIRS, train_config({"dropout": 0.0}))
    assert said == []
    Standard().objective(same, train_config({"dropout": 0.0}))
    assert [line.split(":")[0] for line in said] == ["both sides of every pair are the same text"]


def test_the_view_for_training_is_no_longer_than_the_model_allows(load: Callable[..., Embedder]) -> None:
    embedder = load(max_tokens=50)
    for max_tokens, expected in ((20, 20), (60, 50)):
        stored, trained = Standard().views(embedder, max_tokens)
        assert stored is embedder
        assert trained.pipeline.max_tokens == expected
        assert trained.backbone.model is embedder.backbone.model
