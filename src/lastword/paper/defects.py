"""What the defects of the paper's own code cost: a model trained with each switch, beside one without."""

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
from huggingface_hub import hf_hub_download
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from lastword.arguments import as_path
from lastword.bundled import model_source
from lastword.config import read_recipe, train_config
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.experiments import Comparison
from lastword.experiments.series import PlannedRun, run_series
from lastword.files.run_folder import RunFolder
from lastword.paper.as_published import AsPublished, scored_as_published
from lastword.paper.cells import CellRunner
from lastword.paper.report import Page, Record, bullet_list, markdown_table, summary_record, with_error
from lastword.paper.switches import SWITCHES
from lastword.report.table import with_interval
from lastword.training.objectives import step_rows
from lastword.training.pairs import pair_files, read_pairs

CORRECT = "without defects"
TOGETHER = ("negatives=micro", "accumulation=sum", "template=split")


@dataclass(frozen=True)
class DefectRun:
    """One way of training.

    Attributes:
        name: of the switch, or of what it is compared with.
        against: name of the way that differs from it by the switch alone; None if it has no switch.
        settings: what differs from the recipe.
        switches: of the paper's code, in training.
        input: what is prepared for it: "bos" (a tokenizer that adds the begin-of-text token) or "csv".
        scored_with: switches that change the scoring alone: the same model is scored with each.
    """

    name: str
    against: str | None
    settings: dict[str, Any] = field(default_factory=dict)
    switches: tuple[str, ...] = ()
    input: str | None = None
    scored_with: tuple[str, ...] = ()


def defect_runs(facts: Mapping[str, int]) -> list[DefectRun]:
    """Every switch that can change a score of one model, each with the same training without it.

    Args:
        facts: what `measure_defects` finds out about its input first. No text of at most 100 tokens is
            truncated to 100, and a header row that no step draws is not trained on: nothing to measure.
    """
    eos, bos, long = (f"{CORRECT}, {what}" for what in ("eos pooling", "begin-of-text", "512 tokens"))
    header = DefectRun("header_row=keep", CORRECT, {}, ("header_row=keep",), "csv")
    lengths = [
        DefectRun(long, None, {"max_tokens": 512}),
        DefectRun("train_tokens=100", long, {"max_tokens": 512}, ("train_tokens=100",)),
    ]
    return [
        DefectRun(CORRECT, None, scored_with=("padding=left-assumed",)),
        *(DefectRun(name, CORRECT, {}, (name,)) for name in TOGETHER),
        *([header] if facts["runs_that_draw_the_header_row"] else []),
        DefectRun(" + ".join(TOGETHER), CORRECT, {}, TOGETHER),
        DefectRun(bos, None, input="bos"),
        DefectRun("bos=eval-only", bos, {}, ("bos=eval-only",), "bos"),
        DefectRun(eos, None, {"pooling": "eos"}),
        DefectRun("eos=space", eos, {"pooling": "eos"}, ("eos=space",)),
        *(lengths if facts["texts_over_100_tokens"] else []),
    ]


def measure_defects(
    output: str | Path,
    *,
    recipe: str | Path = "mini",
    seeds: int = 3,
    development: Sequence[str] = BUNDLED_DEVELOPMENT,
    resume: bool = False,
    device: str | None = None,
    **settings: Any,
) -> Comparison:
    """Train with each switch and several seeds, and score on development texts.

    Each run is scored after its last step. Switches that cannot change anything with these pairs are left out
    (see `defect_runs`), and so is `average=test-only`: it is about averages over tasks that are scored on
    splits of several names, which one model on texts of one split cannot show.

    Args:
        output: folder for `defects.json` and `defects.svg`; unfinished work is in `OUTPUT.partial`.
        recipe: settings of all runs.
        seeds: training runs of each switch, 2 or more.
        development: labelled texts, `FILE[:SPLIT]`.
        resume: continue an interrupted measurement of the same settings.
        device: None is the best available one.
        **settings: fields of `TrainConfig` that replace the recipe's.

    Returns:
        The runs by switch. Its settings also have "against" (switch → what it is compared with) and "input"
        (facts about the pairs that decide whether a switch can matter at all).

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: see the message.
    """
    if seeds < 2:
        raise RequestError(f"seeds={seeds}: a difference needs an interval, which takes 2 or more")
    common = {key: value for key, value in {**read_recipe(recipe), **settings}.items() if key != "seed"}
    config = train_config(common).to_dict()
    folder = RunFolder(as_path("output", output), "defects", resume)
    folder.check()
    sets = read_development(development)
    facts = _input_facts(common, seeds, device)
    ways = defect_runs(facts)
    against = {name: way.name for way in ways for name in way.scored_with}
    against |= {way.name: way.against for way in ways if way.against}
    record = {**config, "seeds": seeds, "input": facts, "against": against}

    def plan(inputs: Path) -> list[PlannedRun]:
        prepare = {"csv": _pairs_as_csv, "bos": _model_with_bos}
        changes = {name: prepare[name](common, inputs) for way in ways if (name := way.input)}
        runs = []
        for way in ways:
            run_settings = {**common, **way.settings, **(changes[way.input] if way.input else {})}
            variant = AsPublished(way.switches) if way.switches else None
            encoders = {name: partial(scored_as_published, switches=[name]) for name in way.scored_with}
            runs += [
                PlannedRun(way.name, seed, run_settings, variant=variant, encoders=encoders)
                for seed in range(seeds)
            ]
        return runs

    return run_series(
        folder, common, plan, sets, subject="switch", record=record, files=[config["model"], *config["pairs"]],
        device=device,
    )  # fmt: skip


def defects_page(runner: CellRunner) -> Page:
    """Train with each switch of the paper's code, beside the same training without it."""
    scale = runner.scale
    model = next(iter(scale.models.values()))

    def work() -> dict[str, Any]:
        settings = {**scale.settings, "model": model, "recipe": scale.recipe, "seeds": max(2, scale.seeds)}
        output = runner.folder.partial / "defects"
        if not output.exists():  # otherwise it was interrupted after its last training run
            measure_defects(output, resume=True, device=runner.device, **settings)
        content: dict[str, Any] = json.loads((output / "defects.json").read_text(encoding="utf-8"))
        return content

    comparison = Comparison.from_dict(runner.folder.once("defects-measured", work))
    against, facts, seeds = (comparison.settings[key] for key in ("against", "input", "seeds"))
    records: list[Record] = []
    for name in in_groups(comparison):
        record = {"table": "defects", "model": model, "row": name, **summary_record(comparison.summary(name))}
        difference = comparison.difference(name, against[name]) if name in against else None
        records.append(record | {"difference": difference and round(100 * difference.value, 2)})
    notes = [
        f"Mean V-measure of {' and '.join(comparison.base)}; each switch is compared with the bold row above it.",
        f"Not measured, since they cannot change these scores: {', '.join(unmeasured(comparison))}. Of "
        f"{facts['texts']:,} texts of the pairs {facts['texts_over_100_tokens']:,} have more than 100 tokens (the "
        f"longest has {facts['longest_tokens']}), and {facts['runs_that_draw_the_header_row']} of {seeds} runs would "
        "draw a header row.",
    ]
    body = "\n\n".join([defects_table(comparison), bullet_list(notes)])
    return Page("defects", "what the paper's code does differently", body, records, {"notes": notes})


def defects_table(comparison: Comparison) -> str:
    """Each switch under the training without it, with the difference and what the interval allows to say."""
    against = comparison.settings["against"]
    rows = [["training", "V-measure", "difference [95 %]", "with the defect"]]
    for name in in_groups(comparison):
        summary = comparison.summary(name)
        score = with_error(summary) if summary else "diverged"
        if name not in against:
            rows.append([f"**{name}**", score, "", ""])
            continue
        difference = comparison.difference(name, against[name])
        rows.append([name, score, with_interval(difference), difference.verdict if difference else ""])
    return markdown_table(rows, text_columns=(0, 3))


def in_groups(comparison: Comparison) -> list[str]:
    """All ways of training, each way without a switch followed by those that are compared with it."""
    against = comparison.settings["against"]
    heads = [name for name in comparison.names if name not in against]
    return [
        name
        for head in heads
        for name in (head, *(other for other in comparison.names if against.get(other) == head))
    ]


def unmeasured(comparison: Comparison) -> list[str]:
    """Switches that no run has."""
    tried = {switch for name in comparison.names for switch in name.split(" + ")}
    return [name for name in SWITCHES if name not in tried]


def _input_facts(settings: dict[str, Any], seeds: int, device: str | None) -> dict[str, int]:
    """How many texts of the pairs are longer than 100 tokens, and how many runs would draw a header row."""
    config = train_config(settings)
    pairs = read_pairs(pair_files(config))
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


def _pairs_as_csv(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The pairs in a file that has a header row."""
    path, pairs = folder / "pairs.csv", read_pairs(pair_files(train_config(settings)))
    pa.csv.write_csv(pa.table({"anchor": pairs.anchors, "positive": pairs.positives}), path)
    return {"pairs": [str(path)], "encoding": None, "delimiter": None}


def _model_with_bos(settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The model with a tokenizer that adds its begin-of-text token by itself, as that of Llama 3 does."""
    source, target = Path(model_source(train_config(settings).model)), folder / "bos"
    if not source.exists():  # a name on the Hub; the files of the model are in its cache since it was loaded
        source = Path(hf_hub_download(str(source), "config.json")).parent
    shutil.copytree(source, target, dirs_exist_ok=True)
    tokenizer = Tokenizer.from_file(str(target / "tokenizer.json"))
    token = json.loads((target / "tokenizer_config.json").read_text(encoding="utf-8"))["bos_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=[token, "$A"],
        pair=[token, "$A", "$B:1"],
        special_tokens=[(token, tokenizer.token_to_id(token))],
    )
    tokenizer.save(str(target / "tokenizer.json"))
    return {"model": str(target)}
