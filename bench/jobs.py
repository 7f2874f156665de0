"""Implementations of a whole job: each takes a folder and returns a function that does all of it.

Embed the texts, adapt the model on the bundled pairs, write it to disk, load it, embed the texts again.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from implementations import Encode
from trainers import LEARNING_RATE, LONGEST, RANK, TEMPERATURE, cached_step, peer

STEPS, PAIRS = 20, 40


def lastword(folder: Path) -> Encode:
    from lastword import Embedder
    from lastword.config import read_recipe
    from lastword.training import train

    settings = read_recipe("mini") | {
        "model": str(folder), "steps": STEPS, "batch_pairs": PAIRS, "max_tokens": LONGEST, "rank": RANK,
        "alpha": RANK, "temperature": TEMPERATURE, "learning_rate": LEARNING_RATE,
    }  # fmt: skip

    def job(texts: list[str], tokens: int) -> np.ndarray:
        before = Embedder.from_pretrained(folder).encode(texts)
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary) / "adapted"
            train(out, trackers="none", **settings)
            return Embedder.from_pretrained(out).encode(texts) - before

    return job


def sentence_transformers(folder: Path, dtype: torch.dtype = torch.float32) -> Encode:
    from sentence_transformers import SentenceTransformer

    from lastword.bundled import path_of
    from lastword.files.tables import read_texts

    def loaded(place: str | Path) -> SentenceTransformer:
        return SentenceTransformer(str(place), device="cpu", model_kwargs={"dtype": dtype})

    def job(texts: list[str], tokens: int) -> np.ndarray:
        before = loaded(folder).encode(texts, show_progress_bar=False)
        columns = read_texts(path_of("pairs"), ["anchor", "positive"])
        rows = list(zip(columns["anchor"], columns["positive"], strict=True))
        draw = random.Random(0)
        model = peer(folder, dtype)
        step = cached_step(model)
        for _ in range(STEPS):
            anchors, positives = zip(*draw.sample(rows, PAIRS), strict=True)
            step([*anchors, *positives], 0)
        with tempfile.TemporaryDirectory() as temporary:
            model.save(temporary)
            return loaded(temporary).encode(texts, show_progress_bar=False) - before

    return job


JOBS: dict[str, Callable[[Path], Encode]] = {
    "lastword": lastword,
    "sentence-transformers": sentence_transformers,
    "sentence-transformers, bfloat16": lambda folder: sentence_transformers(folder, torch.bfloat16),
}
