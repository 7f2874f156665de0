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
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # The trainer numbers continued letters in random order, which decides between pieces that are equally frequent:
    # numbered beforehand, as special tokens, they are in order. The tokenizer itself has no special token but one.
    letters = sorted(
        {letter for text in texts for letter in tokenizer.normalizer.normalize_str(text)} - {" "}
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[UNKNOWN, *(f"{_CONTINUED}{letter}" for letter in letters)],
        continuing_subword_prefix=_CONTINUED, show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def stored_tokenizer(texts: Sequence[str], vocabulary: int, path: Path) -> Tokenizer:
    """The tokenizer in a file, which is trained and written first if there is none.

    A resumed run needs the same one: training it again would give other tokens than those with stored vectors.

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
