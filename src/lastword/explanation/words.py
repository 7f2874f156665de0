"""Which tokens of a text belong to content words, the words that carry what it is about."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lastword.embedding import Embedder
from lastword.embedding.tokens import clean
from lastword.errors import MissingFileError, RequestError

_APOSTROPHES = "'’ʼ"
_JOINERS = "\u200c\u200d"  # inside words of Indic and Persian script
_ENDINGS = ("n't", "'s", "'re", "'ve", "'ll", "'d", "'m", "'")
# Forms of "do" that scikit-learn's list lacks, and contractions whose stem is no word.
_MORE_STOP_WORDS = {"does", "did", "doing", "wont", "shant", "aint"}


def english_stop_words() -> frozenset[str]:
    """Scikit-learn's list, with forms of "do" and contractions that it lacks."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | _MORE_STOP_WORDS)


def read_stop_words(path: str | Path) -> frozenset[str]:
    """A list of one's own, one word on a line, such as for another language.

    Raises:
        MissingFileError, RequestError: no such file, or not one of UTF-8 text.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a file with one stop word on each line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 text: give one stop word on each line") from error
    return frozenset(_plain(line.strip()) for line in lines if line.strip())


def words_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every word: a run of letters, digits and marks, apostrophes inside included.

    >>> text = "The dog's 2 balls – wow!"
    >>> [text[start:end] for start, end in words_of(text)]
    ['The', "dog's", '2', 'balls', 'wow']
    """
    start = None
    for place, character in enumerate(text):
        if character.isalnum():
            start = place if start is None else start
        elif start is not None and not _goes_on(text, place):
            yield start, place
            start = None
    if start is not None:
        yield start, len(text)


def _goes_on(text: str, place: int) -> bool:
    """Whether a word goes on over a character that is no letter: a mark on one, or an apostrophe before one."""
    character = text[place]
    if character in _APOSTROPHES:
        return text[place + 1 : place + 2].isalnum()
    return unicodedata.category(character).startswith("M") or character in _JOINERS


def is_content(word: str, stop_words: frozenset[str]) -> bool:
    """Whether a word is no stop word, nor a contraction of one ("it's", "don't").

    >>> stop_words = english_stop_words()
    >>> [word for word in ("It's", "a", "dog's", "don't", "Café") if is_content(word, stop_words)]
    ["dog's", 'Café']
    """
    plain = _plain(word)
    forms = {plain, plain.replace("'", "")}
    forms |= {plain.removesuffix(ending) for ending in _ENDINGS}
    return not forms & stop_words


def content_tokens(embedder: Embedder, texts: Sequence[str], stop_words: frozenset[str]) -> list[np.ndarray]:
    """Which of each text's own tokens belong to a content word.

    A token belongs to every word that it shares a character with; a byte of a character of several tokens
    shares it. Blanks, punctuation and symbols are no words.

    Args:
        embedder: whose tokens; a text is cut as for encoding.
        texts: n strings.
        stop_words: in lower case.

    Returns:
        n arrays of bool, one entry for each token of the text without its template.

    Raises:
        RequestError: a template whose text and words are not tokenized apart (boundary="string").
    """
    if embedder.template.boundary == "string":
        raise RequestError(
            "boundary='string' merges template and text into tokens of both: use boundary='ids'"
        )
    cleaned = [clean(text) for text in texts]
    found = []
    for text, offsets in zip(cleaned, embedder.tokenizer.text_offsets(cleaned), strict=True):
        inside = np.zeros(len(text) + 1, dtype=bool)
        for start, end in words_of(text):
            inside[start:end] = is_content(text[start:end], stop_words)
        kept = offsets[: embedder.compiled.budget]
        found.append(np.array([bool(inside[start:end].any()) for start, end in kept], dtype=bool))
    return found


def _plain(word: str) -> str:
    """Lower case, composed, with one kind of apostrophe."""
    lowered = unicodedata.normalize("NFC", word).casefold()
    return lowered.translate(dict.fromkeys(map(ord, _APOSTROPHES), "'"))
