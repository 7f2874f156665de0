"""The tokens of a static model: words and pieces of words of the texts, and texts as bags of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

UNKNOWN = "[UNK]"
_CONTINUED = "##"


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """Learn words and pieces of words, lower case; the same texts give the same tokens.

    The decoder's own tokenizer is not used: whole words make better static vectors than its shorter pieces.

    Args:
        texts: to learn from.
        vocabulary: the most tokens.
    """
    tokenizer = _tokenizer({UNKNOWN: 0})
    # The trainer numbers continued letters in random order, which decides between pieces that are equally frequent;
    # numbered beforehand, as special tokens, they are in order.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[UNKNOWN, *_continued(tokenizer, texts)],
        continuing_subword_prefix=_CONTINUED, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return _tokenizer(tokenizer.get_vocab())


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(vocabulary, unk_token=UNKNOWN, continuing_subword_prefix=_CONTINUED)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([UNKNOWN])
    return tokenizer


def _continued(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The letters that continue a word, as tokens, in order."""
    words: set[str] = set()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    return [f"{_CONTINUED}{letter}" for letter in sorted({letter for word in words for letter in word[1:]})]


def stored_tokenizer(texts: Sequence[str], vocabulary: int, path: Path) -> Tokenizer:
    """The tokenizer in a file, which is trained and written first if there is none.

    A resumed run reads it, whatever the library gives by then: its tokens have stored vectors.

    Args:
        texts, vocabulary: as for `train_tokenizer`.
        path: of the file.
    """
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        train_tokenizer(texts, vocabulary).save(str(temporary))
        temporary.replace(path)
    return Tokenizer.from_file(str(path))


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """The text of each token, in the order of their ids."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    return [token.removeprefix(_CONTINUED) or token for token in tokens]


def bags(tokenizer: Tokenizer, texts: Sequence[str]) -> Any:
    """Share of each token in each text, sparse (n, vocabulary) float32; a text without a token is a row of zeros."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    lengths = np.array([len(row) for row in ids])
    shares = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    columns = np.concatenate([np.asarray(row, np.int64) for row in ids])
    matrix = sparse.csr_array(
        (shares, columns, np.concatenate([[0], lengths.cumsum()])), shape=(len(ids), tokenizer.get_vocab_size())
    )  # fmt: skip
    matrix.sum_duplicates()
    return matrix
