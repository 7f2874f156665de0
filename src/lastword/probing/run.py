"""Score every combination of templates, poolings and layers on texts: the function behind `lastword probe`."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lastword.console import info, progress
from lastword.embedding import Embedder, GridPoint
from lastword.embedding.grid import label
from lastword.errors import RequestError, WorkError
from lastword.files.run_folder import RunFolder, write_json
from lastword.probing.choices import (
    PREFIX,
    Choices,
    Layers,
    Names,
    read_layers,
    read_poolings,
    read_templates,
)
from lastword.probing.groups import groups
from lastword.probing.measures import BOOTSTRAP_SIZE, Judge, measure_names, ranking
from lastword.probing.picture import write_picture
from lastword.probing.result import Option, ProbeResult
from lastword.probing.texts import ProbeTexts, read_file, sampled


def probe(
    model: str | Path | Embedder,
    data: str | Path | Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    templates: Names | None = None,
    poolings: Names | None = None,
    layers: Layers | None = None,
    suffixes: str | Path | None = None,
    prefix: str = PREFIX,
    text_column: str = "text",
    label_column: str | None = None,
    split: str | None = None,
    max_texts: int | None = 1000,
    scores: Names | None = None,
    rank_by: str | None = None,
    samples_per_label: int = 8,
    seed: int = 0,
    memory_gib: float = 1.0,
    drop_empty: bool = False,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> ProbeResult:
    """Find out which template, pooling and layer of a model serve texts like yours.

    All combinations are embedded from shared passes and scored: with labels by V-measure and few-shot
    accuracy, and in any case by scores that need none. See `docs/reference/probe.md` for what those are
    worth.

    Args:
        model: a decoder's name or folder, or a loaded `Embedder`, whose own template, pooling and layer do
            not matter.
        data: a file, the bundled "topics" or "products", or a list of texts.
        labels: of a list of texts; None is without.
        templates: names in `TEMPLATES` or strings with `{text}`; None is all named ones, or none beside
            suffixes.
        poolings: names in `POOLINGS` or such as "mean:text"; None is mean, mean:text, weightedmean,
            lasttoken and eos.
        layers: "all", "last", numbers of hidden states, or a string such as "0,3,6"; None is all with labels
            and the last without, since no score without labels can compare layers.
        suffixes: file with one suffix or one whole template on each line; # begins a comment.
        prefix: what stands before a suffix, with `{text}` in it.
        text_column: column of the texts of a file.
        label_column: column of its labels; None is without.
        split: keep the rows whose column `split` has this value.
        max_texts: look at a fixed sample of at most so many texts; None is all.
        scores: which to compute; None is all that there are.
        rank_by: the score that ranks; None is V-measure where there are labels, else neighbour stability.
        samples_per_label: training texts of each label for accuracy.
        seed: of the sample, the damage to the texts, and the label-free scores.
        memory_gib: vectors that are held at once, in GiB; the grid is worked off in parts.
        drop_empty: leave out rows without text or label instead of refusing the file.
        batch_tokens: padded tokens in one pass; bounds the memory of the model.
        dtype: precision of the model; None is what the device does best.
        device: None is the best there is.
        out: folder to write `probe.json` and `heatmap.svg` to; unfinished work lies in `OUT.partial`.
        resume: go on with an interrupted probe of the same settings.
        overwrite: replace `out`.

    Raises:
        ExistingOutputError: `out` exists.
        MissingFileError, TableError, ModelError, TemplateError, RequestError: see the message.
    """
    place = RunFolder(Path(out), "probe", resume, overwrite, evidence="part-*.json") if out else None
    if place:
        place.check()
    if isinstance(data, str | Path):
        if labels is not None:
            raise RequestError("labels of a file are one of its columns: give label_column")
        texts, labels, where = read_file(data, text_column, label_column, split, drop_empty)
    else:
        texts, where = list(data), "the list"
    given = sampled(texts, labels, where, max_texts, seed)
    ranked_by = ranking(rank_by, given.labels is not None)
    names = measure_names(scores, given.labels is not None, ranked_by)
    compared = read_templates(templates, suffixes, prefix), read_poolings(poolings)
    judge = Judge(given, names, seed, samples_per_label)
    if ranked_by not in judge.names:
        raise RequestError(f"{ranked_by} cannot be measured on these texts: rank by another score")
    embedder = _loaded(model, dtype, device)
    choices = Choices(
        *compared, read_layers(layers or ("all" if given.labels else "last"), embedder.backbone.layers)
    )
    parts = list(groups(embedder, choices, 2 * len(given), memory_gib))
    settings = _settings(embedder, given, choices, judge, seed, memory_gib)
    with place.open(settings) if place else nullcontext():
        info(f"{choices.options:,} options on {len(given):,} of {given.count:,} texts of {where}")
        importlib.import_module("sklearn.cluster")  # seconds that are not the model's
        started = time.perf_counter()
        found: dict[GridPoint, Option] = {}
        for number, part in enumerate(parts, 1):
            title = f"scoring {number}/{len(parts)}"
            work = partial(_scored, embedder, part, given, judge, batch_tokens, title)
            options = _kept(place, number, work) if place else work()
            found |= {option.point: option for option in options}
        result = ProbeResult(
            tuple(found[point] for point in _points(choices)),
            ranked_by,
            {**_facts(embedder, given, judge, seed), "seconds": round(time.perf_counter() - started, 1)},
        )
        if place:
            _write(place, result)
    return result


def _kept(place: RunFolder, number: int, work: Callable[[], list[Option]]) -> list[Option]:
    """Do a part of the grid once; what it gave is read the next time."""
    rows = place.once(f"part-{number:04}", lambda: [option.to_dict() for option in work()])
    return [
        Option(GridPoint(one["template"], one["pooling"], one["layer"]), one["scores"], one["bands"])
        for one in rows
    ]


def _write(place: RunFolder, found: ProbeResult) -> None:
    """Write `probe.json` and `heatmap.svg`, and move them to their place at once."""
    finished = place.partial / "finished"
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    write_json(finished / "probe.json", found.to_dict())
    write_picture(finished / "heatmap.svg", found)
    place.finish(finished)


def _facts(embedder: Embedder, given: ProbeTexts, judge: Judge, seed: int) -> dict[str, Any]:
    """What the numbers depend on, for a reader."""
    return {
        "model": embedder.name,
        "data": given.where,
        "texts": len(given),
        "of_texts": given.count,
        "labels": len(set(given.labels)) if given.labels else None,
        "few_shot_texts": judge.few_shot_texts or None,
        "samples_per_label": judge.samples_per_label if judge.few_shot_texts else None,
        "bootstrap_size": BOOTSTRAP_SIZE if "v_measure" in judge.names else None,
        "seed": seed,
    }


def _settings(
    embedder: Embedder, given: ProbeTexts, choices: Choices, judge: Judge, seed: int, memory_gib: float
) -> dict[str, Any]:
    """What an interrupted probe must have in common with the one that goes on."""
    content = json.dumps([given.texts, given.labels]).encode()
    return {
        "model": embedder.backbone.weights_hash[:16],
        "texts": hashlib.sha256(content).hexdigest()[:16],
        "templates": [template.text for template in choices.templates],
        "poolings": [pooling.spec for pooling in choices.poolings],
        "layers": choices.layers,
        "scores": list(judge.names),
        "samples_per_label": judge.samples_per_label,
        "seed": seed,
        "memory_gib": memory_gib,
        "dtype": str(embedder.backbone.dtype),
    }


def _scored(
    embedder: Embedder, part: Choices, given: ProbeTexts, judge: Judge, batch_tokens: int | None, title: str
) -> list[Option]:
    """Embed a part of the grid, texts and damaged copies together, and score each of its options."""
    grid = embedder.encode_grid(
        given.texts + given.damaged, part.templates, part.poolings, part.layers, batch_tokens=batch_tokens
    )
    options = []
    with progress(title, len(grid)) as advance:
        for point in list(grid):
            rows = grid.pop(point)
            if not np.isfinite(rows).all():
                raise WorkError(
                    f"template {point.template!r}, {point.pooling}, layer {point.layer}: vectors with numbers "
                    "that are not finite: try dtype float32"
                )
            vectors, damaged = np.split(rows, 2)
            measured = judge(vectors, damaged)
            scores = {name: value for name, (value, _) in measured.items()}
            bands = {name: band for name, (_, band) in measured.items() if band is not None}
            options.append(Option(point, scores, bands))
            advance(1)
    return options


def _points(choices: Choices) -> Iterator[GridPoint]:
    """The grid in the order in which it was asked for."""
    for template in choices.templates:
        for pooling in choices.poolings:
            for layer in choices.layers:
                yield GridPoint(label(template), pooling.spec, layer)


def _loaded(model: str | Path | Embedder, dtype: str | None, device: str | None) -> Embedder:
    if isinstance(model, str | Path):
        return Embedder.from_pretrained(model, dtype=dtype, device=device)
    settings: dict[str, Any] = {"dtype": dtype, "device": device}
    for name, value in settings.items():
        if value is not None:
            raise RequestError(f"{name}={value!r}: a loaded model takes no {name}; leave it out")
    return model
