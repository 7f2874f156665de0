"""What is removed from an answer, and which answers are rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastword.pairs import make_pairs
from lastword.pairs.generating import INSTRUCTIONS, Rewriting, forecast, read_instructions
from lastword.pairs.generating.answers import cleaned, problem
from lastword.pairs.generating.engine import Answer, Prompt
from tests.pairs.test_make import write

TEXT = "The river was so low in August that nobody could row on it."


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('"The water fell in summer."', "The water fell in summer."),
        ("“The water fell in summer.”", "The water fell in summer."),
        ('"Low" water, "high" time', '"Low" water, "high" time'),
        ("assistant\nThe water fell.", "The water fell."),
        ("Assistant: The water fell.", "The water fell."),
        ("<|im_start|>The water fell.<|im_end|>", "The water fell."),
        ("<think>They want another wording.</think>\nThe water fell.", "The water fell."),
        ("They want another wording.\n</think>\n\nThe water fell.", "The water fell."),
        ("<think>They want another", ""),
        ('Sure! Here is the rewritten sentence:\n\n"The water fell."', "The water fell."),
        ("Here's a simpler version: The water fell.", "The water fell."),
        ("Metaphor: The river was a thread.", "The river was a thread."),
        ("The water\n\n  fell.", "The water fell."),
        ("Here is a nice paradox: the river fell.", "Here is a nice paradox: the river fell."),
        ("Here are rivers that fall in summer.", "Here are rivers that fall in summer."),
        ("Question time came early: nobody rowed.", "Question time came early: nobody rowed."),
    ],
)
def test_cleaning(answer: str, text: str) -> None:
    assert cleaned(answer) == text


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "empty answer"),
        ("...", "empty answer"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I have no rivers.", "the assistant speaks of itself"),
        ("the river was so low in August, that nobody could row on it", "the text itself"),
        ("Rewrite the following sentence with more detail: the water fell.", "echo of the instruction"),
        ("rowing " * 300, "far longer than the text"),
        (
            "Der Fluss führte im August so wenig Wasser, dass niemand rudern konnte.",
            "another language than the text's",
        ),
        ("八月河水太浅，没有人能在上面划船。", "another language than the text's"),
        ("In August the water fell so far that boats stayed ashore.", ""),
        ("I can't row on a thread of water, she said, and nobody could in August.", ""),
    ],
)
def test_rejections(answer: str, reason: str) -> None:
    assert problem(answer, TEXT, INSTRUCTIONS["detail"]) == reason


class Parrot:
    """An engine with known answers."""

    def settings(self) -> dict[str, object]:
        return {}

    def answers(self, prompts: list[Prompt]) -> list[Answer]:
        return [Answer(f"In other words: {prompt.text.split(': ', 1)[-1]} That is it.") for prompt in prompts]


def test_one_instruction_or_all(tmp_path: Path) -> None:
    texts = [f"The river number {i} was low." for i in range(60)]
    file = write(tmp_path / "texts.txt", texts)
    instructions = {name: f"{name.upper()}: {{text}}" for name in ("one", "two", "three")}
    single = make_pairs(Rewriting(Parrot(), instructions=instructions), file, tmp_path / "single.jsonl")
    every = make_pairs(
        Rewriting(Parrot(), instructions=instructions, every=True), file, tmp_path / "every.jsonl"
    )
    assert (single.pairs, every.pairs) == (60, 180)
    drawn = [
        line.split('"instruction\\": \\"')[1].split("\\")[0]
        for line in single.output.read_text().splitlines()
    ]
    assert all(12 <= drawn.count(name) <= 28 for name in instructions), (
        "each is drawn about a third of the time"
    )


def test_the_papers_instructions() -> None:
    assert list(INSTRUCTIONS) == ["detail", "simple", "teacher", "metaphor", "question"]
    assert all(text.count("{text}") == 1 for text in INSTRUCTIONS.values())


def test_instructions_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('short = "Shorten: {text}"\nlong = "Lengthen: {text}"\n')
    assert read_instructions(path) == {"short": "Shorten: {text}", "long": "Lengthen: {text}"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('short = "Shorten it"\n', "short must be a string that contains {text} once, where the text goes"),
        ("short = 3\n", "short must be a string that contains {text} once"),
        ("", "has no instruction: write name ="),
        ("short: no", "is not TOML: "),
    ],
)
def test_invalid_instructions(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"own\.toml") as caught:
        read_instructions(path)
    assert message in str(caught.value)


def test_forecast(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", ["x" * 400, "y" * 400])
    method = Rewriting(Parrot(), instructions={"a": "12345678{text}"}, every=True)
    result = forecast(method, file, price_in=1.0, price_out=10.0)
    assert (result.rows, result.requests, result.tokens_in, result.tokens_out) == (2, 2, 204, 300)
    assert result.cost == pytest.approx((204 + 3000) / 1e6)
