"""The verb: pairs and a base model in, an adapted embedder in a standard folder out."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed

from lastword.augment import checked_noises
from lastword.config import TrainConfig, train_config
from lastword.console import info, warn
from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.embedding.device import preferred_device
from lastword.errors import RequestError
from lastword.training import adapter
from lastword.training.loop import Loop
from lastword.training.objectives import Standard, Variant
from lastword.training.pairs import Pairs, hold_out
from lastword.training.plan import Plan, clock, make_plan
from lastword.training.run_folder import TrainingFolder
from lastword.training.select import HeldOutPairs, LastStep, Measured, Scorer, Selection
from lastword.training.watch import Watch

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
    scorer: Scorer | LastStep | None = None,
    variant: Variant | None = None,
    known: dict[str, Measured] | None = None,
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
        scorer: development score that picks the checkpoint; None holds out a tenth of the pairs for it,
            `LastStep()` scores nothing and keeps the last.
        variant: a way of training that differs by more than settings; None is `Standard`.
        known: what `scorer` gave for models before training: a series of trainings with one scorer hands the
            same dict to each, so that their common beginning is scored once.
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
    config = train_config(settings)
    checked_noises(config.noise)
    variant = variant or Standard()
    recipe = config.to_dict() | variant.record
    place = TrainingFolder(Path(out), resume=resume, overwrite=overwrite)
    place.check()
    place.require(recipe)
    if variant.record:
        info(str(variant))
    pairs, scorer = _data(config, variant, scorer, drop_empty)
    loaded, accelerator = _loaded(config, device, trackers, place.trackers)
    embedder, in_training = variant.views(loaded, config.max_tokens)
    base = dataclasses.replace(embedder.facts, base_hash=embedder.weights_hash)
    base_key = config.base_key + json.dumps(variant.record)
    watch = _watch(embedder, scorer, config, place, {} if known is None else known, base_key)
    parameters = adapter.add_adapter(embedder.backbone.model, config)
    with place.begin(recipe) if accelerator.is_main_process else nullcontext():
        accelerator.wait_for_everyone()
        accelerator.init_trackers("lastword")  # it writes into the place

        objective = variant.objective(pairs, config)
        loop = Loop(in_training, objective, config, place.checkpoints, accelerator, parameters)
        with embedder.backbone.attention(_attention(embedder)):
            plan = _planned(loop)
            checkpoints = loop.run(watch)
        accelerator.end_training()

        selection = watch.choose(checkpoints, config.steps)
        if config.quantize:
            embedder = _over_full_weights(
                config, variant, str(embedder.backbone.device), checkpoints, selection
            )
            base = embedder.facts
        embedder.facts = dataclasses.replace(
            base,
            adapter=adapter.describe(config, embedder.backbone.model),
            recipe=recipe,
            selection=selection.to_dict(),
        )
        result = TrainResult(place.output, selection, loop.losses(), plan, time.perf_counter() - started)
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            place.write(embedder, selection)
            _tell(selection, config)
            info(f"wrote {out} after {clock(result.seconds)}")
    return result


def _data(
    config: TrainConfig, variant: Variant, scorer: Scorer | LastStep | None, drop_empty: bool
) -> tuple[Pairs, Scorer | LastStep]:
    """The pairs to train on, and what scores the checkpoints."""
    pairs = variant.read(config.pairs, drop_empty=drop_empty)
    if scorer is None:
        rest, held_out = hold_out(pairs, _HELD_OUT_SHARE, _HELD_OUT_MOST, config.seed)
        scorer = LastStep("last step (too few pairs to hold any out)")
        if len(held_out) >= _HELD_OUT_LEAST:
            pairs, scorer = rest, HeldOutPairs(held_out)
    if config.patience and isinstance(scorer, LastStep):
        raise RequestError(
            f"patience={config.patience}: there is no development score that could stop rising; "
            "give labelled development texts, more pairs, or no patience"
        )
    if len(pairs) < config.batch_pairs:
        warn(f"batch_pairs={config.batch_pairs}, but there are {len(pairs)} pairs: each step takes them all")
    return pairs, scorer


def _loaded(
    config: TrainConfig, device: str | None, trackers: str | None, tracker_folder: Path
) -> tuple[Embedder, Accelerator]:
    place = device or preferred_device()
    embedder = _embedder(config, place, config.quantize)
    precision = "bf16" if "bfloat16" in str(embedder.backbone.dtype) else "no"
    tracker = trackers or ("tensorboard" if importlib.util.find_spec("tensorboard") else "none")
    if (
        os.environ.get("WORLD_SIZE", "1") == "1"
    ):  # an earlier training in this process may have had another precision
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision=precision,
        cpu=place == "cpu",
        project_dir=tracker_folder,
        log_with=None if tracker == "none" else tracker,
    )
    if accelerator.num_processes > 1 and not config.quantize:
        embedder.backbone.model.to(accelerator.device)
    set_seed(config.seed)
    return embedder, accelerator


def _embedder(config: TrainConfig, device: str, quantize: str | None) -> Embedder:
    return Embedder.from_pretrained(
        config.model,
        template=config.template,
        pooling=config.pooling,
        dtype=config.dtype,
        device=device,
        quantize=quantize,
    )


def _over_full_weights(
    config: TrainConfig,
    variant: Variant,
    device: str,
    checkpoints: list[tuple[int, Path]],
    selection: Selection,
) -> Embedder:
    """The kept adapter over the weights as they were before they were quantised, as QLoRA is deployed."""
    loaded = _embedder(config, device, quantize=None)
    embedder, _ = variant.views(loaded, config.max_tokens)
    embedder.facts = dataclasses.replace(embedder.facts, base_hash=embedder.weights_hash)
    adapter.add_adapter(embedder.backbone.model, config)
    load_adapter(embedder.backbone.model, dict(checkpoints)[selection.step])
    return embedder


def _attention(embedder: Embedder) -> str:
    """Plain products on a CPU, where the fused kernel's backward pass takes longer at a sentence's length."""
    return "eager" if embedder.backbone.device.type == "cpu" else "sdpa"


def _planned(loop: Loop) -> Plan:
    texts = loop.objective.step(0).texts
    loop.embedder.backbone.model.train()
    plan = loop.within_memory(
        lambda: make_plan(
            loop.embedder,
            loop.objective,
            loop.config,
            loop.parameters,
            loop.parts(texts),
            loop.embed,
            loop.memory,
        )
    )
    if loop.accelerator.is_main_process:
        plan.say()
    return plan


def _watch(
    embedder: Embedder,
    scorer: Scorer | LastStep,
    config: TrainConfig,
    place: TrainingFolder,
    known: dict[str, Measured],
    base_key: str,
) -> Watch:
    """The scores so far: those of an interrupted run, or that of the model before training."""
    watch = Watch(embedder, scorer, config.patience)
    if place.resume:
        watch.load(place.checkpoints)
    if 0 not in watch.scores and (measured := known.get(base_key) or watch.measure()):
        watch.scores[0] = known[base_key] = measured
    return watch


def _tell(selection: Selection, config: TrainConfig) -> None:
    """Say what was kept and why."""
    if selection.stopped:
        info(
            f"stopped after step {selection.stopped} of {config.steps}: {config.patience} checkpoints "
            "without a rise beyond the noise"
        )
    if not selection.scores:
        info(f"kept step {selection.step}: {selection.criterion}")
        return
    before = selection.scores[0]
    info(f"kept step {selection.step}: {selection.criterion} {before:.3f} → {selection.score:.3f}")
    if selection.score <= before:
        warn(
            f"training did not help: {selection.criterion} was {before:.3f} before "
            f"and is {selection.score:.3f} now"
        )
