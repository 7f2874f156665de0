"""The protocol of a text encoder: texts to vectors, with an identity; what tasks, caches and servers use."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from lastword.arguments import whole_number
from lastword.errors import RequestError, WorkError, require_width


class TextEncoder(Protocol):
    """Texts in, vectors out; `lastword.embedding.Embedder` is one.

    An encoder may also have `encode_query` and `encode_document`, which take the same arguments; retrieval uses
    them where they exist. It may have a `name` and, if it is a decoder, a `spec`.
    """

    @property
    def identity(self) -> str:
        """A string, usually a hash, that changes whenever the vectors may."""

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, in the order of the texts."""


class ManyPooled(TextEncoder, Protocol):
    """An encoder whose single pass also gives the vectors of other encoders: the same model with other poolings."""

    @property
    def others(self) -> tuple[str, ...]:
        """The identities of these other encoders."""

    def encode_all(self, texts: Sequence[str], /) -> dict[str, np.ndarray]:
        """Return identity → (n, dim) float32, its own included."""


class Wrapper:
    """An encoder around another, whose identity, name and spec it has.

    Attributes:
        encoder: the other.
    """

    encoder: Any

    @property
    def identity(self) -> str:
        """The encoder's own."""
        return str(self.encoder.identity)

    @property
    def name(self) -> str | None:
        """The encoder's own, if it has one."""
        return getattr(self.encoder, "name", None)

    @property
    def spec(self) -> Any:
        """The encoder's own, if it has one."""
        return getattr(self.encoder, "spec", None)

    @property
    def widths(self) -> tuple[int, ...]:
        """The encoder's own, if it has some."""
        return getattr(self.encoder, "widths", ())


class VectorRows:
    """Existing vectors as an encoder whose texts are row numbers.

    Row numbers, not the texts themselves, so that two rows with the same text keep their own vectors.

    Attributes:
        texts: "0" … "n - 1", the texts that `encode` takes.
    """

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = np.asarray(vectors)
        if self.vectors.ndim != 2:
            raise RequestError(f"vectors have shape {self.vectors.shape}: give one row per text, (n, dim)")
        self.texts = [str(row) for row in range(len(self.vectors))]

    @property
    def identity(self) -> str:
        """Hash of the vectors, their shape and their type."""
        facts = f"{self.vectors.shape} {self.vectors.dtype}".encode()
        return f"vectors-{hashlib.sha256(facts + self.vectors.tobytes()).hexdigest()}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return the rows that these texts name."""
        return self.vectors[[int(text) for text in texts]]


def checked_dim(encoder: object, truncate_dim: int | None, dim: int, argument: str = "truncate_dim") -> int:
    """Number of dimensions to keep of an encoder's vectors of `dim`; None keeps all.

    Args:
        encoder: may have `widths`, those that its model was trained for.
        truncate_dim: number of dimensions that is asked for.
        dim: of the vectors.
        argument: name of what asks, for messages.

    Raises:
        RequestError: more than there are, or fewer than the model was trained to be truncated to.
    """
    if truncate_dim is None:
        return dim
    truncate_dim = whole_number(argument, truncate_dim)
    require_width(truncate_dim, dim, getattr(encoder, "widths", ()), argument)
    return truncate_dim


def encode_distinct(encoder: TextEncoder, texts: Sequence[str], role: str = "") -> np.ndarray:
    """Embed every distinct text once; each of the n texts gets its vector.

    Args:
        encoder: embeds the texts.
        texts: n texts.
        role: "query" or "document" embeds them by `encode_query` or `encode_document`, if the encoder has it.

    Returns:
        (n, dim), in the order of the texts.

    Raises:
        WorkError: the encoder returned a wrong number of vectors, or values that are not finite.
    """
    row_of = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    encode = getattr(encoder, f"encode_{role}", encoder.encode)
    vectors = checked(encode(list(row_of)), len(row_of))
    return vectors[[row_of[text] for text in texts]]


def checked(vectors: np.ndarray, texts: int) -> np.ndarray:
    """Return the vectors if there is a finite one for each text.

    Raises:
        WorkError: as for `encode_distinct`.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != texts:
        raise WorkError(
            f"the model returned an array of shape {vectors.shape} for {texts} texts, not one row each"
        )
    invalid = ~np.isfinite(vectors).all(axis=1)
    if invalid.any():
        raise WorkError(
            f"the model returned {invalid.sum()} of {texts} vectors with values that are not finite: "
            "try dtype float32, or an earlier checkpoint"
        )
    return vectors
