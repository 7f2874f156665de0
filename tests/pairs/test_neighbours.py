"""Pairs of near neighbours: what a pair is, that vectors and words count alike, near-duplicates, and bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import TableError
from lastword.pairs import Neighbours, make_pairs, neighbouring
from lastword.pairs.neighbouring import nearest_others
from tests.corpus.topical import TopicEncoder, topical_texts


class Points:
    """An encoder of texts whose first words are coordinates."""

    identity = "points"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return np.array([[float(number) for number in text.split()[:2]] for text in texts], np.float32)


@pytest.fixture
def all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbouring, "KEPT", 1.0)


def pairs_of(texts: Sequence[str], tmp_path: Path, **settings: int) -> set[tuple[str, str]]:
    """Anchor and positive."""
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": list(texts)}), file)
    make_pairs(Neighbours(file, Points(), **settings), file, tmp_path / "pairs.parquet", overwrite=True)
    table = pq.read_table(tmp_path / "pairs.parquet")
    return set(zip(table["anchor"].to_pylist(), table["positive"].to_pylist(), strict=True))


def on_circle(degrees: Sequence[float]) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


@pytest.mark.parametrize("block_bytes", [1, 100, 2**20])
def test_the_nearest_others_by_hand(block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of any size; a row is not its own neighbour."""
    monkeypatch.setattr(neighbouring, "_BLOCK_BYTES", block_bytes)
    nearest, products = nearest_others(on_circle([0, 10, 25, 90]).astype(np.float32), 2)
    assert [set(row) for row in nearest.tolist()] == [{1, 2}, {0, 2}, {0, 1}, {1, 2}]
    assert max(products[3]) == pytest.approx(np.cos(np.radians(65)), abs=1e-4)
    assert nearest_others(np.eye(3, dtype=np.float32), 5)[0].shape == (3, 2)


def test_memory_of_the_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """All similarities of these rows would take 64 MB."""
    monkeypatch.setattr(neighbouring, "_BLOCK_BYTES", 2**20)
    rows = np.random.default_rng(0).normal(size=(4000, 8)).astype(np.float32)
    tracemalloc.start()
    nearest_others(rows, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


@pytest.mark.usefixtures("all_kept")
def test_both_texts_must_find_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With one nearest text each, 8 degrees has 4 for its nearest, and 4 has 1."""
    monkeypatch.setattr(neighbouring, "NEAREST", 1)
    monkeypatch.setattr(Neighbours, "_words", lambda method, texts: np.zeros((len(texts), 1), np.float32))
    texts = [f"{x:.5f} {y:.5f}" for x, y in on_circle([0, 1, 4, 8, 180, 181, 270, 272])]
    assert pairs_of(texts, tmp_path) == {
        (texts[0], texts[1]), (texts[4], texts[5]), (texts[6], texts[7]),
    }  # fmt: skip


@pytest.mark.parametrize("shift", [0.0, 50.0])
@pytest.mark.usefixtures("all_kept")
def test_vectors_and_words_count_alike(shift: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of texts with equal vectors those with common words are pairs, of those with equal words those with near vectors.

    A direction that all vectors share changes nothing.
    """
    monkeypatch.setattr(neighbouring, "NEAREST", 1)
    words = [
        "river water fish boat",
        "boat fish water stone",
        "music piano song night",
        "song piano music violin",
    ]
    places = [
        (1.0, 0.0),
        (1.0, 0.0),
        (1.0, 0.0),
        (1.0, 0.0),
        (-1.0, 0.01),
        (-1.0, -0.01),
        (0.0, -1.0),
        (0.0, -0.9),
    ]
    words += ["garden flower green one two", "two garden flower green tree"] * 2
    texts = [f"{x + shift} {y + shift} {text}" for (x, y), text in zip(places, words, strict=True)]
    texts[6:] = [text.replace("one", "sea").replace("tree", "sky") for text in texts[6:]]
    pairs = pairs_of(texts, tmp_path)
    assert {tuple(texts.index(text) for text in pair) for pair in pairs} >= {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert not any({texts.index(text) // 2 for text in pair} == {0, 1} for pair in pairs)


def test_the_more_alike_half_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbouring, "NEAREST", 1)
    monkeypatch.setattr(Neighbours, "_words", lambda method, texts: np.zeros((len(texts), 1), np.float32))
    texts = [f"{x:.5f} {y:.5f}" for x, y in on_circle([0, 1, 90, 92, 180, 190, 270, 284])]
    assert pairs_of(texts, tmp_path) == {(texts[0], texts[1]), (texts[2], texts[3])}


def test_with_tfidf_only_words_count(tmp_path: Path) -> None:
    texts, _ = topical_texts(20)
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), file)
    make_pairs(Neighbours(file, TfidfEncoder().fit(texts)), file, tmp_path / "pairs.parquet")
    for anchor, positive in zip(
        *pq.read_table(tmp_path / "pairs.parquet", columns=["anchor", "positive"]), strict=True
    ):
        assert set(str(anchor).split()) & set(str(positive).split())


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("1 0 a red lamp for the desk", "1 0  A red LAMP for the desk"),
        ("1 0 a red lamp for the desk", "1 0 a red lamp, for the desk!"),
        ("1 0 a red lamp for the desk at home", "1 0 a red lamp for a desk at home"),
        ("1 0 garden hose 20 m with holder green colour", "1 0 garden hose 25 m with holder green colour"),
    ],
)
@pytest.mark.usefixtures("all_kept")
def test_near_duplicates_are_no_pair(text: str, copy: str, tmp_path: Path) -> None:
    """Equal but for case, white space, punctuation or one of many words."""
    others = [
        f"{x:.3f} {y:.3f} {word} thing"
        for (x, y), word in zip(on_circle([90, 95, 200, 205]), "abcd", strict=True)
    ]
    third = "1 0 something else"
    pairs = pairs_of([text, copy, third, *others], tmp_path)
    assert (text, copy) not in pairs
    assert (text, third) in pairs


def test_each_pair_is_made_once_and_the_same_in_every_run(tmp_path: Path) -> None:
    texts, topics = topical_texts(40)
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), file)
    results = []
    for name in ("one.parquet", "two.parquet"):
        make_pairs(Neighbours(file, TopicEncoder()), file, tmp_path / name)
        table = pq.read_table(tmp_path / name)
        results.append(list(zip(table["anchor"].to_pylist(), table["positive"].to_pylist(), strict=True)))
    assert results[0] == results[1]
    assert len({frozenset(pair) for pair in results[0]}) == len(results[0]) > len(texts) / 2
    topic_of = dict(zip(texts, topics, strict=True))
    assert np.mean([topic_of[anchor] == topic_of[positive] for anchor, positive in results[0]]) > 0.9


def test_every_text_has_a_pair_or_a_reason(tmp_path: Path) -> None:
    texts, _ = topical_texts(40)
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": [*texts, texts[0]]}), file)
    result = make_pairs(Neighbours(file, TopicEncoder()), file, tmp_path / "pairs.parquet")
    anchors = set(pq.read_table(tmp_path / "pairs.parquet")["anchor"].to_pylist())
    assert sum(result.rejected.values()) + len(anchors) == result.rows == len(texts) + 1
    assert result.rejected["repeats an earlier text, or is beyond the most"] == 1


def test_one_text_gives_no_pair(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"its 3 rows gave no pair: repeats an earlier text"):
        pairs_of(["1 0", "1 0", "1  0"], tmp_path)


def test_only_the_first_texts_are_compared(tmp_path: Path) -> None:
    texts = ["1 0 red", "0.9 0.1 big red", "-1 0 blue", "-0.9 0.1 big blue", "1 0.01 red"]
    assert not any("1 0.01 red" in pair for pair in pairs_of(texts, tmp_path, most=4))
