"""An encoder for tests that need many texts or processes: each vector follows from its text, no library is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from lastword.errors import DivergenceError, RequestError, WorkError

DIM = 16


class HashEncoder:
    """Texts → vectors of length 1.

    Attributes:
        identity: of the encoder; another one has other vectors.
        encoded: the texts that it got so far.
    """

    name = "hashing"

    def __init__(self, identity: str = "hash-1") -> None:
        self.identity = identity
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        for text in texts:
            if text == "tokenless":
                raise RequestError("text 0 is empty and template 'none' adds no token to it")
            if text in ("long", "longer"):
                raise RequestError(f"{text} has more than 8 tokens: cut it")
            if text == "diverging":
                raise DivergenceError("no finite vector")
            if text == "failing":
                raise WorkError("the server answered 500")
        self.encoded += texts
        digests = [
            hashlib.blake2b(f"{self.identity} {text}".encode(), digest_size=DIM).digest() for text in texts
        ]
        vectors = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIM).astype(np.float32) - 127.5
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit
