"""The tables of the paper by name: the request is checked here, without torch; `measure.py` does the work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastword.bundled import PATHS
from lastword.config import read_recipe, train_config
from lastword.console import load_libraries
from lastword.errors import MissingFileError, RequestError, unknown_name
from lastword.files.run_folder import RunFolder, fingerprint
from lastword.paper.scales import PAIR_SOURCES, SCALES, Scale
from lastword.paper.tables import TABLES

if TYPE_CHECKING:
    from lastword.paper.measure import Reproduction

NAMES = (*TABLES, "defects")


def reproduce(
    tables: str | Sequence[str],
    output: str | Path,
    *,
    scale: str = "mini",
    models: Sequence[str] = (),
    data_dir: str | Path | None = None,
    pairs: Mapping[str, str | Path] | None = None,
    peers: Sequence[str] = ("tfidf",),
    seeds: int | None = None,
    max_texts: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> Reproduction:
    """Measure tables of arXiv:2507.22729 and judge their claims.

    Args:
        tables: "table3" … "table10", "figure1", "defects" (what the defects of the paper's code cost), or "all".
        output: folder for `report.md`, `cells.csv` and `reproduction.json`; unfinished work is in
            `OUTPUT.partial`.
        scale: "mini" (the bundled model on local texts) or "paper" (the paper's models on its MTEB tasks).
        models: other models in place of the scale's.
        data_dir: folder of public texts and pairs; without it bundled texts are used where that is possible.
        pairs: the paper's name of a source ("nli", "wiki-translate", "wiki-prompt", "labels") → file of pairs.
        peers: models that Table 8 compares with ours, as `evaluate` knows them.
        seeds: training runs of each row; None is the scale's number.
        max_texts: most texts of each local set that is not an MTEB task; None is the scale's number.
        resume: continue an interrupted reproduction with the same settings.
        overwrite: replace `output`.
        device: None is the best available one.
        **settings: fields of `TrainConfig` that replace those of the scale's recipe.

    Raises:
        RequestError, MissingFileError, ExistingOutputError: see the message.
    """
    chosen = _chosen(tables)
    plan = _scale(scale, models, seeds, max_texts, settings)
    data = Path(data_dir) if data_dir else None
    if data and not data.is_dir():
        raise MissingFileError(f"no folder {data}: pass data_dir= a folder of texts, or leave it out")
    files = {name: Path(file) for name, file in (pairs or {}).items()}
    for name, file in files.items():
        if name not in PAIR_SOURCES:
            raise RequestError(unknown_name("source of pairs", name, PAIR_SOURCES))
        if not file.is_file():
            raise MissingFileError(f"no file {file}: pass pairs={{{name!r}: …}} a file of pairs")
    record = json.loads(json.dumps({
        **asdict(plan), "data_dir": str(data) if data else None,
        "pairs": {name: str(file) for name, file in files.items()}, "peers": list(peers),
    }))  # fmt: skip
    folder = RunFolder(Path(output), "reproduction", resume, overwrite)
    folder.check()
    sources: list[str | Path] = [*plan.models.values(), *peers, *files.values(), *([data] if data else [])]
    inputs = {str(source): fingerprint(PATHS.get(str(source), source)) for source in sources}
    folder.require(record, inputs)

    load_libraries("lastword.paper.measure")  # imports torch: a wrong request is refused without it
    from lastword.paper.measure import measure

    return measure(folder, record, inputs, chosen, plan, data, files, list(peers), device)


def _chosen(tables: str | Sequence[str]) -> list[str]:
    names = [tables] if isinstance(tables, str) else list(tables)
    if names == ["all"]:
        return list(NAMES)
    for name in names:
        if name not in NAMES:
            raise RequestError(unknown_name("table", name, (*NAMES, "all")))
    if not names:
        raise RequestError(f"no table: give one or several of {', '.join(NAMES)}, or all")
    return list(dict.fromkeys(names))


def _scale(
    scale: str, models: Sequence[str], seeds: int | None, max_texts: int | None, settings: dict[str, Any]
) -> Scale:
    if scale not in SCALES:
        raise RequestError(unknown_name("scale", scale, SCALES))
    plan = SCALES[scale]
    changes: dict[str, Any] = {"settings": {**plan.settings, **settings}}
    if models:
        names = {model: paper for paper, model in plan.models.items()}
        changes["models"] = {names.get(model, Path(model).name or model): model for model in models}
    for name, value, least in (("seeds", seeds, 1), ("max_texts", max_texts, 2)):
        if value is not None:
            if value < least:
                raise RequestError(f"{name}={value}: give {least} or more")
            changes[name] = value
    train_config(
        {**read_recipe(plan.recipe), **changes["settings"]}
    )  # refuse invalid settings before any work
    return replace(plan, **changes)
