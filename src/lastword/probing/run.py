"""Score every combination of templates, poolings and layers on texts: the function behind `lastword probe`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastword.arguments import as_path
from lastword.bundled import check_layer
from lastword.console import info, progress, warn
from lastword.errors import RequestError
from lastword.files.run_folder import RunFolder, hash_of, write_json
from lastword.files.sources import Source
from lastword.probing.choices import (
    PREFIX,
    Layers,
    Names,
    layer_words,
    read_layers,
    read_poolings,
    read_templates,
)
from lastword.probing.measures import measure_names, ranking
from lastword.probing.picture import render
from lastword.probing.result import FILE, Option, ProbeFacts, ProbeResult
from lastword.probing.texts import FewShot, ProbeTexts, few_shot_rows, load_texts
from lastword.report.page import write_page

if TYPE_CHECKING:
    from lastword.embedding import Embedder
    from lastword.embedding.grid import GridAxes
    from lastword.probing.scoring import OptionScorer


def probe(
    model: str | Path | Embedder,
    data: Source | Sequence[str],
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
    output: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> ProbeResult:
    """Find the template, pooling and layer of a model that suit your texts.

    All combinations are embedded from shared passes and scored: with labels by V-measure and few-shot
    accuracy, and always by scores that need no labels. `docs/reference/probe.md` shows how good those are. The
    best `COMPARED` options are compared with the best one, paired over draws and halves of the texts.

    A wrong request is refused before the model (or torch) is loaded, except for a layer it does not have.

    Args:
        model: a decoder's name or folder, or a loaded `Embedder`, whose own template, pooling and layer are
            not used.
        data: a file or `TableFile`, the bundled "topics" or "products", or a list of texts.
        labels: of a list of texts; None is without labels.
        templates: names in `TEMPLATES` or strings with `{text}`; None is all named templates, or none of
            them if suffixes are given.
        poolings: names in `POOLINGS` or such as "mean:text"; None is mean, mean:text, weightedmean,
            lasttoken and eos.
        layers: "all", "last", numbers of hidden states, or a string such as "0,3,6"; None is all with labels
            and the last without, since no score without labels can compare layers.
        suffixes: file with one suffix or one whole template on each line; # begins a comment.
        prefix: template text in front of each suffix, with `{text}` in it.
        text_column: column of the texts of a file.
        label_column: column of its labels; None is without labels.
        split: use the rows whose column `split` has this value.
        max_texts: size of a random sample of the texts; None is all.
        scores: which to compute; None is all that the texts allow.
        rank_by: the score that ranks; None is V-measure with labels, else neighbour stability.
        samples_per_label: training texts of each label for accuracy.
        seed: of the sample, the noise in the texts, and the scores without labels.
        memory_gib: memory for vectors, in GiB; the options are processed in parts that fit.
        drop_empty: leave out rows with an empty text or label instead of refusing the file.
        batch_tokens: padded tokens in one pass; bounds the memory of the model.
        dtype: precision of the model; None is the best precision that the device supports.
        device: None is the best available one.
        output: folder for `probe.json` and `heatmap.svg`; unfinished work is in `OUTPUT.partial`.
        resume: continue an interrupted probe of the same settings.
        overwrite: replace `output`.

    Raises:
        ExistingOutputError: `output` exists.
        MissingFileError, TableError, ModelError, TemplateError, RequestError: see the message.
    """
    folder = (
        RunFolder(as_path("output", output), "probe", resume, overwrite, evidence="part-*.json")
        if output is not None
        else None
    )
    if folder:
        folder.check(model, None if isinstance(data, list | tuple) else data)
    if not memory_gib > 0:
        raise RequestError(f"memory_gib={memory_gib}: give more than 0")
    texts = load_texts(data, labels, text_column, label_column, split, drop_empty, max_texts, seed)
    labelled = texts.labels is not None
    rank_by = ranking(rank_by, labelled)
    names = measure_names(scores, labelled, rank_by)
    layers = ("all" if labelled else "last") if layers is None else layers
    for word in layer_words(layers):
        if word.isdecimal() and isinstance(model, str | Path):
            check_layer(model, int(word))
    chosen_templates, chosen_poolings = read_templates(templates, suffixes, prefix), read_poolings(poolings)

    names, few_shot = _measurable(names, texts, samples_per_label, seed)
    if rank_by not in names:
        raise RequestError(f"{rank_by} cannot be measured on these texts: rank by another score")

    from lastword.embedding.grid import GridAxes  # these import torch
    from lastword.probing.scoring import OptionScorer, in_order, parts_within, score_part

    scorer = OptionScorer(texts, names, seed, samples_per_label, few_shot)
    embedder = _loaded(model, dtype, device)
    axes = GridAxes(chosen_templates, chosen_poolings, read_layers(layers, embedder.backbone.layers))
    parts = list(parts_within(embedder, axes, 2 * len(texts), memory_gib))
    settings = _settings(embedder, axes, scorer, rank_by, memory_gib)
    inputs = {
        f"the texts of {texts.source}": hash_of([texts.texts, texts.labels]),
        f"the model {embedder.name}": hash_of(
            [embedder.backbone.identity, embedder.pipeline.tokenizer.identity]
        ),
    }
    with folder.open(settings, inputs) if folder else nullcontext():
        info(f"{axes.size:,} options on {len(texts):,} of {texts.available:,} texts of {texts.source}")
        started = time.perf_counter()
        score = partial(score_part, embedder, scorer=scorer, rank_by=rank_by, batch_tokens=batch_tokens)
        scored = _scored(folder, parts, score)
        facts = _facts(embedder, scorer, time.perf_counter() - started)
        result = ProbeResult(in_order(scored, axes, rank_by), rank_by, facts)
        if folder:
            _write(folder, result)
    return result


def _measurable(
    names: tuple[str, ...], texts: ProbeTexts, samples_per_label: int, seed: int
) -> tuple[tuple[str, ...], FewShot | None]:
    """The scores that these texts allow, and the rows of the few-shot classification if it is among them."""
    if "accuracy" not in names:
        return names, None
    few_shot = few_shot_rows(texts.labels or [], samples_per_label, seed)
    if few_shot:
        return names, few_shot
    warn(
        f"fewer than two labels have {2 * samples_per_label} texts: accuracy is left out; "
        "lower samples_per_label, or give more texts"
    )
    return tuple(name for name in names if name != "accuracy"), None


def _scored(
    folder: RunFolder | None, parts: Sequence[GridAxes], score: Callable[..., list[Option]]
) -> list[Option]:
    """Score all options, with one progress for all parts; a resumed probe reads those that are finished."""
    sizes, scored = [part.size for part in parts], list[Option]()
    done = [bool(folder and folder.has(_name(number))) for number in range(len(parts))]
    before = sum(size for size, is_done in zip(sizes, done, strict=True) if is_done)
    with progress("options", sum(sizes), step=max(sizes), done=before) as advance:
        for number, part in enumerate(parts):
            work = partial(score, part, earlier=list(scored))
            scored += _once(folder, number, work) if folder else work()
            advance(0 if done[number] else sizes[number])
    return scored


def _name(part: int) -> str:
    """The step of a part in the run folder."""
    return f"part-{part + 1:04}"


def _once(folder: RunFolder, number: int, work: Callable[[], list[Option]]) -> list[Option]:
    """Score a part of the options; a resumed probe reads the result."""
    rows = folder.once(_name(number), lambda: [option.to_dict() for option in work()])
    return [Option.from_dict(row) for row in rows]


def _write(folder: RunFolder, result: ProbeResult) -> None:
    """Write `probe.json` and `heatmap.svg`, and move both to the output."""
    finished = folder.partial / "finished"
    shutil.rmtree(finished, ignore_errors=True)
    finished.mkdir()
    write_json(finished / FILE, result.to_dict())
    write_page(finished / "heatmap.svg", render(result))
    folder.finish(finished)


def _facts(embedder: Embedder, scorer: OptionScorer, seconds: float) -> ProbeFacts:
    texts = scorer.texts
    return ProbeFacts(
        model=embedder.name,
        data=texts.source,
        texts=len(texts),
        available=texts.available,
        labels=len(set(texts.labels)) if texts.labels else None,
        few_shot_texts=len(scorer.few_shot[1]) if scorer.few_shot else None,
        samples_per_label=scorer.samples_per_label if scorer.few_shot else None,
        bootstrap_size=scorer.bootstrap_size if "v_measure" in scorer.names else None,
        seed=scorer.seed,
        seconds=round(seconds, 1),
    )


def _settings(
    embedder: Embedder, axes: GridAxes, scorer: OptionScorer, rank_by: str, memory_gib: float
) -> dict[str, Any]:
    """What a resumed probe must have in common with the interrupted one."""
    spec = embedder.spec
    return {
        "templates": [template.to_dict() for template in axes.templates],
        "poolings": [pooling.spec for pooling in axes.poolings],
        "layers": list(axes.layers),
        "scores": list(scorer.names),
        "rank_by": rank_by,
        "samples_per_label": scorer.samples_per_label,
        "seed": scorer.seed,
        "memory_gib": memory_gib,
        "dtype": str(embedder.backbone.dtype),
        "norm": spec.norm,
        "max_tokens": spec.max_tokens,
        "normalize": spec.normalize,
        "attention": spec.attention,
    }


def _loaded(model: str | Path | Embedder, dtype: str | None, device: str | None) -> Embedder:
    from lastword.embedding import Embedder

    if isinstance(model, str | Path):
        return Embedder.from_pretrained(model, dtype=dtype, device=device)
    for name, value in (("dtype", dtype), ("device", device)):
        if value is not None:
            raise RequestError(f"{name}={value!r}: a loaded model takes no {name}; leave it out")
    return model
