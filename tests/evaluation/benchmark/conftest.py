"""Small copies of some data sets, in the tables that stand in for the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.samples import WORDS

Rows = list[tuple[str, str, str]]


def rows(splits: dict[str, int], labels: tuple[str, ...], seed: int = 0) -> Rows:
    """Text, label and split: so many texts of each label, mostly of the words of one topic."""
    rng = np.random.default_rng(seed)
    topics = [*WORDS.values(), [f"word{n}" for n in range(8)]]
    return [
        (
            " ".join(rng.choice([*topics[place % len(topics)], "the", "a", "of"], 5))
            + f" {split}{number}x{place}",
            label,
            split,
        )
        for split, each in splits.items()
        for number in range(each)
        for place, label in enumerate(labels)
    ]


def write(path: Path, table: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": t, "label": lab, "split": s}) for t, lab, s in table]
    path.write_text("\n".join(lines) + "\n")


SIB = rows({"train": 20, "validation": 5, "test": 10}, ("health", "sports", "travel"), seed=1)
MASAKHA = rows({"train": 3, "test": 25}, ("business", "health", "politics", "sports"), seed=2)
EMOTION = rows({"train": 30, "test": 10}, ("sadness", "joy", "love", "anger", "fear", "surprise"), seed=3)
AMAZON = rows({"train": 60, "validation": 8, "test": 12}, ("not-counterfactual", "counterfactual"), seed=4)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Four tables: two named after their task, two as they are known."""
    folder = tmp_path / "copies"
    write(folder / "SIB200ClusteringS2S.jsonl", SIB)
    write(folder / "clustering" / "masakhanews_eng.jsonl", MASAKHA)
    write(folder / "emotion.jsonl", EMOTION)
    write(folder / "AmazonCounterfactualClassification.jsonl", AMAZON)
    return folder
