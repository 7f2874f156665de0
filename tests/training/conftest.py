"""A tiny training run: thirty pairs, the tiny Llama, seconds a run; and development scores made by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.uncertainty import HALVES, Score

NOUNS = ("river", "house", "car", "cat", "dog", "seller", "cluster", "text", "fox", "price")


def pair_columns(n: int = 30) -> dict[str, list[str]]:
    words = [(NOUNS[i % 10], NOUNS[(i // 10 + i + 3) % 10], i) for i in range(n)]
    return {
        "anchor": [f"the {a} was near the {b} at {i}" for a, b, i in words],
        "positive": [f"near the {b}, at {i}, there was a {a}" for a, b, i in words],
    }


def made_score(value: float, spread: float = 0.0, pattern: int = 0) -> Score:
    """A score whose replicates have this standard deviation; those of two patterns are uncorrelated."""
    waves = (1 + pattern % (HALVES // 2 - 1)) * np.arange(HALVES) / HALVES
    noise = spread * math.sqrt(2) * np.cos(2 * math.pi * waves)
    return Score("made", value, (), tuple((value + float(error),) for error in noise), 100, "made")


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table(pair_columns()), path)
    return path


@pytest.fixture
def settings(llama_folder: Path, pairs_file: Path) -> dict[str, Any]:
    return {
        "model": str(llama_folder), "pairs": [str(pairs_file)], "max_tokens": 64, "steps": 12, "batch_pairs": 8,
        "learning_rate": 1e-2, "warmup_steps": 2, "rank": 4, "alpha": 8.0, "dtype": "float32", "device": "cpu",
        "trackers": "none",
    }  # fmt: skip
