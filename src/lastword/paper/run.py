"""The tables of the paper by name: the request is checked here, without torch; `measure.py` does the work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastword.arguments import as_path
from lastword.bundled import PATHS, check_layer, check_model, model_layers
from lastword.config import read_recipe, train_config
from lastword.console import load_libraries
from lastword.errors import MissingFileError, NothingToResumeError, RequestError, unknown_name
from lastword.files.run_folder import fingerprint
from lastword.paper.folder import ReportFolder
from lastword.paper.scales import PAIR_SOURCES, SCALES, Scale, upper_third
from lastword.paper.tables import PAGES
from lastword.probing.choices import layer_words

if TYPE_CHECKING:
    from lastword.paper.measure import Reproduction


def reproduce(
    tables: str | Sequence[str],
    output: str | Path,
    *,
    scale: str = "mini",
    models: Sequence[str] = (),
    sizes: Sequence[str] = (),
    layers: str | Sequence[int] = (),
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
        tables: "table3" … "table10", "figure1", "layers" (Table 4 with layers as a third axis), "recipe" (the
            paper's own recipe), "defects" (what the defects of the paper's code cost), or "all" of the scale's.
        output: folder for `report.md`, `cells.csv` and `reproduction.json`; unfinished work is in
            `OUTPUT.partial`.
        scale: "mini" (the bundled model on local texts), "small" (SmolLM2-135M, likewise) or "paper" (the paper's
            models on its MTEB tasks).
        models: other models in place of the scale's.
        sizes: further models of Table 5, which compares sizes.
        layers: hidden states of the page "layers", in the order of measuring; none are the upper third.
        data_dir: folder of public texts and pairs; without it bundled texts are used where that is possible.
        pairs: the paper's name of a source ("nli", "wiki-translate", "wiki-prompt", "labels") → file of pairs.
        peers: models that Table 8 compares with ours, as `evaluate` knows them.
        seeds: training runs of each row; None is the scale's number.
        max_texts: most texts of each local set that is not an MTEB task, at scale "small" of every set; None is
            the scale's number.
        resume: continue an interrupted reproduction, or extend a finished one by further tables or layers. The other
            settings must be the same; what is measured is not measured again.
        overwrite: replace `output`.
        device: None is the best available one.
        **settings: fields of `TrainConfig` that replace those of the scale's recipe; None replaces nothing, and
            `dtype` is the precision of models before training, too; a reproduction that is continued has that which
            it began with.

    Raises:
        NothingToResumeError: the report has all of it.
        RequestError, MissingFileError, ExistingOutputError: see the message.
    """
    folder = ReportFolder(as_path("output", output), resume=resume, overwrite=overwrite)
    if settings.get("dtype") is None and (before := folder.before()):
        settings["dtype"] = before[0]["settings"].get("dtype")
    plan = _scale(scale, models, sizes, seeds, max_texts, settings)
    chosen = _chosen(tables, plan)
    for model in (*plan.models.values(), *(plan.sizes or {}).values()):
        check_model(model)
    numbers = _layers(layers, next(iter(plan.models.values())), "layers" in chosen)
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
        **asdict(plan), "data_dir": data.name if data else None,
        "pairs": {name: file.name for name, file in files.items()}, "peers": list(peers),
    }))  # fmt: skip
    del record["tables"], record["rows"]  # of the scale
    folder.check(data, list(files.values()), list(plan.models.values()), list(peers))
    sources: dict[str, str | Path] = {
        name: name for name in (*plan.models.values(), *(plan.sizes or {}).values())
    }
    sources |= {name: name for name in peers} | {f"{name}={file.name}": file for name, file in files.items()}
    sources |= {data.name: data} if data else {}
    inputs = {name: fingerprint(PATHS.get(str(source), source)) for name, source in sources.items()}
    folder.require(record, inputs)
    if folder.extending and not folder.lacks(chosen, numbers):
        raise NothingToResumeError(
            f"nothing to resume: {folder.output} has {', '.join(chosen)}; name tables or layers that it lacks"
        )

    load_libraries("lastword.paper.measure")  # imports torch: a wrong request is refused without it
    from lastword.paper.measure import measure

    return measure(folder, record, inputs, chosen, plan, data, files, list(peers), numbers, device)


def _layers(layers: str | Sequence[int], model: str, asked: bool) -> list[int]:
    """The layers that are asked for; none where the default depends on a model that must be loaded for it."""
    numbers = [int(word) if word.isdecimal() else -1 for word in layer_words(layers or ())]
    for number in numbers:
        if number < 0:
            raise RequestError(f"layers={layers!r}: give numbers separated by commas, such as 28,30")
        check_layer(model, number)
    if not asked:
        return []
    depth = model_layers(model)
    return numbers or (upper_third(depth) if depth else [])


def _chosen(tables: str | Sequence[str], scale: Scale) -> list[str]:
    names = [tables] if isinstance(tables, str) else list(tables)
    if names == ["all"]:
        return list(scale.tables or PAGES)
    for name in names:
        if name not in PAGES:
            raise RequestError(unknown_name("table", name, (*PAGES, "all")))
        if scale.tables and name not in scale.tables:
            raise RequestError(
                f"{name} is not measured at scale {scale.name!r}: give {', '.join(scale.tables)}, or all"
            )
    if not names:
        raise RequestError(f"no table: give one or several of {', '.join(PAGES)}, or all")
    return list(dict.fromkeys(names))


def _scale(
    scale: str,
    models: Sequence[str],
    sizes: Sequence[str],
    seeds: int | None,
    max_texts: int | None,
    settings: dict[str, Any],
) -> Scale:
    if scale not in SCALES:
        raise RequestError(unknown_name("scale", scale, SCALES))
    plan = SCALES[scale]
    given = {name: value for name, value in settings.items() if value is not None}
    changes: dict[str, Any] = {"settings": {**plan.settings, **given}}
    if models:
        names = {model: paper for paper, model in plan.models.items()}
        changes["models"] = {names.get(model, Path(model).name or model): model for model in models}
        if changes["models"] != plan.models:
            changes["note"] = None  # it is about the scale's own
    if sizes:
        changes["sizes"] = {**(plan.sizes or {}), **{Path(model).name or model: model for model in sizes}}
    for name, value, least in (("seeds", seeds, 1), ("max_texts", max_texts, 2)):
        if value is not None:
            if value < least:
                raise RequestError(f"{name}={value}: give {least} or more")
            changes[name] = value
    train_config(
        {**read_recipe(plan.recipe), **changes["settings"]}
    )  # refuse invalid settings before any work
    return replace(plan, **changes)
