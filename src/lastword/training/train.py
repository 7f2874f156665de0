"""The verb: pairs and a base model in, an adapted embedder in a standard folder out."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import set_seed

from lastword.config import TrainConfig, train_config
from lastword.console import say, warn
from lastword.embedding import Embedder
from lastword.embedding.backbone import preferred_device
from lastword.embedding.folder import hash_tensors, replace_folder
from lastword.errors import ExistingOutputError, RequestError
from lastword.training import adapter
from lastword.training.loop import OPTIMIZER, Loop
from lastword.training.pairs import Pairs, hold_out, read_pairs
from lastword.training.plan import Plan, clock, make_plan
from lastword.training.select import HeldOutPairs, Scorer, Selection, choose

RECIPE = "recipe.json"
_HELD_OUT_SHARE, _HELD_OUT_MOST, _HELD_OUT_LEAST = 0.1, 256, 8


@dataclass(frozen=True)
class TrainResult:
    """What a training ended with.

    Attributes:
        out: the folder written.
        selection: the checkpoint kept and the scores of all.
        losses: loss of every step.
        plan: what was forecast.
        seconds: time of the whole call.
    """

    out: Path
    selection: Selection
    losses: list[float]
    plan: Plan
    seconds: float


def train(
    out: str | Path,
    *,
    scorer: Scorer | None = None,
    resume: bool = False,
    overwrite: bool = False,
    drop_empty: bool = False,
    device: str | None = None,
    trackers: str | None = None,
    **settings: Any,
) -> TrainResult:
    """Adapt a decoder to embed, by contrastive LoRA training on pairs.

    While it runs, everything lies in `OUT.partial`; the folder `out` appears when it is complete.

    Args:
        out: folder to write.
        scorer: development score that picks the checkpoint; None holds out a tenth of the pairs for it.
        resume: go on with an interrupted run of the same settings.
        overwrite: replace `out`, and start over where an interrupted run lies.
        drop_empty: leave out pairs with an empty side.
        device: None takes the best there is.
        trackers: name of an experiment tracker that accelerate knows, "none", or None for TensorBoard
            where it is installed.
        **settings: fields of `TrainConfig`.

    Raises:
        ExistingOutputError, RequestError, TableError, ModelError: before anything is done.
        DivergenceError: a loss that is not finite; the checkpoints stay.

    Source: arXiv:2507.22729, with true in-batch negatives (arXiv:2101.06983).
    """
    started = time.perf_counter()
    config, out = train_config(settings), Path(out)
    work = _workplace(out, config, resume=resume, overwrite=overwrite)
    pairs = read_pairs(config.pairs, drop_empty=drop_empty)
    if scorer is None:
        rest, held_out = hold_out(pairs, _HELD_OUT_SHARE, _HELD_OUT_MOST, config.seed)
        if len(held_out) >= _HELD_OUT_LEAST:
            pairs, scorer = rest, HeldOutPairs(held_out)
    if len(pairs) < config.batch_pairs:
        warn(f"batch_pairs={config.batch_pairs}, but there are {len(pairs)} pairs: each step takes them all")

    embedder, accelerator = _loaded(config, device, trackers, work)
    base = dataclasses.replace(embedder.facts, base_hash=hash_tensors(embedder.backbone.model.state_dict()))
    base_score = scorer(embedder) if scorer else float("nan")
    parameters = adapter.add_adapter(embedder.backbone.model, config)
    loop = Loop(embedder, pairs, config, work / "checkpoints", accelerator, parameters)
    with embedder.backbone.attention(_attention(embedder)):
        plan = _planned(loop)
        checkpoints = loop.run()
    accelerator.end_training()

    selection = _selected(embedder, checkpoints, scorer, base_score)
    embedder.facts = dataclasses.replace(
        base,
        adapter=adapter.describe(config, embedder.backbone.model),
        recipe=config.to_dict(),
        selection=selection.to_dict(),
    )
    if accelerator.is_main_process:
        _finish(embedder, selection, work, out, overwrite=overwrite)
    accelerator.wait_for_everyone()
    losses = [json.loads(line)["loss"] for line in (out / "training" / "log.jsonl").read_text().splitlines()]
    say(f"kept step {selection.step}: {selection.criterion} {base_score:.3f} → {selection.score:.3f}")
    seconds = time.perf_counter() - started
    say(f"wrote {out} after {clock(seconds)}")
    return TrainResult(out, selection, losses, plan, seconds)


def _workplace(out: Path, config: TrainConfig, *, resume: bool, overwrite: bool) -> Path:
    """The folder `OUT.partial`, empty or with an interrupted run of the same settings."""
    work = out.with_name(out.name + ".partial")
    if out.exists() and not overwrite:
        raise ExistingOutputError(f"{out} exists: give another place or --overwrite")
    if work.exists() and overwrite and not resume:
        shutil.rmtree(work)
    recipe = work / RECIPE
    if work.exists() and not resume:
        raise ExistingOutputError(
            f"{work} holds an interrupted run: go on with --resume or start over with --overwrite"
        )
    if recipe.exists():
        before, now = json.loads(recipe.read_text()), config.to_dict()
        changed = [key for key in now if before.get(key) != now[key]]
        if changed:
            key = changed[0]
            raise RequestError(
                f"--resume: {key} was {before.get(key)!r} and is now {now[key]!r}; "
                "repeat the settings of the interrupted run or start over with --overwrite"
            )
    (work / "checkpoints").mkdir(parents=True, exist_ok=True)
    recipe.write_text(json.dumps(config.to_dict(), indent=2) + "\n")
    return work


def _loaded(
    config: TrainConfig, device: str | None, trackers: str | None, work: Path
) -> tuple[Embedder, Accelerator]:
    place = device or preferred_device()
    embedder = Embedder.from_pretrained(
        config.model,
        template=config.template,
        pooling=config.pooling,
        max_tokens=config.max_tokens,
        dtype=config.dtype,
        device=place,
    )
    precision = "bf16" if "bfloat16" in str(embedder.backbone.dtype) else "no"
    tracker = trackers or ("tensorboard" if importlib.util.find_spec("tensorboard") else "none")
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=place == "cpu",
        project_dir=work / "trackers",
        log_with=None if tracker == "none" else tracker,
    )
    if accelerator.num_processes > 1:
        embedder.backbone.model.to(accelerator.device)
    if tracker != "none":
        accelerator.init_trackers("lastword")
    set_seed(config.seed)
    return embedder, accelerator


def _attention(embedder: Embedder) -> str:
    """Plain products on a CPU, where the fused kernel's backward pass takes longer at a sentence's length."""
    return "eager" if embedder.backbone.device.type == "cpu" else "sdpa"


def _planned(loop: Loop) -> Plan:
    texts, _ = loop._objective(0)
    parts = loop.parts(texts)
    loop.embedder.backbone.model.train()
    plan = make_plan(loop.embedder, loop.pairs, loop.config, loop.parameters, parts, loop.embed, loop.memory)
    if loop.accelerator.is_main_process:
        plan.say()
    return plan


def _selected(
    embedder: Embedder, checkpoints: list[tuple[int, Path]], scorer: Scorer | None, base_score: float
) -> Selection:
    if scorer is None:
        step = checkpoints[-1][0]
        return Selection("last step (too few pairs to hold any out)", step, float("nan"), {})
    selection = choose(embedder, checkpoints, scorer, base_score)
    if selection.score <= base_score:
        warn(
            f"training did not help: {scorer.criterion} was {base_score:.3f} before and is {selection.score:.3f} now"
        )
    return selection


def _finish(embedder: Embedder, selection: Selection, work: Path, out: Path, *, overwrite: bool) -> None:
    """Write the model beside the run, put the run's record inside it, and move both to their place at once."""
    for leftover in work.glob(f"checkpoints/step-*/{OPTIMIZER}"):
        leftover.unlink()
    model = embedder.save(work / "model", overwrite=True)
    record = model / "training"
    shutil.move(work / "checkpoints", record)
    (record / "choice.json").write_text(json.dumps(selection.to_dict(), indent=2) + "\n")
    shutil.copy(work / RECIPE, record / RECIPE)
    if (work / "trackers").exists():
        shutil.move(work / "trackers", record / "trackers")
    replace_folder(model, out)
    shutil.rmtree(work)


__all__ = ["Pairs", "TrainResult", "train"]
