"""The verb: pairs and a base model in, an adapted embedder in a standard folder out."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import set_seed

from lastword.arguments import as_path
from lastword.config import TrainConfig, train_config
from lastword.console import duration, info, warn
from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.embedding.backbone import Backbone
from lastword.embedding.folder import require_savable
from lastword.embedding.latent_pooling import LatentPooling
from lastword.embedding.memory import free_bytes
from lastword.embedding.pooling import Pooling
from lastword.embedding.spec import Attention
from lastword.encoder import checked_dim
from lastword.errors import DivergenceError, RequestError
from lastword.files.run_folder import RunFolder, hash_of, require_outside, write_json
from lastword.training import adapter
from lastword.training.checkpoints import OPTIMIZER
from lastword.training.data import inputs_of, read_data, require_negatives
from lastword.training.guide import make_guide
from lastword.training.loop import Loop
from lastword.training.lower import LowerLayers
from lastword.training.masked import MaskedObjective, MaskedTexts
from lastword.training.objectives import Objective, Standard, Variant
from lastword.training.plan import Plan, make_plan
from lastword.training.selection import (
    CHOICE,
    SCORES,
    CheckpointScores,
    LastStep,
    Scorer,
    Selection,
    scores_of_widths,
)
from lastword.training.settings import check_settings
from lastword.training.teacher import make_teacher, require_stored
from lastword.training.vectors import texts_of
from lastword.uncertainty import Score

RECIPE, MASKED = "recipe.json", "masked"
_OF_THE_BASE = ("model", "template", "pooling", "layer", "attention", "max_tokens", "dtype", "quantize")
"""Settings that the score of a base model depends on."""
_LOWER_SHARE = 0.25  # of the free main memory, for states below the adapted layers
_SOME_TEXT = "a man is driving a car"


@dataclass(frozen=True)
class TrainResult:
    """Result of a training run.

    Attributes:
        output: the folder written.
        selection: the checkpoint kept and the scores of all.
        losses: loss of every step.
        plan: the forecast.
        seconds: time of the whole call.
        widths: number of first dimensions → score of the checkpoint kept with vectors truncated to them.
    """

    output: Path
    selection: Selection
    losses: list[float]
    plan: Plan
    seconds: float
    widths: dict[int, Score] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {
            "output": str(self.output),
            "selection": self.selection.to_dict(),
            "losses": self.losses,
            "plan": dataclasses.asdict(self.plan),
            "seconds": round(self.seconds, 1),
            "widths": {str(width): score.value for width, score in self.widths.items()},
        }


def train(
    output: str | Path,
    *,
    scorer: Scorer | LastStep | None = None,
    variant: Variant | None = None,
    base_scores: dict[str, Score] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    drop_empty: bool = False,
    device: str | None = None,
    trackers: str | None = None,
    **settings: Any,
) -> TrainResult:
    """Adapt a decoder to embed, by contrastive LoRA training on pairs.

    Work in progress is in `OUTPUT.partial`; the folder `output` appears when it is complete.

    Args:
        output: folder to write.
        scorer: development score that chooses the checkpoint; None holds out a tenth of the pairs for it,
            `LastStep()` scores nothing and keeps the last.
        variant: a way of training that differs by more than settings; None is `Standard`.
        base_scores: scores of base models, filled and used by a series of runs with the same scorer, so that
            each base model is scored once.
        resume: resume an interrupted run with the same settings.
        overwrite: replace `output`, and restart an interrupted run.
        drop_empty: leave out pairs with an empty side.
        device: None takes the best available.
        trackers: name of an experiment tracker that accelerate knows, or "none"; None is TensorBoard where it
            is installed.
        **settings: fields of `TrainConfig`.

    Raises:
        RequestError: an invalid setting, or `resume` with other settings than before.
        ExistingOutputError: `output` or an interrupted run exists.
        TableError: pairs that cannot be read.
        ModelError: a model that cannot be loaded or adapted.
        DivergenceError: a loss that is not finite; the checkpoints so far are kept.

    Source: arXiv:2507.22729, with true in-batch negatives (arXiv:2101.06983).
    """
    started = time.perf_counter()
    config, variant = train_config(settings), variant or Standard()
    check_settings(config)
    known = ("none", "all", *map(str, get_available_trackers()))
    if trackers not in (None, *known):  # accelerate would leave it out without a word
        raise RequestError(
            f"trackers={trackers!r} is not installed, or unknown to accelerate; usable: {', '.join(known)}"
        )
    recipe, widths = config.to_dict() | variant.record, dict[int, Score]()
    folder = _RunFolder(as_path("output", output), resume=resume, overwrite=overwrite)
    require_outside(folder.output, list(recipe.values()))
    first = os.environ.get("RANK", "0") == "0"  # of several processes, the first locks and writes the folder
    with folder.lock() if first else nullcontext():
        folder.require(recipe)
        if variant.record:
            info(str(variant))
        pairs, scorer = read_data(config, variant, scorer, drop_empty)
        require_stored(config, pairs)
        objective = variant.objective(pairs, config)
        require_negatives(objective, pairs, config)
        scores = CheckpointScores(scorer, config.patience, folder.checkpoints / SCORES)
        if resume and folder.interrupted:
            scores.load()
        inputs = inputs_of(config, pairs, scorer)
        folder.require(recipe, inputs)
        loaded = load_base(config, device)
        inputs[f"the model {config.model}"] = hash_of(loaded.identity)
        accelerator = make_accelerator(config, loaded, trackers, folder.trackers)
        embedder, loop = make_loop(config, variant, loaded, objective, folder.checkpoints, accelerator)
        masked = MaskedTexts.of(embedder, loop.pipeline, config.masked_share) if config.masked_steps else None
        folder.require(recipe, inputs)  # all processes: the others would wait for the first forever
        if first:
            folder.prepare(recipe, inputs)
        accelerator.wait_for_everyone()
        if config.guide or config.teacher:
            with accelerator.main_process_first():
                guide = make_guide(config, pairs, embedder, device, folder.checkpoints)
                teacher = make_teacher(config, pairs, embedder, device, folder.checkpoints)
            loop.objective = variant.objective(pairs, config, guide, teacher)
            require_negatives(loop.objective, pairs, config, guided=guide is not None)
        accelerator.init_trackers("lastword")  # it writes into the folder
        with embedder.backbone.attention(_attention(embedder)):
            _score_base(loop, scores, embedder, {} if base_scores is None else base_scores, recipe)
            if masked and not loop.checkpoints.all():
                _train_masked(masked, loop, texts_of(pairs), embedder)
            plan = loop.within_memory(lambda: make_plan(loop, scores.seconds))
            if first:
                plan.log()
            loop.run(scores, embedder)
        selection = scores.select([step for step, _ in loop.checkpoints.all()], config.steps)
        accelerator.end_training()
        losses = loop.checkpoints.losses()
        accelerator.wait_for_everyone()  # all have read what writing the model deletes
        if first:
            checkpoint = dict(loop.checkpoints.all())[selection.step]
            load_adapter(embedder.backbone.model, checkpoint)
            _require_vectors(embedder, checkpoint)
            widths = scores_of_widths(scorer, embedder, config.widths)
            folder.write(_finished(embedder, variant, config, checkpoint), recipe, selection)
            _log(selection, config)
            for width, score in widths.items():
                info(f"{width} dimensions: {selection.criterion} {score.value:.3f}")
            info(f"wrote {output} after {duration(time.perf_counter() - started)}")
    return TrainResult(folder.output, selection, losses, plan, time.perf_counter() - started, widths)


def make_loop(
    config: TrainConfig,
    variant: Variant,
    loaded: Embedder,
    objective: Objective,
    checkpoints: Path,
    accelerator: Accelerator,
) -> tuple[Embedder, Loop]:
    """Put an adapter into a loaded model; returns the embedder that is scored and saved, and the training loop."""
    embedder, in_training = variant.views(loaded, config.max_tokens)
    require_savable(embedder.pipeline)
    for width in config.widths:
        checked_dim(embedder, width, embedder.dim)  # not known before where the model is on the Hub
    parameters = adapter.add_adapter(embedder.backbone.model, config)
    lower = _lower_layers(config, embedder.backbone, len(objective))
    return embedder, Loop(
        in_training.pipeline, objective, config, checkpoints, accelerator, parameters, lower
    )


@dataclass(frozen=True)
class _RunFolder(RunFolder):
    """The folder of an unfinished run; without a checkpoint, or vectors of a guide or teacher, nothing is lost."""

    evidence: str = "checkpoints/**/[a-z]*-[0-9]*"
    record: str = RECIPE

    @property
    def checkpoints(self) -> Path:
        return self.partial / "checkpoints"

    @property
    def trackers(self) -> Path:
        return self.partial / "trackers"

    def prepare(self, settings: Mapping[str, Any], inputs: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make the folders, empty unless a run is resumed."""
        super().prepare(settings, inputs)
        self.checkpoints.mkdir(exist_ok=True)

    def write(self, embedder: Embedder, recipe: dict[str, Any], selection: Selection) -> None:
        """Write the model with the record of the run in it, and move it to its path atomically."""
        embedder.provenance = dataclasses.replace(
            embedder.provenance, recipe=recipe, selection=selection.to_dict()
        )
        model = embedder.save(self.partial / "model", overwrite=True)
        record = model / "training"
        # The optimizer stays in the partial folder: a run that is killed from here on must not restart.
        shutil.copytree(self.checkpoints, record, ignore=shutil.ignore_patterns(OPTIMIZER, "*.npz", MASKED))
        write_json(record / CHOICE, selection.to_dict())
        shutil.copy(self.partial / RECIPE, record / RECIPE)
        if self.trackers.exists():
            shutil.copytree(self.trackers, record / "trackers")
        self.finish(model)


def load_base(config: TrainConfig, device: str | None = None) -> Embedder:
    """The base model with the hash of its weights, without the layers that are not kept.

    A pooling with weights gets new ones, unless the model has some.
    """
    pooling = Pooling.parse(config.pooling)
    trainable = pooling.trainable
    embedder = Embedder.from_pretrained(
        config.model,
        template=config.template,
        pooling=None if trainable else pooling,
        layer=config.layer,
        attention=cast(Attention, config.attention),
        dtype=config.dtype,
        device=device,
        quantize=config.quantize,
    )
    base_hash = embedder.backbone.weights_hash
    embedder.provenance = dataclasses.replace(embedder.provenance, base=config.model, base_hash=base_hash)
    embedder = embedder.cut()
    if not trainable:
        embedder.backbone.remove_pooling()
    if trainable and embedder.backbone.trained_pool is None:
        embedder.backbone.add_pooling(LatentPooling(embedder.backbone.dim, seed=config.seed))
    return embedder.variant(pooling=pooling)


def make_accelerator(
    config: TrainConfig, embedder: Embedder, trackers: str | None, folder: Path
) -> Accelerator:
    """Device, precision, processes and trackers; the model is moved to its device, and all seeds are set."""
    tracker = trackers or ("tensorboard" if importlib.util.find_spec("tensorboard") else "none")
    if os.environ.get("WORLD_SIZE", "1") == "1":
        # An earlier run in this process may have had another precision.
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        mixed_precision="bf16" if "bfloat16" in str(embedder.backbone.dtype) else "no",
        cpu=embedder.backbone.device.type == "cpu",
        project_dir=folder,
        log_with=None if tracker == "none" else tracker,
    )
    if accelerator.num_processes > 1 and not config.quantize:
        embedder.backbone.model.to(accelerator.device)
    set_seed(config.seed)
    return accelerator


def _lower_layers(config: TrainConfig, backbone: Backbone, pairs: int) -> LowerLayers | None:
    """The layers below the adapted ones, if there are any and the model can go on from their states."""
    below = adapter.layers_below(backbone.model, config)
    if not below:
        return None
    if backbone.fused is None:
        info(f"the {below} layers below the adapted ones run at every step: {config.model} has no fused path")
        return None
    again = config.steps * config.batch_pairs > pairs
    limit = _LOWER_SHARE * free_bytes(torch.device("cpu")) if again else 0
    bytes_per_token = backbone.dim * backbone.dtype.itemsize
    return LowerLayers(backbone.fused, below, limit, bytes_per_token, keep_at=2 if config.noise else 1)


def _attention(embedder: Embedder) -> str:
    """Eager on a CPU, where the backward pass of the fused kernel is slower at the length of a sentence."""
    backbone = embedder.backbone
    return "eager" if backbone.device.type == "cpu" else backbone.implementation


def _score_base(
    loop: Loop,
    scores: CheckpointScores,
    embedder: Embedder,
    base_scores: dict[str, Score],
    recipe: dict[str, Any],
) -> None:
    """Score the model before training, unless an interrupted run or another one of the series did."""
    if isinstance(scores.scorer, LastStep):
        return
    training_only = vars(loop.config).keys() - _OF_THE_BASE
    base = json.dumps({name: value for name, value in recipe.items() if name not in training_only})
    if base in base_scores and 0 not in scores.by_step:
        scores.by_step[0] = base_scores[base]
        scores.save()  # a run resumed in another process does not have it otherwise
    if not loop.checkpoints.all():
        loop.score(scores, embedder, 0)
    if 0 in scores.by_step:
        base_scores[base] = scores.by_step[0]


def _train_masked(masked: MaskedTexts, loop: Loop, texts: Sequence[str], embedder: Embedder) -> None:
    """Masked next-token training of the adapter, before the loop; a run that is resumed goes on where it was.

    Args:
        masked: the model.
        loop: whose adapter is trained.
        texts: to train on.
        embedder: the model as it is scored.
    """
    config, folder = loop.config, loop.folder / MASKED
    folder.mkdir(exist_ok=True)
    info(f"masked training on {len(texts):,} texts: {config.masked_share:.0%} of their tokens are predicted")
    stage = Loop(
        masked.pipeline, MaskedObjective(texts, config), dataclasses.replace(config, steps=config.masked_steps), folder,
        loop.accelerator, loop.parameters, stage="masked ", vectors=masked.vectors,
    )  # fmt: skip
    stage.run(CheckpointScores(LastStep(), None, folder / SCORES), embedder)


def _finished(embedder: Embedder, variant: Variant, config: TrainConfig, checkpoint: Path) -> Embedder:
    """The embedder that is written: the adapter of a checkpoint over the base's weights in float32.

    They are merged and stored in float32, whatever the precision of the base's file: the sum of a weight and a small
    change fits no narrower type, and `lastword export --dtype bfloat16` rounds it once. A base that was trained over
    in bfloat16, 8 or 4 bits was rounded when it was loaded, so its file is read again, on the CPU, where the weights
    are merged anyway; those of training are given up for it.
    """
    if config.quantize or embedder.backbone.dtype != torch.float32:
        for tensor in (*embedder.backbone.model.parameters(), *embedder.backbone.model.buffers()):
            tensor.data = tensor.data.new_empty(0)
        base = load_base(dataclasses.replace(config, quantize=None, dtype="float32"), "cpu")
        embedder, _ = variant.views(base, config.max_tokens)
        adapter.add_adapter(embedder.backbone.model, config)
        embedder.backbone.model.eval()
        load_adapter(embedder.backbone.model, checkpoint)
    facts = adapter.describe(config, embedder.backbone.model)
    embedder.provenance = dataclasses.replace(embedder.provenance, adapter=facts)
    return embedder


def _require_vectors(embedder: Embedder, checkpoint: Path) -> None:
    if not embedder.encode(_SOME_TEXT, normalize=False).any():  # the norm of huge states overflows to zero
        raise DivergenceError(
            f"the model gives zero vectors after {checkpoint.name}: lower learning_rate or alpha; the checkpoints so "
            "far are kept"
        )


def _log(selection: Selection, config: TrainConfig) -> None:
    """Log which checkpoint is kept and why."""
    if selection.stopped:
        info(
            f"stopped after step {selection.stopped} of {config.steps}: {config.patience} checkpoints were not better"
        )
    if not selection.gain:
        info(f"kept step {selection.step}: {selection.criterion}")
        return
    before, gain = selection.scores[0].value, selection.gain
    info(
        f"kept step {selection.step}: {selection.criterion} {before:.3f} → {selection.score:.3f}, 95 % interval of the "
        f"gain {gain.low:+.3f} to {gain.high:+.3f}"
    )
    if selection.indistinguishable:
        steps = ", ".join(map(str, selection.indistinguishable))
        several = "steps" if len(selection.indistinguishable) > 1 else "step"
        info(f"not distinguishable from step {selection.step} on these texts: {several} {steps}")
    if gain.verdict != "better":
        found = "training made the model worse" if gain.verdict == "worse" else "no gain by training is shown"
        warn(
            f"{found}: {selection.criterion} was {before:.3f} before and is {selection.score:.3f} now "
            f"({gain.verdict})"
        )
