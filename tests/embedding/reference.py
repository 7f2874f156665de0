"""Poolings of one text's states, seq × dim, in plain NumPy: what every way to a vector is held against."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from lastword.embedding.backbone import Backbone
from lastword.embedding.spec import Norm
from lastword.embedding.tokens import Batch

POOLED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda states: states.mean(0),
    "lasttoken": lambda states: states[-1],
    "eos": lambda states: states[-1],
    "max": lambda states: states.max(0),
    "weightedmean": lambda states: np.average(states, axis=0, weights=np.arange(1, len(states) + 1)),
    "cls": lambda states: states[0],
}


def hidden(backbone: Backbone, batch: Batch, layer: int | None = None, norm: Norm = "post") -> Tensor:
    """One hidden state of a batch, the last by default."""
    ((_, states),) = backbone.hidden(batch, [backbone.layers if layer is None else layer], norm)
    return states
