"""The sentences: each case of better, level and worse, from numbers that only that case fits."""

from __future__ import annotations

import pytest
from tests.training.conftest import made_score

from lastword.demonstration.content import Training
from lastword.demonstration.findings import (
    Difference,
    attention_finding,
    datasets_of,
    score_findings,
    text_share,
    training_finding,
)
from lastword.demonstration.table import Row
from lastword.explanation import TokenAttention
from lastword.training import Selection


def row(model: str, score: float, std: float = 0.003, **changes: object) -> Row:
    setting = {"tfidf": (None, None), "zero-shot": ("none", "mean"), "adapted": ("ccw", "lasttoken")}[model]
    template, pooling = setting
    return {
        "dataset": "products", "split": "test", "model": model, "template": template, "pooling": pooling,
        "v_measure": score, "std": std, **changes,
    }  # fmt: skip


def verdict_and_text(*rows: Row) -> tuple[str, str]:
    (finding,) = score_findings(rows, "ccw", "lasttoken")
    return finding.verdict, finding.text


def test_gain_beyond_the_band() -> None:
    assert verdict_and_text(row("zero-shot", 0.382, 0.004), row("adapted", 0.443, 0.0045)) == (
        "+6.1",
        "On products the adapted model gains 6.1 points over the best zero-shot setting (none, mean): "
        "38.2 to 44.3 (band ±1.2).",
    )


def test_gain_within_the_band_is_level() -> None:
    assert verdict_and_text(row("zero-shot", 0.382, 0.01), row("adapted", 0.393, 0.01)) == (
        "level",
        "On products the adapted model is level with the best zero-shot setting (none, mean): 38.2 to 39.3, "
        "a difference of +1.1 within the noise band of ±2.8.",
    )


def test_loss_within_the_band_is_level() -> None:
    assert (
        "a difference of −1.1 within the noise band of ±2.8."
        in verdict_and_text(row("zero-shot", 0.393, 0.01), row("adapted", 0.382, 0.01))[1]
    )


def test_loss_beyond_the_band() -> None:
    assert verdict_and_text(row("zero-shot", 0.443), row("adapted", 0.382)) == (
        "−6.1",
        "On products the adapted model loses 6.1 points against the best zero-shot setting (none, mean): "
        "44.3 to 38.2 (band ±0.8). The adaptation did harm here.",
    )


@pytest.mark.parametrize(
    ("tfidf", "sentence"),
    [
        (0.52, "TF-IDF, which only counts words, is ahead of it by 7.7 points (band ±0.8)."),
        (0.44, "TF-IDF, which only counts words, does as well within the noise band of ±0.8."),
        (0.40, "TF-IDF, which only counts words, stays 4.3 points behind (band ±0.8)."),
    ],
)
def test_word_counts_are_never_passed_over(tfidf: float, sentence: str) -> None:
    verdict, text = verdict_and_text(row("zero-shot", 0.382), row("adapted", 0.443), row("tfidf", tfidf))
    assert verdict == "+6.1"
    assert text.endswith(f"(band ±0.8). {sentence}")


def test_zero_shot_gets_its_best_row_and_the_adapted_model_the_one_it_was_trained_with() -> None:
    rows = [
        row("zero-shot", 0.30), row("zero-shot", 0.35, template="eol", pooling="eos"), row("zero-shot", 0.2),
        row("adapted", 0.50, pooling="mean"), row("adapted", 0.40),
    ]  # fmt: skip
    _, text = verdict_and_text(*rows)
    assert "gains 5.0 points over the best zero-shot setting (eol, eos): 35.0 to 40.0" in text


def test_each_data_set_and_split_speaks_for_itself() -> None:
    rows = [
        row(model, score, dataset=name, split=split)
        for name, split, before, after in (
            ("topics", "test", 0.3, 0.4),
            ("products", "test", 0.4, 0.3),
            ("topics", "dev", 0.2, 0.25),
        )
        for model, score in (("zero-shot", before), ("adapted", after))
    ]
    found = score_findings(rows, "ccw", "lasttoken")
    assert [(finding.dataset, finding.verdict) for finding in found] == [
        ("topics", "+10.0"),
        ("products", "−10.0"),
        ("topics (dev split)", "+5.0"),
    ]
    assert [name for name, _ in datasets_of(rows)] == [
        "topics, test split",
        "products, test split",
        "topics, dev split",
    ]


def test_nothing_is_said_without_an_adapted_model() -> None:
    assert score_findings([row("zero-shot", 0.3)], "ccw", "lasttoken") == []


def test_without_zero_shot_the_score_itself_is_told() -> None:
    assert verdict_and_text(row("adapted", 0.443)) == ("44.3", "On products the adapted model scores 44.3.")


def test_band_is_two_deviations_of_the_difference() -> None:
    difference = Difference.of(row("adapted", 0.5, 0.03), row("zero-shot", 0.4, 0.04))
    assert (difference.points, difference.band) == (pytest.approx(10), pytest.approx(10))
    assert Difference(1.0, 1.0).is_noise
    assert not Difference(-1.01, 1.0).is_noise


def trained(seed: int, scores: dict[int, float], step: int) -> Training:
    return Training(
        seed,
        [2.0, 1.0],
        Selection("V-measure on topics (dev)", step, {at: made_score(value) for at, value in scores.items()}),
    )


def test_kept_checkpoints_are_named_with_their_seeds() -> None:
    runs = [trained(0, {0: 0.3, 5: 0.35, 10: 0.34}, 5), trained(1, {0: 0.3, 5: 0.31, 10: 0.36}, 10)]
    assert training_finding(runs) == (
        "Kept by V-measure on topics (dev): step 5 (seed 0) with 35.0, step 10 (seed 1) with 36.0."
    )
    assert training_finding(runs[:1]) == "Kept by V-measure on topics (dev): step 5 with 35.0."


def test_training_that_did_not_help_is_told() -> None:
    runs = [trained(0, {0: 0.3, 5: 0.35}, 5), trained(1, {0: 0.3, 5: 0.29}, 5)]
    assert training_finding(runs).endswith("Training did not raise the development score of seed 1.")


def test_training_without_a_score() -> None:
    selection = Selection("last step (too few pairs to hold any out)", 20, {})
    assert training_finding([Training(0, [1.0], selection)]) == (
        "Kept: last step (too few pairs to hold any out)."
    )


def test_attention_of_the_text() -> None:
    before = [
        TokenAttention("<s>", "bos", 0.7),
        TokenAttention("a", "text", 0.1),
        TokenAttention("b", "text", 0.2),
    ]
    after = [TokenAttention("<s>", "bos", 0.25), TokenAttention("a", "text", 0.75)]
    assert text_share(before) == pytest.approx(0.3)
    assert text_share(before, "bos") == pytest.approx(0.7)
    assert attention_finding(before, after) == (
        "The text's own tokens get 30% of the last token's attention before the adaptation and 75% after it."
    )
