"""What the defects of the paper's own code cost: a model trained with each switch, beside one without.

Source: the switches and where they come from are those of `lastword.paper.switches`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.csv

from lastword.bundled import model_source, path_of
from lastword.config import read_recipe, train_config
from lastword.console import info
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.experiments.series import Comparison, Trial, before_training, fingerprint, trained
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.tables import read_texts
from lastword.paper.as_published import AsPublished, scored_as_published
from lastword.paper.switches import SWITCHES
from lastword.training.objectives import step_rows
from lastword.training.pairs import read_pairs

FIXED = "as lastword does"
TOGETHER = ("negatives=micro", "accumulation=sum", "template=split")


@dataclass(frozen=True)
class Contestant:
    """One way of training.

    Attributes:
        name: of the switch, or of what it is compared with.
        against: name of the contestant that differs from it by the switch alone; None is one to compare with.
        settings: what differs from the recipe.
        switches: of the paper's code, in training.
        input: what is made for it: "begins" (a tokenizer that puts the begin-of-text token first) or "csv".
        also: switches that change the scoring alone: the same model is scored with each.
    """

    name: str
    against: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    input: str | None = None
    also: tuple[str, ...] = ()


def contestants(facts: Mapping[str, int]) -> list[Contestant]:
    """Every switch that can change a score of one model, each beside the same training without it.

    Args:
        facts: what `measure_defects` finds out about the input first. Texts of at most 100 tokens are not
            cut to 100, and a header row that no step draws is not trained on: nothing to measure.
    """
    eos, begins, long = (f"{FIXED}, {what}" for what in ("eos pooling", "begin-of-text", "512 tokens"))
    header = Contestant("header_row=keep", FIXED, {}, ("header_row=keep",), "csv")
    lengths = [
        Contestant(long, None, {"max_tokens": 512}),
        Contestant("train_tokens=100", long, {"max_tokens": 512}, ("train_tokens=100",)),
    ]
    return [
        Contestant(FIXED, None, also=("padding=left-assumed",)),
        *(Contestant(name, FIXED, {}, (name,)) for name in TOGETHER),
        *([header] if facts["trainings_that_draw_the_header_row"] else []),
        Contestant(" + ".join(TOGETHER), FIXED, {}, TOGETHER),
        Contestant(begins, None, input="begins"),
        Contestant("bos=eval-only", begins, {}, ("bos=eval-only",), "begins"),
        Contestant(eos, None, {"pooling": "eos"}),
        Contestant("eos=space", eos, {"pooling": "eos"}, ("eos=space",)),
        *(lengths if facts["texts_over_100_tokens"] else []),
    ]


def measure_defects(
    out: str | Path,
    *,
    recipe: str | Path = "mini",
    seeds: int = 3,
    development: Sequence[str] = BUNDLED_DEVELOPMENT,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Train with each switch and every seed, and score on development texts.

    Each training is scored after its last step. Switches that cannot change anything with these pairs are
    left out (see `contestants`), and so is `average=test-only`: it is about averages over tasks that are
    scored on splits of several names, which one model on texts of one split cannot show.

    Args:
        out: folder for `defects.json`; unfinished work lies in `OUT.partial`.
        recipe: settings of all trainings.
        seeds: trainings of each contestant, 2 or more.
        development: labelled texts, `FILE[:SPLIT]`.
        resume: go on with an interrupted measurement of the same settings.
        overwrite: replace `out`.
        device: None takes the best there is.
        **settings: fields of `TrainConfig`, before the recipe's.

    Returns:
        What `defects.json` holds: settings, base, trials, and facts: about the input, what decides whether a
        switch can matter at all.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 2:
        raise RequestError(f"seeds={seeds}: a difference needs a band, which takes 2 or more")
    common = {key: value for key, value in {**read_recipe(recipe), **settings}.items() if key != "seed"}
    sets = read_development(development)
    resolved = train_config(common).to_dict() | {"seeds": seeds, "development": fingerprint(sets)}
    series = RunFolder(Path(out), "defects", resume, overwrite)
    series.open(resolved)
    base = series.once("base", lambda: before_training(common, sets, device))
    facts = series.once("facts", lambda: _facts(common, seeds, device))
    inputs = {"csv": _pairs_as_csv, "begins": _model_that_begins}
    trials: list[Trial] = []
    chosen = contestants(facts)
    order = [name for one in chosen for name in (one.name, *one.also)]
    for one in chosen:
        run = {**common, **one.settings, **(inputs[one.input](common, series.partial) if one.input else {})}
        for seed in range(seeds):
            place = series.partial / f"{re.sub('[^a-z0-9]+', '-', one.name)}-{seed}"
            also = {name: partial(scored_as_published, switches=[name]) for name in one.also}
            variant = AsPublished(one.switches) if one.switches else None
            work = partial(
                trained, place, {**run, "seed": seed}, sets, device=device, variant=variant, also=also
            )
            trials += _rows(one, seed, series.once(place.name, work))
            info(f"{one.name}, seed {seed}: {100 * fmean(trials[-1]['scores'].values()):.1f}")
    trials.sort(key=lambda trial: order.index(trial["switch"]))
    result = {"settings": resolved, "base": base, "facts": facts, "trials": trials}
    for leftover in ("begins", "pairs.csv"):
        _remove(series.partial / leftover)
    write_json(series.partial / "defects.json", result)
    series.finish(series.partial)
    return result


def cost(found: Comparison, name: str, against: str) -> tuple[float, float]:
    """What a switch changes: mean difference of the means over sets, and the deviation of a difference.

    Trainings of one seed share order and adapter weights, but a switch sends them apart from the first step
    on, so they are taken for independent: the variances add up.
    """
    (mean, band), (fixed, fixed_band) = found.mean_of(name), found.mean_of(against)
    return mean - fixed, (band**2 + fixed_band**2) ** 0.5


def unmeasured(trials: Sequence[Trial]) -> list[str]:
    """Switches that no trial has."""
    tried = {name for trial in trials for name in trial["switch"].split(" + ")}
    return [name for name in SWITCHES if name not in tried]


def _rows(one: Contestant, seed: int, trial: Trial) -> list[Trial]:
    """The trial, and one for each switch that its model was scored with too."""
    facts = {"seed": seed, "step": trial["step"]}
    rescored = [
        {"switch": name, "against": one.name, **facts, "scores": scores}
        for name, scores in trial.get("also", {}).items()
    ]
    return [*rescored, {"switch": one.name, "against": one.against, **facts, "scores": trial["scores"]}]


def _facts(settings: dict[str, Any], seeds: int, device: str | None) -> dict[str, Any]:
    """How many texts of the pairs are longer than 100 tokens, and how many trainings ever see a header row."""
    config = train_config(settings)
    pairs = read_pairs(config.pairs)
    embedder = Embedder.from_pretrained(config.model, template="none", device=device)
    lengths = [len(ids) for ids in embedder.tokenize([*pairs.anchors, *pairs.positives]).ids]
    drawn = [
        any(0 in step_rows(len(pairs) + 1, config.batch_pairs, step, seed) for step in range(config.steps))
        for seed in range(seeds)
    ]
    return {
        "pairs": len(pairs),
        "texts": len(lengths),
        "longest_tokens": max(lengths),
        "texts_over_100_tokens": sum(length > 100 for length in lengths),
        "trainings_that_draw_the_header_row": sum(drawn),
    }


def _pairs_as_csv(settings: dict[str, Any], work: Path) -> dict[str, Any]:
    """The pairs in a file that has a header row."""
    path, columns = work / "pairs.csv", ["anchor", "positive"]
    rows: dict[str, list[str]] = {name: [] for name in columns}
    for file in train_config(settings).pairs:
        cells = read_texts(path_of(file) if file == "pairs" else file, columns)
        for name in columns:
            rows[name] += cells[name]
    pa.csv.write_csv(pa.table(rows), path)
    return {"pairs": [str(path)]}


def _model_that_begins(settings: dict[str, Any], work: Path) -> dict[str, Any]:
    """The model with a tokenizer that puts its begin-of-text token first by itself, as that of Llama 3 does."""
    model = train_config(settings).model
    folder, target = Path(model_source(model)), work / "begins"
    _remove(target)
    shutil.copytree(folder, target)
    definition = json.loads((target / "tokenizer.json").read_text(encoding="utf-8"))
    token = json.loads((target / "tokenizer_config.json").read_text(encoding="utf-8"))["bos_token"]
    token_id = next(one["id"] for one in definition["added_tokens"] if one["content"] == token)
    first, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    definition["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, text],
        "pair": [first, text, second],
        "special_tokens": {token: {"id": token, "ids": [token_id], "tokens": [token]}},
    }
    (target / "tokenizer.json").write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    return {"model": str(target)}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
