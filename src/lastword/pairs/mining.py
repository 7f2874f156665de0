"""Hard negatives for pairs that have none: texts near an anchor that are not its positive."""

from __future__ import annotations

import io
import sys
import tempfile
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

import pyarrow as pa

from lastword.console import info
from lastword.embedding import Embedder
from lastword.errors import RequestError, TableError
from lastword.files.run_folder import require_absent
from lastword.files.tables import columns_of, read_table
from lastword.pairs.record import require_writable, write_table


def mine_negatives(
    file: str | Path,
    out: str | Path,
    embedder: Embedder,
    *,
    rank_from: int = 1,
    rank_to: int = 50,
    margin: float = 0.05,
    overwrite: bool = False,
) -> int:
    """Give each pair the hardest negative that is safe enough; pairs without one keep none.

    The search is sentence-transformers' own (`mine_hard_negatives`), over the positives of all pairs.

    Args:
        file: pairs, with the columns anchor and positive; others are kept.
        out: .parquet, .jsonl or .csv.
        embedder: finds what is near.
        rank_from, rank_to: only neighbours of these ranks; the nearest are often positives nobody marked.
        margin: a negative must be less similar to the anchor than its positive by this cosine at least.
        overwrite: replace `out`.

    Returns:
        How many pairs got a negative.

    Raises:
        ExistingOutputError, MissingFileError, TableError, RequestError: see the message.
    """
    file, out = Path(file), Path(out)
    require_writable(out)
    require_absent(out, overwrite)
    if not 0 <= rank_from < rank_to:
        raise RequestError(f"ranks {rank_from} … {rank_to}: the first must be 0 or more and below the second")
    table = read_table(file)
    anchors, positives = (
        column.to_pylist() for column in columns_of(table, file, ["anchor", "positive"]).columns
    )
    if any(not isinstance(text, str) or not text.strip() for text in [*anchors, *positives]):
        raise TableError(
            f"{file}: some pairs have a side without text; `lastword pairs check --fix` leaves them out"
        )
    if len(set(positives)) <= rank_from + 1:
        raise TableError(
            f"{file}: {len(set(positives))} distinct positives; ranks from {rank_from} on need more"
        )
    negatives = _mined(embedder, anchors, positives, rank_from, min(rank_to, len(set(positives)) - 1), margin)
    column = pa.array(
        [negatives.get((a, p), "") for a, p in zip(anchors, positives, strict=True)], pa.string()
    )
    if "negative" in table.column_names:
        table = table.set_column(table.column_names.index("negative"), "negative", column)
    else:
        table = table.append_column("negative", column)
    write_table(table, out)
    found = sum(bool(text) for text in column.to_pylist())
    info(f"{found:,} of {len(anchors):,} pairs got a negative: {out}")
    return found


def _mined(
    embedder: Embedder, anchors: list[str], positives: list[str], rank_from: int, rank_to: int, margin: float
) -> dict[tuple[str, str], str]:
    import datasets
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    with tempfile.TemporaryDirectory() as parent:  # the miner takes a sentence-transformers model
        folder = embedder.save(Path(parent) / "model")
        model = SentenceTransformer(str(folder), device=str(embedder.backbone.device))
    with nullcontext() if sys.stderr.isatty() else redirect_stderr(io.StringIO()):  # it always shows its bars
        triplets: Any = mine_hard_negatives(
            datasets.Dataset.from_dict({"anchor": anchors, "positive": positives}),
            model,
            anchor_column_name="anchor",
            positive_column_name="positive",
            range_min=rank_from,
            range_max=rank_to,
            absolute_margin=margin,
            num_negatives=1,
            verbose=False,
        )
    return {(row["anchor"], row["positive"]): row["negative"] for row in triplets}
