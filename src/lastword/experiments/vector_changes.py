"""What is done with the vectors of a finished model: shorter, in fewer bits, centred, whitened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lastword.errors import RequestError, unknown_name
from lastword.geometry import unit
from lastword.whitening import all_but_the_top, whitening

CHANGES = ("truncate", "float16", "int8", "binary", "centre", "whitening", "all-but-the-top")


@dataclass(frozen=True)
class VectorChange:
    """A change of vectors, written `int8` or `truncate=0.5`.

    Attributes:
        name: one of `CHANGES`.
        share: of the dimensions, which `truncate` keeps, the first ones.
    """

    name: str
    share: float = 1.0

    @classmethod
    def parse(cls, text: str) -> VectorChange:
        """Read a change.

        Raises:
            RequestError: an unknown name, or no width where one is needed.
        """
        name, equals, number = str(text).partition("=")
        if name not in CHANGES:
            raise RequestError(unknown_name("change of vectors", name, CHANGES))
        try:
            share = float(number or 1)
        except ValueError:
            share = 0.0
        if (name == "truncate") != bool(equals) or not 0 < share <= 1:
            raise RequestError(
                f"vectors = {text!r}: write truncate=SHARE, a share above 0 and at most 1, or another name alone"
            )
        return cls(name, share)

    def fitted(self, sample: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """The change as a function, (n, dim) → (n, dim or fewer) float32; `sample` is what it may learn from."""
        if self.name == "truncate":
            width = max(1, round(self.share * sample.shape[1]))
            return lambda vectors: unit(vectors[:, :width])
        if self.name == "centre":
            mean = sample.mean(0)
            return lambda vectors: unit(vectors - mean)
        if self.name in ("whitening", "all-but-the-top"):
            matrix, bias = (whitening if self.name == "whitening" else all_but_the_top)(sample)
            return lambda vectors: unit(vectors @ matrix.T + bias)
        from lastword.corpus.vectors import VectorFormat

        stored = VectorFormat.calibrated(self.name, sample)
        return lambda vectors: stored.restore(stored.store(vectors))
