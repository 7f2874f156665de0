"""Content words: what counts as a word, which words are stop words, and which tokens belong to a content word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.embedding import Embedder, Template
from lastword.errors import MissingFileError, RequestError
from lastword.explanation.words import content_tokens, words_of
from lastword.stopwords import english_stop_words, is_content, read_stop_words

Load = Callable[..., Embedder]


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in words_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" – …!? \t\n", []),
        ("don't stop, it’s fine", ["don't", "stop", "it’s", "fine"]),
        ("'quoted' rock 'n' roll's'", ["quoted", "rock", "n", "roll's"]),
        ("dogs' tails", ["dogs", "tails"]),
        ("well-known A/B snake_case", ["well", "known", "A", "B", "snake", "case"]),
        ("$1,299.00", ["1", "299", "00"]),
        ("nai\u0308ve cafe\u0301s", ["nai\u0308ve", "cafe\u0301s"]),
        ("東京に行く", ["東京に行く"]),
        ("हिन्दी", ["हिन्दी"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("I \u2764\ufe0f 🚀s", ["I", "s"]),
        ("\u0301alone", ["alone"]),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_are_in_order_and_start_with_a_letter_or_digit(text: str) -> None:
    last = 0
    for start, end in words_of(text):
        assert last <= start < end <= len(text)
        assert text[start].isalnum()
        last = end
    rest = text
    for start, end in reversed(list(words_of(text))):
        rest = rest[:start] + rest[end:]
    assert not any(character.isalnum() for character in rest)


@pytest.mark.parametrize(
    "word",
    [
        "the",
        "THE",
        "It's",
        "it’s",
        "don't",
        "won't",
        "can't",
        "doesn’t",
        "they'd",
        "I'm",
        "we'll",
        "you've",
        "ain't",
    ],
)
def test_stop_words_and_their_contractions_are_not_content_words(word: str) -> None:
    assert not is_content(word, english_stop_words())


@pytest.mark.parametrize("word", ["man", "dog's", "O'Brien", "Café", "7", "東京", "thermometer", "AI"])
def test_other_words_are_content_words(word: str) -> None:
    assert is_content(word, english_stop_words())


def content_of(embedder: Embedder, text: str) -> str:
    """The text's tokens that belong to content words, joined."""
    (content,) = content_tokens(embedder, [text], english_stop_words())
    ids = embedder.pipeline.tokenizer.text_ids([text])[0]
    assert len(content) == min(len(ids), embedder.pipeline.compiled.budget)
    content_ids = [token for token, is_content in zip(ids, content, strict=False) if is_content]
    return str(embedder.pipeline.tokenizer.hf.decode(content_ids)).replace(" ", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a man is driving a car", "mandrivingcar"),
        ("  the river, was low!  ", "riverlow"),
        ("it is what it is", ""),
        ("!?", ""),
        ("It's the dog's café", "dog'scafé"),
        ("東京 🚀 and", "東京"),
        ("unbelievably", "unbelievably"),
    ],
)
def test_tokens_of_content_words(text: str, expected: str, load: Load) -> None:
    assert content_of(load(template="ccw"), text) == expected


def test_tokens_of_a_truncated_text(load: Load) -> None:
    embedder = load(template="ccw")
    (content,) = content_tokens(embedder, ["car " * 300], english_stop_words())
    assert len(content) == embedder.pipeline.compiled.budget


def test_lone_surrogates_are_neither_words_nor_errors(load: Load) -> None:
    (content,) = content_tokens(load(template="none"), ["\ud800 car"], english_stop_words())
    assert content.any()
    assert not content.all()


def test_shared_tokens_of_template_and_text_are_refused(load: Load) -> None:
    embedder = load(template=Template.parse("ccw", boundary="string"))
    with pytest.raises(RequestError) as caught:
        content_tokens(embedder, ["a car"], english_stop_words())
    assert str(caught.value) == (
        "boundary='string' merges template and text into shared tokens: use boundary='ids'"
    )


def test_stop_words_from_a_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "de.txt").write_text("der\nDie\n\n  weiß \n", encoding="utf-8-sig")
    german = read_stop_words(tmp_path / "de.txt")
    assert [word for word in ("Der", "die", "WEISS", "the", "Katze") if is_content(word, german)] == [
        "the",
        "Katze",
    ]
    missing = tmp_path / "no.txt"
    assert refused(MissingFileError, read_stop_words, missing) == (
        f"no file {missing}: give a file with one stop word per line"
    )
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    assert refused(RequestError, read_stop_words, tmp_path / "bad.txt") == (
        f"{tmp_path / 'bad.txt'} is not UTF-8 text: give one stop word per line"
    )
