"""A text encoder as an mteb model, and mteb without its side effects.

Importing this file imports mteb, datasets and torch, which takes seconds.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def undisturbed() -> Iterator[None]:
    """Silence mteb, and restore the caller's random states.

    Building an mteb task (importing mteb builds some) seeds `random`, `numpy.random` and torch for the whole
    process: without this, a training run that scores a checkpoint would repeat the same draws each time.
    """
    logger = logging.getLogger("mteb")
    level, python_state, numpy_state = logger.level, random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch else None
    cuda_states = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else []
    datasets = sys.modules.get("datasets")
    had_bars = datasets is not None and not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if datasets and had_bars:
        datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(mteb|sklearn|datasets)\b")
            yield
    finally:
        logger.setLevel(level)
        if datasets and had_bars:
            datasets.enable_progress_bars()
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state)
        if torch and cuda_states:
            torch.cuda.set_rng_state_all(cuda_states)


with undisturbed(), warnings.catch_warnings(action="ignore"):
    import mteb  # noqa: F401
    from mteb.get_tasks import TASK_LIST
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder

from lastword.encoder import TextEncoder, encode_distinct  # noqa: E402


class MtebModel(AbsEncoder):  # type: ignore[misc]
    """A text encoder as mteb wants it, named after its identity.

    The revision is a hash of the identity: mteb files scores under name and revision, and gives every model
    without them the scores of the first.

    Attributes:
        vectors: of the last texts that were embedded, (n, dim).
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self.vectors = np.empty((0, 0))
        identity = encoder.identity
        name = "lastword/" + re.sub(r"[^\w.-]+", "-", identity)[:60]
        revision = hashlib.sha256(identity.encode()).hexdigest()[:40]
        names = {"name": name, "revision": revision}
        self.mteb_model_meta = ModelMeta.create_empty().model_copy(update=names)

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        """Embed the texts of an mteb data loader; (n, dim), in its order."""
        self.vectors = encode_distinct(self.encoder, [text for batch in inputs for text in batch["text"]])
        return self.vectors


def task_types() -> dict[str, str]:
    """Name of every task of mteb → its type."""
    return {str(kind.metadata.name): str(kind.metadata.type) for kind in TASK_LIST}
