"""Short training runs on each source of pairs, with equal budgets: which source is better?

Source: the question of arXiv:2507.22729, Table 6.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from lastword.arguments import as_path
from lastword.bundled import PATHS
from lastword.config import TrainConfig, train_config
from lastword.errors import RequestError
from lastword.evaluation.development import Development
from lastword.experiments.comparison import Comparison
from lastword.files.pairs import PairRow, read_pair_rows
from lastword.files.run_folder import RunFolder
from lastword.files.sources import Source, TableFile
from lastword.files.tables import require_columns

LEAST_STEPS = 60
"""With fewer steps sources hardly differ: see the two means in docs/reference/pairs.md."""
JOIN = "+"
_SCHEMA = pa.schema([
    ("anchor", pa.string()), ("positive", pa.string()), ("negative", pa.list_(pa.string())),
])  # fmt: skip


@dataclass(frozen=True)
class PairSource:
    """Pairs of one kind, or a mixture.

    Attributes:
        name: names of the files without their endings.
        files: one file, or several that are mixed in equal parts.
    """

    name: str
    files: tuple[Source, ...]


def read_sources(
    sources: Sequence[str], *, encoding: str | None = None, delimiter: str | None = None
) -> list[PairSource]:
    """Read `a.parquet`, or `a.parquet+b.parquet` for a mixture in equal parts.

    Args:
        sources: files of pairs.
        encoding, delimiter: of text files; None detects them.

    Raises:
        RequestError: no file, fewer than two sources, or two with the same name.
        MissingFileError, TableError: see the message.
    """
    read = []
    for source in sources:
        files = tuple(TableFile(part, encoding, delimiter) for part in source.split(JOIN) if part)
        if not files:
            raise RequestError(f"{source!r} is no source of pairs: give a file, or several as A{JOIN}B")
        for file in files:
            require_columns(PATHS.get(str(file), file), ["anchor", "positive"])
        read.append(PairSource(JOIN.join(Path(str(file)).stem for file in files), files))
    names = [source.name for source in read]
    if len(names) < 2:
        raise RequestError(f"{len(names)} source of pairs: a comparison needs two or more")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise RequestError(f"two sources are called {repeated[0]!r}: rename a file")
    return read


def enough_steps(recipe: Mapping[str, Any]) -> int:
    """The steps of a recipe, or `LEAST_STEPS` if it has fewer."""
    steps: int = recipe.get("steps", TrainConfig.steps)
    return max(LEAST_STEPS, steps)


def compare_pairs(
    sources: Sequence[PairSource],
    development: Development,
    output: str | Path,
    *,
    seeds: int = 3,
    pairs: int = 3000,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> Comparison:
    """Train on each source with several seeds, and score on development texts.

    All runs have the same model, steps, batch and (maximum) number of pairs. Each model is scored after its
    last step: no source may choose a checkpoint on the texts that compare it.

    Args:
        sources: what is compared.
        development: name → (texts, labels); development texts, since choosing a source is a choice.
        output: folder for `comparison.json` and `comparison.svg`; unfinished work is in `OUTPUT.partial`.
        seeds: training runs of each source; each draws its own sample of the pairs.
        pairs: maximum number of pairs of a run.
        resume: continue an interrupted comparison of the same settings.
        overwrite: replace `output`.
        device: None is the best available one.
        **settings: fields of `TrainConfig`, without `pairs` and `seed`.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 1 or pairs < 2:
        raise RequestError(f"seeds={seeds}, pairs={pairs}: at least 1 and at least 2")
    resolved = train_config(settings).to_dict()
    folder = RunFolder(as_path("output", output), "comparison", resume, overwrite)
    folder.check(list(resolved.values()))
    samples = {source.name: draw_samples(source, pairs, seeds) for source in sources}

    from lastword.experiments.series import PlannedRun, run_series, safe_name  # imports torch

    def plan(inputs: Path) -> list[PlannedRun]:
        runs = []
        for name, tables in samples.items():
            for seed, table in enumerate(tables):
                file = inputs / f"{safe_name(name)}-{seed}.parquet"
                pa.parquet.write_table(table, file)
                runs.append(PlannedRun(name, seed, {**settings, "pairs": [str(file)]}, {"pairs": len(table)}))
        return runs

    record = resolved | {
        "most_pairs": pairs,
        "sources": {source.name: list(map(str, source.files)) for source in sources},
    }
    files = [str(resolved["model"]), *(file for source in sources for file in source.files)]
    return run_series(
        folder, settings, plan, development, subject="source", record=record, files=files, device=device
    )


def draw_samples(source: PairSource, pairs: int, seeds: int) -> list[pa.Table]:
    """For each seed at most `pairs` pairs, in equal parts from the files of the source, shuffled.

    Raises:
        MissingFileError, TableError: see the message.
    """
    files = {
        str(file): list(read_pair_rows(PATHS.get(str(file), file), drop_empty=True)) for file in source.files
    }
    return [mixed(files, dict.fromkeys(files, pairs // len(files)), seed) for seed in range(seeds)]


def mixed(sources: Mapping[str, Sequence[PairRow]], counts: Mapping[str, int], seed: int) -> pa.Table:
    """Pairs of several sources, shuffled.

    Args:
        sources: name → its pairs.
        counts: name → how many to draw, all if there are fewer.
        seed: of the draws and the order.
    """
    rows: list[PairRow] = []
    for name, available in sources.items():
        rows += random.Random(f"{seed}/{name}").sample(available, min(len(available), counts[name]))
    random.Random(seed).shuffle(rows)
    columns = zip(*rows, strict=True)
    arrays = [pa.array(cells, kind) for cells, kind in zip(columns, _SCHEMA.types, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)
