"""How vectors are stored: as float32, float16, int8 or single bits, with what it takes to read them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lastword.geometry import unit

VECTOR_DTYPES = ("float32", "float16", "int8", "binary")
_LEVELS = 255
_SPREAD = 4


@dataclass(frozen=True)
class VectorFormat:
    """How the vectors of a store are stored.

    Attributes:
        dtype: one of `VECTOR_DTYPES`; "binary" has the sign of each dimension as a bit, 8 to a byte, the first
            dimension in the highest bit.
        dim: dimensions of a vector.
        low, high: of int8, dim numbers each: the values that become -128 and 127; those beyond are clipped.

    Source: `quantize_embeddings` of sentence-transformers, whose "int8" and "ubinary" these are.
    """

    dtype: str
    dim: int
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @classmethod
    def calibrated(cls, dtype: str, vectors: np.ndarray) -> VectorFormat:
        """The format for vectors like these, (n, dim) float32.

        The range of a dimension reaches at least `_SPREAD` standard deviations from the mean: few vectors show too
        little of it.
        """
        dim = vectors.shape[1]
        if dtype != "int8":
            return cls(dtype, dim)
        mean, reach = vectors.mean(0), _SPREAD * vectors.std(0)
        low, high = np.minimum(vectors.min(0), mean - reach), np.maximum(vectors.max(0), mean + reach)
        return cls(dtype, dim, tuple(low.tolist()), tuple(high.tolist()))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VectorFormat:
        """Back from `to_dict`."""
        calibration = values.get("calibration", {})
        return cls(
            values["dtype"], values["dim"], *(tuple(calibration.get(end, ())) for end in ("low", "high"))
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        calibration = {"calibration": {"low": list(self.low), "high": list(self.high)}} if self.low else {}
        return {"dtype": self.dtype, "dim": self.dim, **calibration}

    @property
    def width(self) -> int:
        """Numbers of a stored vector."""
        return -(-self.dim // 8) if self.dtype == "binary" else self.dim

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """Type of a stored number."""
        return np.dtype("uint8" if self.dtype == "binary" else self.dtype)

    def store(self, vectors: np.ndarray) -> np.ndarray:
        """(n, dim) float32 → (n, width) as they are stored."""
        if self.dtype == "binary":
            return np.packbits(vectors > 0, axis=1)
        if self.dtype == "int8":
            low, step = self._scale
            levels: np.ndarray = np.clip(np.rint((vectors - low) / step) - 128, -128, 127).astype(np.int8)
            return levels
        return vectors.astype(self.stored_dtype)

    def restore(self, stored: np.ndarray) -> np.ndarray:
        """(n, width) as they are stored → (n, dim) float32; bits become ±1 / √dim, vectors of length 1."""
        if self.dtype == "binary":
            bits = np.unpackbits(stored, axis=1, count=self.dim).astype(np.float32)
            signs: np.ndarray = (2 * bits - 1) / np.float32(np.sqrt(self.dim))
            return signs
        if self.dtype == "int8":
            low, step = self._scale
            vectors: np.ndarray = (stored.astype(np.float32) + 128) * step + low
            return vectors
        return stored.astype(np.float32, copy=False)

    def clipped(self, vectors: np.ndarray) -> int:
        """How many numbers of (n, dim) float32 are beyond the range of int8."""
        if self.dtype != "int8":
            return 0
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return int(((vectors < low) | (vectors > high)).sum())

    def column(self, stored: np.ndarray) -> pa.FixedSizeListArray:
        """(n, width) as a column of a table."""
        return pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), self.width)

    def from_column(self, column: pa.ChunkedArray) -> np.ndarray:
        """A column of a table as (n, width)."""
        flat = column.combine_chunks().flatten() if column.num_chunks != 1 else column.chunk(0).flatten()
        rows: np.ndarray = flat.to_numpy(zero_copy_only=False).reshape(-1, self.width)
        return rows

    @property
    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return low, np.where(high > low, (high - low) / np.float32(_LEVELS), np.float32(1))


def recall(
    vectors: np.ndarray, queries: np.ndarray, dtype: str, *, top: int = 10, candidates: int = 4
) -> tuple[float, float]:
    """What storing vectors in a type costs a search: the share of the nearest rows that it finds.

    Args:
        vectors: (n, dim) float32 of length 1.
        queries: (q, dim) float32 of length 1; they stay as they are.
        dtype: one of `VECTOR_DTYPES`.
        top: rows of each query that count.
        candidates: with rescoring, exact cosines order so many times `top` rows.

    Returns:
        Mean share of the `top` nearest rows, 0 … 1, without and with rescoring.
    """
    stored = VectorFormat.calibrated(dtype, vectors)
    restored = unit(stored.restore(stored.store(vectors)))
    exact = queries @ vectors.T
    best = np.argsort(-exact, axis=1, kind="stable")[:, :top]
    found = np.argsort(-(queries @ restored.T), axis=1, kind="stable")[:, : candidates * top]
    shares = []
    for scores, wanted, rows in zip(exact, best, found, strict=True):
        again = rows[np.argsort(-scores[rows], kind="stable")]
        shares.append([len({*wanted} & {*kept[:top]}) / len(wanted) for kept in (rows, again)])
    without, rescored = np.mean(shares, axis=0).tolist()
    return without, rescored
