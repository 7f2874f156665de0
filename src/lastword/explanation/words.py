"""Which tokens of a text belong to content words: words that are not stop words."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.embedding import Embedder
from lastword.embedding.tokens import clean
from lastword.errors import MissingFileError, RequestError
from lastword.explanation.attention import TokenAttention, token_attention

_APOSTROPHES = "'’ʼ"
_JOINERS = "\u200c\u200d"  # inside words of Indic and Persian script
_ENDINGS = ("n't", "'s", "'re", "'ve", "'ll", "'d", "'m", "'")
# Forms of "do" that scikit-learn's list lacks, and contractions whose stem is not a word.
_MORE_STOP_WORDS = {"does", "did", "doing", "wont", "shant", "aint"}


def english_stop_words() -> frozenset[str]:
    """Scikit-learn's list, with forms of "do" and contractions that it lacks."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | _MORE_STOP_WORDS)


def read_stop_words(path: str | Path) -> frozenset[str]:
    """Read a list with one stop word per line, for example for another language.

    Raises:
        MissingFileError, RequestError: the file does not exist or is not UTF-8 text.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a file with one stop word per line")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 text: give one stop word per line") from error
    return frozenset(_plain(line.strip()) for line in lines if line.strip())


def words_of(text: str) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of every word: a run of letters, digits and marks, apostrophes inside included.

    >>> text = "The dog's 2 balls – wow!"
    >>> [text[start:end] for start, end in words_of(text)]
    ['The', "dog's", '2', 'balls', 'wow']
    """
    start = None
    for i, character in enumerate(text):
        if character.isalnum():
            start = i if start is None else start
        elif start is not None and not _continues(text, i):
            yield start, i
            start = None
    if start is not None:
        yield start, len(text)


def _continues(text: str, i: int) -> bool:
    """Whether a word continues over a character that is not a letter: a combining mark, or an inner apostrophe."""
    character = text[i]
    if character in _APOSTROPHES:
        return text[i + 1 : i + 2].isalnum()
    return unicodedata.category(character).startswith("M") or character in _JOINERS


def is_content(word: str, stop_words: frozenset[str]) -> bool:
    """Whether a word is neither a stop word nor a contraction of one ("it's", "don't").

    >>> stop_words = english_stop_words()
    >>> [word for word in ("It's", "a", "dog's", "don't", "Café") if is_content(word, stop_words)]
    ["dog's", 'Café']
    """
    plain = _plain(word)
    forms = {plain, plain.replace("'", "")}
    forms |= {plain.removesuffix(ending) for ending in _ENDINGS}
    return not forms & stop_words


def content_tokens(embedder: Embedder, texts: Sequence[str], stop_words: frozenset[str]) -> list[np.ndarray]:
    """Which of each text's tokens belong to a content word.

    A token belongs to every word that it shares a character with, also if it is only one byte of that
    character. Spaces, punctuation and symbols are not words.

    Args:
        embedder: its tokenizer is used, and texts are truncated as in encoding.
        texts: n strings.
        stop_words: in lower case.

    Returns:
        n arrays of bool, one entry for each token of the text without its template.

    Raises:
        RequestError: the template tokenizes text and template together (boundary="string").
    """
    if embedder.spec.template.boundary == "string":
        raise RequestError(
            "boundary='string' merges template and text into shared tokens: use boundary='ids'"
        )
    cleaned = [clean(text) for text in texts]
    tokens = []
    for text, offsets in zip(cleaned, embedder.pipeline.tokenizer.text_offsets(cleaned), strict=True):
        content = np.zeros(len(text) + 1, dtype=bool)  # by character
        for start, end in words_of(text):
            content[start:end] = is_content(text[start:end], stop_words)
        encoded = offsets[: embedder.pipeline.compiled.budget]
        tokens.append(np.array([bool(content[start:end].any()) for start, end in encoded], dtype=bool))
    return tokens


@dataclass(frozen=True)
class Token(TokenAttention):
    """One token and the attention it gets, and whether it belongs to a content word."""

    content: bool


def marked_tokens(embedder: Embedder, text: str, stop_words: frozenset[str]) -> list[Token]:
    """Attention of the last token in the last layer, token by token, content words marked."""
    (content,) = content_tokens(embedder, [text], stop_words)
    flags = itertools.cycle(content.tolist())  # an echo has the text twice
    return [
        Token(**vars(token), content=token.part == "text" and next(flags))
        for token in token_attention(embedder, text)
    ]


def _plain(word: str) -> str:
    """Lower case, composed, with one kind of apostrophe."""
    lowered = unicodedata.normalize("NFC", word).casefold()
    return lowered.translate(dict.fromkeys(map(ord, _APOSTROPHES), "'"))
