"""The sentences: better, worse and not distinguishable, from numbers that only that case fits."""

from __future__ import annotations

import math
import re

import pytest
from tests.demonstration.conftest import result, row, score

from lastword.demonstration.findings import (
    Finding,
    attention_finding,
    score_findings,
    share_of,
    signed,
    training_finding,
    with_interval,
)
from lastword.demonstration.result import ScoreRow, TrainingRun, rows_by_dataset
from lastword.explanation import TokenAttention
from lastword.training.selection import Selection
from lastword.uncertainty import Difference, compare


def finding_of(*rows: ScoreRow) -> Finding:
    (finding,) = score_findings(result(*rows))
    return finding


def test_a_clear_gain() -> None:
    finding = finding_of(row("zero-shot", 0.382), row("adapted", 0.443))
    assert finding.difference.verdict == "better"
    assert finding.text == (
        "On products the adapted model is better than the best zero-shot setting (none, mean): 44.3 against 38.2, "
        "a difference of +6.1 (95 % interval +6.1 … +6.1). Chance is 17.2."
    )


def test_a_gain_within_its_interval_is_not_distinguishable() -> None:
    rows = row("zero-shot", 0.382, spread=0.02), row("adapted", 0.393, spread=0.02)
    difference = compare(rows[1].scores, rows[0].scores)
    assert difference.low < 0 < difference.high
    low, high = signed(difference.low), signed(difference.high)
    assert finding_of(*rows).text.startswith(
        "On products the adapted model is not distinguishable from the best zero-shot setting (none, mean): "
        f"39.3 against 38.2, a difference of +1.1 (95 % interval {low} … {high})."
    )


def test_a_loss_within_its_interval_is_not_distinguishable() -> None:
    finding = finding_of(row("zero-shot", 0.393, spread=0.02), row("adapted", 0.382, spread=0.02))
    assert finding.difference.verdict == "not distinguishable"
    assert re.search(r"a difference of −1\.1 \(95 % interval −\d\.\d … \+\d\.\d\)", finding.text)
    assert "harm" not in finding.text


def test_a_clear_loss() -> None:
    finding = finding_of(row("zero-shot", 0.443), row("adapted", 0.382))
    assert finding.difference.verdict == "worse"
    assert finding.text == (
        "On products the adapted model is worse than the best zero-shot setting (none, mean): 38.2 against 44.3, "
        "a difference of −6.1 (95 % interval −6.1 … −6.1). The adaptation did harm here. Chance is 17.2."
    )


@pytest.mark.parametrize(
    ("tfidf", "spread", "sentence"),
    [
        (
            0.52,
            0.0,
            "It is worse than TF-IDF, which only counts words: 44.3 against 52.0, a difference of −7.7 ",
        ),
        (0.44, 0.03, "It is not distinguishable from TF-IDF, which only counts words: 44.3 against 44.0, "),
        (
            0.40,
            0.0,
            "It is better than TF-IDF, which only counts words: 44.3 against 40.0, a difference of +4.3 ",
        ),
    ],
)
def test_tfidf_is_always_mentioned(tfidf: float, spread: float, sentence: str) -> None:
    finding = finding_of(
        row("zero-shot", 0.2, spread=spread),
        row("adapted", 0.443, spread=spread),
        row("tfidf", tfidf, spread=spread),
    )
    assert finding.difference.verdict == "better"
    assert sentence in finding.text


def test_zero_shot_is_its_best_row_and_the_adapted_model_the_row_it_was_trained_with() -> None:
    finding = finding_of(
        row("zero-shot", 0.30), row("zero-shot", 0.35, template="eol", pooling="eos"), row("zero-shot", 0.2),
        row("adapted", 0.50, pooling="mean"), row("adapted", 0.40),
    )  # fmt: skip
    assert "better than the best zero-shot setting (eol, eos): 40.0 against 35.0" in finding.text


def test_the_spread_of_training_seeds_is_part_of_the_interval() -> None:
    single = finding_of(row("zero-shot", 0.38), row("adapted", 0.42))
    several = finding_of(row("zero-shot", 0.38), row("adapted", 0.32, 0.42, 0.52))
    assert single.difference.verdict == "better"
    assert several.difference.value == pytest.approx(single.difference.value)
    assert several.difference.verdict == "not distinguishable"


def test_each_data_set_and_split_has_a_finding() -> None:
    rows = [
        row(model, value, dataset=name, split=split)
        for name, split, before, after in (
            ("topics", "test", 0.3, 0.4),
            ("products", "test", 0.4, 0.3),
            ("topics", "dev", 0.2, 0.25),
        )
        for model, value in (("zero-shot", before), ("adapted", after))
    ]
    findings = score_findings(result(*rows))
    assert [(finding.dataset, finding.difference.verdict) for finding in findings] == [
        ("topics", "better"),
        ("products", "worse"),
        ("topics (dev split)", "better"),
    ]
    assert list(rows_by_dataset(rows)) == ["topics, test split", "products, test split", "topics, dev split"]


def test_there_is_no_finding_without_an_adapted_model() -> None:
    assert score_findings(result(row("zero-shot", 0.3))) == []


def test_too_few_texts_for_an_interval() -> None:
    assert with_interval(Difference(0.011, -math.inf, math.inf)) == "+1.1 (too few texts for an interval)"


def trained(seed: int, values: dict[int, float], step: int) -> TrainingRun:
    scores = {at: score(value) for at, value in values.items()}
    return TrainingRun(seed, [2.0, 1.0], Selection("V-measure on topics (dev)", step, scores))


def test_selected_checkpoints_are_named_with_their_seeds() -> None:
    runs = [trained(0, {0: 0.3, 5: 0.35, 10: 0.34}, 5), trained(1, {0: 0.3, 5: 0.31, 10: 0.36}, 10)]
    assert training_finding(runs) == (
        "Selected by V-measure on topics (dev): step 5 (seed 0) with 35.0, step 10 (seed 1) with 36.0."
    )
    assert training_finding(runs[:1]) == "Selected by V-measure on topics (dev): step 5 with 35.0."


def test_runs_that_are_no_better_than_before_are_named() -> None:
    runs = [trained(0, {0: 0.3, 5: 0.35}, 5), trained(1, {0: 0.3, 5: 0.29}, 5)]
    assert training_finding(runs).endswith("No better than before training: seed 1.")
    assert training_finding([runs[1], trained(2, {0: 0.3, 5: 0.3}, 5)]).endswith("training: seeds 1, 2.")


def test_training_without_a_score() -> None:
    selection = Selection("last step (too few pairs to hold any out)", 20, {})
    assert training_finding([TrainingRun(0, [1.0], selection)]) == (
        "Selected: last step (too few pairs to hold any out)."
    )


def test_attention_of_the_text() -> None:
    before = [
        TokenAttention("<s>", "bos", 0.7),
        TokenAttention("a", "text", 0.1),
        TokenAttention("b", "text", 0.2),
    ]
    after = [TokenAttention("<s>", "bos", 0.25), TokenAttention("a", "text", 0.75)]
    assert share_of(before) == pytest.approx(0.3)
    assert share_of(before, "bos") == pytest.approx(0.7)
    assert attention_finding(before, after) == (
        "The tokens of the text get 30% of the last token's attention before the adaptation and 75% after it."
    )
