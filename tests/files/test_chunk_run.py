"""Work over the chunks of a file: any table as result, stored when it is done, in the order of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lastword.files.chunk_run import PARTS, Part, run_chunks
from lastword.files.run_folder import RunFolder
from lastword.files.tables import Chunk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"{'' if row == 7 else f'text {row}'}\n" for row in range(10)))
    return path


def vectors(chunk: Chunk) -> tuple[pa.Table, dict[str, Any]]:
    """A vector for each text, as an embedder would give."""
    numbers = np.array([[row, len(chunk.columns["text"])] for row in chunk.rows], np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), 2)
    return pa.table({"row": chunk.rows, "vector": column}), {"largest": max(chunk.rows)}


def joined(parts: list[Part]) -> pa.Table:
    return pa.concat_tables([part.table() for part in parts])


def run(file: Path, work: Any, **settings: Any) -> list[Part]:
    folder = RunFolder(file.with_name("out"), evidence=PARTS, resume=True)
    with folder.open({}):
        return run_chunks(
            file, {"text": "text"}, work, folder, size=3, description="rows", drop_empty=True, **settings
        )


def test_parts_have_the_results_and_the_facts_of_each_chunk(file: Path) -> None:
    parts = run(file, vectors)
    assert [(part.rows, part.unusable, part.results, part.facts) for part in parts] == [
        (3, 0, 3, {"largest": 2}), (3, 0, 3, {"largest": 5}), (3, 1, 2, {"largest": 8}), (1, 0, 1, {"largest": 9}),
    ]  # fmt: skip
    table = joined(parts)
    assert table["row"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert table["vector"].type == pa.list_(pa.float32(), 2)
    assert table["vector"][7].as_py() == [8.0, 2.0]


def test_a_resumed_run_repeats_only_the_open_chunk(file: Path) -> None:
    starts: list[int] = []

    def stops(chunk: Chunk) -> tuple[pa.Table, dict[str, Any]]:
        starts.append(chunk.rows[0])
        if len(starts) == 3:
            raise KeyboardInterrupt
        return vectors(chunk)

    with pytest.raises(KeyboardInterrupt):
        run(file, stops)
    parts = run(file, stops)
    assert starts == [0, 3, 6, 6, 9]
    assert joined(parts)["row"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_a_run_without_a_finished_chunk_leaves_nothing(file: Path) -> None:
    def fails(chunk: Chunk) -> tuple[pa.Table, dict[str, Any]]:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        run(file, fails)
    assert [path.name for path in file.parent.iterdir()] == ["texts.txt"]
