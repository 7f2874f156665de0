"""Hard negatives for pairs without one: texts near an anchor that are not its positive."""

from __future__ import annotations

import io
import sys
import tempfile
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lastword.arguments import as_path
from lastword.console import info, load_libraries
from lastword.embedding.spec import check_savable
from lastword.errors import RequestError, TableError
from lastword.files.run_folder import RunFolder
from lastword.files.sources import Source
from lastword.files.tables import require_columns
from lastword.files.typed import read_table
from lastword.pairs.record import require_suffix, write_tables

if TYPE_CHECKING:
    from lastword.embedding import Embedder


def mine_negatives(
    file: Source,
    output: str | Path,
    model: str | Path | Embedder = "mini",
    *,
    template: str | None = None,
    pooling: str | None = None,
    rank_from: int = 1,
    rank_to: int = 50,
    margin: float = 0.05,
    overwrite: bool = False,
) -> int:
    """Give each pair the hardest negative that is safe enough; pairs without a safe one get "".

    The search is sentence-transformers' `mine_hard_negatives`, over the positives of all pairs.

    Args:
        file: pairs, with the columns anchor and positive; other columns are copied.
        output: .parquet, .jsonl or .csv.
        model: name or folder of an embedder, or a loaded one; measures the similarities.
        template, pooling: of a base model, by name.
        rank_from, rank_to: ranks of the neighbours to choose from; the nearest are often unmarked positives.
        margin: a negative must be less similar to the anchor than its positive by at least this cosine.
        overwrite: replace `output`.

    Returns:
        Number of pairs with a negative.

    Raises:
        ExistingOutputError, MissingFileError, TableError, RequestError: see the message.
    """
    output = as_path("output", output)
    require_suffix(output)
    run = RunFolder(output, overwrite=overwrite, evidence="")
    run.check(file, model)
    if not 0 <= rank_from < rank_to:
        raise RequestError(f"ranks {rank_from} … {rank_to}: the first must be 0 or more and below the second")
    if isinstance(model, str | Path):
        check_savable(model, template, pooling)
    require_columns(file, ["anchor", "positive"])
    table = read_table(file)
    anchors, positives = (table[name].to_pylist() for name in ("anchor", "positive"))
    if any(not isinstance(text, str) or not text.strip() for text in [*anchors, *positives]):
        raise TableError(
            f"{file}: some pairs have an empty side; remove them with `lastword pairs check --fix`"
        )
    distinct = len(set(positives))
    if distinct <= rank_from + 1:
        raise TableError(f"{file}: {distinct} distinct positives; negatives from rank {rank_from} need more")
    with run.open({}) as folder:
        embedder = _load(model, template, pooling)
        negatives = _mine(embedder, anchors, positives, rank_from, min(rank_to, distinct - 1), margin)
        table, count = _with_negatives(table, negatives)
        write_tables([table], table.schema, folder / "mined", output.suffix.lower())
        run.finish(folder / "mined")
    info(f"{count:,} of {len(anchors):,} pairs have a negative: {output}")
    return count


def _with_negatives(table: pa.Table, negatives: dict[tuple[str, str], str]) -> tuple[pa.Table, int]:
    """The table with the column `negative`, and the number of pairs that have one."""
    anchors, positives = (table[name].to_pylist() for name in ("anchor", "positive"))
    column = pa.array([negatives.get(pair, "") for pair in zip(anchors, positives, strict=True)], pa.string())
    if "negative" in table.column_names:
        table = table.set_column(table.column_names.index("negative"), "negative", column)
    else:
        table = table.append_column("negative", column)
    return table, sum(bool(text) for text in column.to_pylist())


def _load(model: str | Path | Embedder, template: str | None, pooling: str | None) -> Embedder:
    load_libraries("torch", "sentence_transformers", "datasets")
    from lastword.embedding import Embedder

    if isinstance(model, Embedder):
        return model
    return Embedder.from_pretrained(model, template=template, pooling=pooling)


def _mine(
    embedder: Embedder, anchors: list[str], positives: list[str], rank_from: int, rank_to: int, margin: float
) -> dict[tuple[str, str], str]:
    """Anchor and positive → negative."""
    import datasets
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    with tempfile.TemporaryDirectory() as parent:  # the search takes a sentence-transformers model
        folder = embedder.save(Path(parent) / "model")
        model = SentenceTransformer(
            str(folder),
            device=str(embedder.backbone.device),
            trust_remote_code=embedder.spec.pooling.trainable,
        )
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
