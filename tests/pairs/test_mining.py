"""Hard negatives are near, are not positives, and the rest of the pairs is copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lastword.bundled import path_of
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError, TableError
from lastword.pairs.mining import mine_negatives
from tests.pairs.checking.test_check import GOOD, write
from tests.pairs.test_methods import rows

Refused = Callable[..., str]


def test_negatives_are_near_and_no_positives(
    mini: Embedder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(path_of("pairs")).slice(0, 200)
    pq.write_table(table, tmp_path / "pairs.parquet")
    count = mine_negatives(
        tmp_path / "pairs.parquet", tmp_path / "out.parquet", mini, rank_from=0, margin=0.02
    )
    assert "it/s" not in "".join(capsys.readouterr()), "progress bars without a terminal"
    mined = rows(tmp_path / "out.parquet")
    assert [row["positive"] for row in mined] == table["positive"].to_pylist()
    with_negative = [row for row in mined if row["negative"]]
    assert len(with_negative) == count > 5
    positives_of: dict[str, set[str]] = {}
    for row in mined:
        positives_of.setdefault(row["anchor"], set()).add(row["positive"])
    anchors, positives, negatives = (
        mini.encode([row[side] for row in with_negative]) for side in ("anchor", "positive", "negative")
    )
    assert ((anchors * negatives).sum(1) < (anchors * positives).sum(1) - 0.015).all()
    everything = mini.encode(table["positive"].to_pylist())
    near = (anchors * negatives).sum(1)[:, None] > (anchors @ everything.T)
    assert near.mean() > 0.8, "a mined negative is nearer than most texts"
    assert not any(row["negative"] in positives_of[row["anchor"]] for row in with_negative)


def test_what_cannot_be_mined(mini: Embedder, tmp_path: Path, refused: Refused) -> None:
    file, out = write(tmp_path / "pairs.parquet", GOOD), tmp_path / "out.parquet"
    assert refused(RequestError, mine_negatives, file, out, mini, rank_from=5, rank_to=3) == (
        "ranks 5 … 3: the first must be 0 or more and below the second"
    )
    assert refused(TableError, mine_negatives, file, out, mini, rank_from=9) == (
        f"{file}: 4 distinct positives; negatives from rank 9 need more"
    )
    out.touch()
    assert refused(ExistingOutputError, mine_negatives, file, out, mini) == (
        f"{out} exists: choose another path or pass overwrite=True"
    )
