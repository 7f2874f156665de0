"""What the defects of the paper's own code cost: a model trained with each switch, beside one without.

Source: the switches and where they come from are those of `lastword.paper.switches`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from lastword.bundled import model_source, path_of
from lastword.config import read_recipe, train_config
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.experiments import Comparison
from lastword.experiments.series import PlannedRun, fingerprint, run_series
from lastword.files.run_folder import RunFolder
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
        *([header] if facts["runs_that_draw_the_header_row"] else []),
        Contestant(" + ".join(TOGETHER), FIXED, {}, TOGETHER),
        Contestant(begins, None, input="begins"),
        Contestant("bos=eval-only", begins, {}, ("bos=eval-only",), "begins"),
        Contestant(eos, None, {"pooling": "eos"}),
        Contestant("eos=space", eos, {"pooling": "eos"}, ("eos=space",)),
        *(lengths if facts["texts_over_100_tokens"] else []),
    ]


def measure_defects(
    output: str | Path,
    *,
    recipe: str | Path = "mini",
    seeds: int = 3,
    development: Sequence[str] = BUNDLED_DEVELOPMENT,
    resume: bool = False,
    overwrite: bool = False,
    device: str | None = None,
    **settings: Any,
) -> Comparison:
    """Train with each switch and every seed, and score on development texts.

    Each training is scored after its last step. Switches that cannot change anything with these pairs are
    left out (see `contestants`), and so is `average=test-only`: it is about averages over tasks that are
    scored on splits of several names, which one model on texts of one split cannot show.

    Args:
        output: folder for `defects.json`; unfinished work is in `OUTPUT.partial`.
        recipe: settings of all trainings.
        seeds: trainings of each contestant, 2 or more.
        development: labelled texts, `FILE[:SPLIT]`.
        resume: go on with an interrupted measurement of the same settings.
        overwrite: replace `output`.
        device: None takes the best there is.
        **settings: fields of `TrainConfig`, before the recipe's.

    Returns:
        The runs by switch. Its settings have "against" (switch → the name that differs from it by the switch
        alone, None for these) and "facts" (about the input: what decides whether a switch can matter at all).

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 2:
        raise RequestError(f"seeds={seeds}: the difference of two recipes has an error bar from 2 seeds on")
    common = {key: value for key, value in {**read_recipe(recipe), **settings}.items() if key != "seed"}
    folder = RunFolder(Path(output), "defects", resume, overwrite)
    folder.check()
    sets = read_development(development)
    facts = _facts(common, seeds, device)
    chosen = contestants(facts)
    record = train_config(common).to_dict() | {
        "seeds": seeds,
        "development": fingerprint(sets),
        "facts": facts,
        "against": {
            name: against
            for one in chosen
            for name, against in ((one.name, one.against), *((also, one.name) for also in one.also))
        },
    }
    return run_series(
        folder,
        common,
        partial(_plan, common, chosen, seeds),
        sets,
        subject="switch",
        record=record,
        device=device,
    )


def _plan(common: dict[str, Any], chosen: Sequence[Contestant], seeds: int, inputs: Path) -> list[PlannedRun]:
    """The training runs, whose special inputs are written into a folder."""
    kinds = {one.input for one in chosen}
    special: dict[str | None, dict[str, Any]] = {None: {}}
    special |= {"csv": _pairs_as_csv(common, inputs)} if "csv" in kinds else {}
    special |= {"begins": _model_that_begins(common, inputs)} if "begins" in kinds else {}
    return [
        PlannedRun(
            one.name,
            seed,
            {**common, **one.settings, **special[one.input]},
            variant=AsPublished(one.switches) if one.switches else None,
            encoders={name: partial(scored_as_published, switches=[name]) for name in one.also},
        )
        for one in chosen
        for seed in range(seeds)
    ]


def unmeasured(comparison: Comparison) -> list[str]:
    """Switches that no run has."""
    tried = {switch for name in comparison.names for switch in name.split(" + ")}
    return [name for name in SWITCHES if name not in tried]


def _facts(settings: dict[str, Any], seeds: int, device: str | None) -> dict[str, Any]:
    """How many texts of the pairs are longer than 100 tokens, and how many runs see a header row."""
    config = train_config(settings)
    pairs = read_pairs(config.pairs)
    embedder = Embedder.from_pretrained(config.model, template="none", device=device)
    lengths = [len(ids) for ids in embedder.pipeline.tokenize([*pairs.anchors, *pairs.positives]).ids]
    drawn = [
        any(0 in step_rows(len(pairs) + 1, config.batch_pairs, step, seed) for step in range(config.steps))
        for seed in range(seeds)
    ]
    return {
        "pairs": len(pairs),
        "texts": len(lengths),
        "longest_tokens": max(lengths),
        "texts_over_100_tokens": sum(length > 100 for length in lengths),
        "runs_that_draw_the_header_row": sum(drawn),
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
    shutil.copytree(folder, target, dirs_exist_ok=True)
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
