"""Which tokens of a text belong to content words: words that are not stop words."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lastword.embedding import Embedder
from lastword.embedding.tokens import clean
from lastword.errors import RequestError
from lastword.explanation.attention import TokenAttention, token_attention
from lastword.stopwords import APOSTROPHES, is_content

_JOINERS = "\u200c\u200d"  # inside words of Indic and Persian script


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
    if character in APOSTROPHES:
        return text[i + 1 : i + 2].isalnum()
    return unicodedata.category(character).startswith("M") or character in _JOINERS


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
