"""Pairs of mutual nearest neighbours: what a pair is, which ones the threshold leaves out, and equal texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.errors import TableError
from lastword.pairs import Neighbours, make_pairs
from lastword.pairs.neighbouring import nearest_others
from tests.corpus.topical import TopicEncoder, topical_texts


class Points:
    """An encoder of texts that are coordinates."""

    identity = "points"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return np.array([[float(number) for number in text.lower().split()] for text in texts], np.float32)


def pairs_of(texts: Sequence[str], tmp_path: Path) -> dict[tuple[str, str], str]:
    """Anchor and positive → meta."""
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": list(texts)}), file)
    make_pairs(Neighbours(file, Points()), file, tmp_path / "pairs.parquet", overwrite=True)
    table = pq.read_table(tmp_path / "pairs.parquet")
    keys = zip(table["anchor"].to_pylist(), table["positive"].to_pylist(), strict=True)
    return dict(zip(keys, table["meta"].to_pylist(), strict=True))


@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_the_nearest_others_by_hand(shift: float) -> None:
    """A direction that all vectors share changes nothing."""
    angles = np.radians([0, 10, 25, 90])
    points = np.stack([np.cos(angles), np.sin(angles)], 1)
    points = np.concatenate([points, -points]) + shift  # their mean is the shift
    nearest, cosines = nearest_others(points)
    assert nearest[:4].tolist() == [1, 0, 1, 2]
    assert cosines[3] == pytest.approx(np.cos(np.radians(65)), abs=1e-4)


def test_a_pair_is_mutual_and_as_alike_as_nearest_texts_that_are_not(tmp_path: Path) -> None:
    """Of two mutual pairs the one that is farther apart than half of the other nearest texts is left out."""

    def at(degrees: float) -> str:
        return f"{np.cos(np.radians(degrees)):.5f} {np.sin(np.radians(degrees)):.5f}"

    circle = [0, 1, 4, 8, 90, 110, 140, 180, 181, 184, 188, 270, 290, 320]
    pairs = pairs_of([at(degrees) for degrees in circle], tmp_path)
    assert set(pairs) == {(at(0), at(1)), (at(180), at(181))}
    assert all('"threshold": 0.' in meta for meta in pairs.values())


def test_equal_texts_are_no_pair(tmp_path: Path) -> None:
    """Nor are those that differ in case and white space only."""
    pairs = pairs_of(["1 0", "1  0", "1 0 ", "0.9 0.1", "-1 0", "-0.9 -0.2", "0 1", "0.1 1"], tmp_path)
    assert ("1 0", "0.9 0.1") in pairs
    assert not any(float(a.split()[0]) == float(b.split()[0]) for a, b in pairs)


def test_each_pair_is_made_once_and_the_same_in_every_run(tmp_path: Path) -> None:
    """Else a text would be a negative of itself within a batch."""
    texts, topics = topical_texts(40)
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": texts}), file)
    results = []
    for name in ("one.parquet", "two.parquet"):
        result = make_pairs(Neighbours(file, TopicEncoder()), file, tmp_path / name)
        results.append(pq.read_table(tmp_path / name)["positive"].to_pylist())
        assert sum(result.rejected.values()) + result.pairs == len(texts)
    table = pq.read_table(tmp_path / "one.parquet")
    sides = table["anchor"].to_pylist() + table["positive"].to_pylist()
    assert len(set(sides)) == len(sides)
    assert results[0] == results[1]
    topic_of = dict(zip(texts, topics, strict=True))
    same = [topic_of[a] == topic_of[b] for a, b in zip(sides[: len(table)], sides[len(table) :], strict=True)]
    assert np.mean(same) > 0.9


def test_one_text_gives_no_pair(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"its 3 rows gave no pair: repeats an earlier text"):
        pairs_of(["1 0", "1 0", "1  0"], tmp_path)


def test_only_the_first_texts_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "texts.parquet"
    pq.write_table(pa.table({"text": ["1 0", "0.9 0.1", "-1 0", "-0.9 0.1", "1 0.01"]}), file)
    method = Neighbours(file, Points(), most=4)
    make_pairs(method, file, tmp_path / "pairs.parquet")
    assert "1 0.01" not in str(pq.read_table(tmp_path / "pairs.parquet").to_pydict())
