"""Windows cover a text, overlap, fit, and are cut at spaces where there are some."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastword.embedding.windows import LongTexts, Window, cut
from lastword.errors import RequestError

Refused = Callable[..., str]


def tokens_of(text: str) -> list[tuple[int, int]]:
    """Tokens of at most three characters, those of a word with the space before it."""
    spans, start = [], 0
    for at in range(1, len(text) + 1):
        if at == len(text) or at - start == 3 or text[at].isspace():
            spans.append((start, at))
            start = at
    return spans


@given(st.text(alphabet="ab \n東", min_size=1, max_size=400), st.integers(2, 40), st.floats(0, 0.5))
def test_windows_cover_the_text_and_overlap(text: str, tokens: int, share: float) -> None:
    offsets, overlap = tokens_of(text), int(share * tokens)
    windows = cut(text, offsets, tokens, overlap)
    assert windows[0].first == 0
    assert windows[-1].last == len(offsets)
    assert all(0 < window.last - window.first <= tokens for window in windows)
    for before, after in itertools.pairwise(windows):
        assert before.first < after.first <= before.last - overlap
        assert before.last < after.last
    if len(offsets) <= tokens:
        assert windows == [Window(text, 0, len(text), 0, len(offsets))]
        assert windows[0].part == text
    for window in windows[1:]:
        assert window.part == text[offsets[window.first][0] : offsets[window.last - 1][1]].strip()


def test_words_are_whole_where_there_are_spaces() -> None:
    text = " ".join(f"word{number}" for number in range(200))
    windows = cut(text, tokens_of(text), 40, 10)
    assert len(windows) > 5
    words = set(text.split())
    assert all(set(window.part.split()) <= words for window in windows)


def test_a_cut_is_moved_to_a_space_that_is_an_eighth_of_the_window_away_at_most() -> None:
    for space, last in ((15, 16), (14, 15), (13, 14), (12, 16)):
        text = "x" * space + " " + "x" * 9
        windows = cut(text, [(at, at + 1) for at in range(len(text))], 16, 0)
        assert windows[0].last == last, space


def test_a_text_without_spaces_is_cut_at_tokens() -> None:
    text = "東" * 100
    assert [(w.first, w.last) for w in cut(text, tokens_of(text), 16, 4)] == [(0, 16), (12, 28), (24, 34)]


def test_what_parse_reads() -> None:
    assert LongTexts.parse("windows") == LongTexts("windows", None, 32)
    assert LongTexts.parse("LATE:256:0") == LongTexts("late", 256, 0)
    assert LongTexts.parse("windows:40").spec == "windows:40:20"
    for text in ("truncate", "windows", "late:256:32", "windows:40:0", "windows:16:8", "late:999999:0"):
        assert LongTexts.parse(text).spec == text
        assert LongTexts.parse(LongTexts.parse(text)) == LongTexts.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (5, "unknown long_texts 5: Known: truncate, windows, late"),
        ("window", "unknown long_texts 'window': did you mean 'windows'? Known: truncate, windows, late"),
        (
            "windows:x",
            "write windows, windows:256 or windows:256:32 (tokens of a window, and of the overlap)",
        ),
        ("windows:", "(tokens of a window, and of the overlap)"),
        ("windows:1000000", "(tokens of a window, and of the overlap)"),
        (
            "late:1:2:3",
            "write late, late:256 or late:256:32 (tokens of a window, and of the overlap)",
        ),
        ("truncate:256", "long_texts='truncate:256': write truncate"),
        ("windows:15", "a window has 16 tokens or more"),
        ("late:100:51", "windows may overlap by half, here 50 tokens"),
    ],
)
def test_what_parse_refuses(refused: Refused, text: str, message: str) -> None:
    assert refused(RequestError, LongTexts.parse, text).endswith(message)


def test_windows_are_as_large_as_the_room(refused: Refused) -> None:
    assert LongTexts.parse("windows").fitted(500, "m") == LongTexts("windows", 492, 32)
    assert LongTexts.parse("windows:492").fitted(500, "m").window == 492
    assert LongTexts.parse("windows").fitted(49, "m") == LongTexts("windows", 41, 20)
    assert refused(RequestError, LongTexts.parse("late:493").fitted, 500, "m") == (
        "long_texts='late:493:32': with this template and max_tokens, m has room for windows of 492 tokens: use "
        "smaller ones, or raise max_tokens"
    )
    assert "windows of 0 tokens" in refused(RequestError, LongTexts.parse("windows").fitted, 4, "m")
    assert "windows of 15 tokens" in refused(RequestError, LongTexts.parse("windows").fitted, 23, "m")
