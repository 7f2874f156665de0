"""An encoder whose vectors follow from the words of known topics, so that groups are known; no library is loaded."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np

TOPICS = {
    "space": "rocket orbit planet moon astronaut launch galaxy comet",
    "food": "bread soup garlic oven recipe butter onion flour",
    "sport": "goal match referee team league striker coach stadium",
    "music": "guitar chord drummer album melody concert singer piano",
}
DIM = 8


class TopicEncoder:
    """Texts → vectors of length 1: a dimension for each topic, and a little noise that follows from the text."""

    name, identity = "topical", "topical-1"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())
            row = np.random.default_rng(seed).normal(0, 0.08, DIM) + 0.5
            for dim, words in enumerate(TOPICS.values()):
                row[dim] += sum(word in words.split() for word in text.split())
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, np.float32)


def topical_texts(each: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts of each topic in random order, and their topics."""
    draw = random.Random(seed)
    pairs = [
        (f"the {' '.join(draw.sample(words.split(), 4))} and number {n}", topic)
        for topic, words in TOPICS.items()
        for n in range(each)
    ]
    draw.shuffle(pairs)
    return [text for text, _ in pairs], [topic for _, topic in pairs]
