"""Words that say little about a text: articles, pronouns, auxiliary verbs and their contractions."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from lastword.errors import MissingFileError, RequestError

APOSTROPHES = "'’ʼ"
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


def _plain(word: str) -> str:
    """Lower case, composed, with one kind of apostrophe."""
    lowered = unicodedata.normalize("NFC", word).casefold()
    return lowered.translate(dict.fromkeys(map(ord, APOSTROPHES), "'"))
