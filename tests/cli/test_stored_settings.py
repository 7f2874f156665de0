"""A model that stores how it embeds, given other settings: each command says what it replaces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lastword.cli import main
from lastword.embedding import Embedder
from tests.training.conftest import pair_columns

TEMPLATE = "template 'eol' instead of 'sum'"
POOLING = "pooling 'mean' instead of 'lasttoken'"
DEVICE = ("--dtype", "float32", "--device", "cpu")
COMMANDS = {
    "evaluate": ("evaluate", "{labelled}", *DEVICE),
    "explain": ("explain", "{labelled}", "--max-texts", "4", *DEVICE),
    "pairs check": ("pairs", "check", "{pairs}"),
    "pairs mine": (
        "pairs",
        "mine",
        "{pairs}",
        "--output",
        "{output}",
        "--overwrite",
        "--rank-from",
        "1",
        "--rank-to",
        "9",
    ),
}


@pytest.fixture(scope="module")
def stored(load: Callable[..., Embedder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load(template="sum", pooling="lasttoken").save(tmp_path_factory.mktemp("stored") / "model")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    texts = [f"the {noun} number {i}" for i in range(12) for noun in ("river", "price")]
    pq.write_table(pa.table({"text": texts, "label": ["water", "money"] * 12}), tmp_path / "labelled.parquet")
    files = {
        "pairs": tmp_path / "pairs.parquet",
        "labelled": tmp_path / "labelled.parquet",
        "output": tmp_path / "out.parquet",
    }

    def run(*args: object) -> Result:
        return CliRunner().invoke(main, [str(arg).format(**files) for arg in args])

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_replaced_is_named(run: Callable[..., Result], stored: Path, command: str) -> None:
    for options, said in (
        ([], None),
        (["--template", "sum", "--pooling", "lasttoken"], None),
        (["--template", "eol"], TEMPLATE),
        (["--template", "eol", "--pooling", "mean"], f"{TEMPLATE}, {POOLING}"),
    ):
        result = run(*COMMANDS[command], "--model", stored, *options)
        assert result.exit_code == 0, result.output
        warnings = [line for line in result.stderr.splitlines() if "stores how it embeds" in line]
        expected = [f"{stored} stores how it embeds, but this uses {said}"] if said else []
        assert warnings == expected, options


def test_training(run: Callable[..., Result], stored: Path, tmp_path: Path) -> None:
    """The recipe decides: its template and pooling are used, and the warning says what they replace."""
    result = run(
        "train", "--model", stored, "--pairs", "{pairs}", "--steps", "1", "--batch-pairs", "4", "--rank", "2",
        "--pooling", "mean", "--layer", "1", "--output", tmp_path / "adapted", "--trackers", "none", *DEVICE,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (
        f"{stored} stores how it embeds, but this uses template 'ccw' instead of 'sum', {POOLING}, "
        "layer 1 instead of the last"
    ) in result.stderr
