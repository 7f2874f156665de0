"""Memory, time and disk of a training run, before it begins."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lastword.config import TrainConfig, train_config
from lastword.console import load_libraries, silenced
from lastword.embedding.device import torch_dtype
from lastword.planning.costs import Linear, truncated_shares, whole_lengths
from lastword.planning.memory import GIB, Machine, Memory, require_fit, smaller_batches
from lastword.planning.result import Plan
from lastword.planning.shape import DEPTHS, Shape
from lastword.training.checkpoints import checkpoint_steps
from lastword.training.data import HELD_OUT_MOST, HELD_OUT_SHARE
from lastword.training.gradcache import StepMemory, largest
from lastword.training.loop import FREE_SHARE, Loop
from lastword.training.objectives import Objective, Standard
from lastword.training.pairs import pair_files
from lastword.training.plan import StepWork, TokenSeconds, step_work, token_seconds
from lastword.training.run import make_accelerator, make_loop
from lastword.training.settings import check_settings

_STATES = 16  # bytes of an adapter weight with its gradient and the two moments of AdamW, all float32
_ROUNDS = 3
_FLOPS, _LEAST_TOKENS = 1e11, 512  # of a timed part: about a second of one core


@dataclasses.dataclass(frozen=True)
class _Costs:
    """What a token costs, by the number of layers.

    Attributes:
        forward: seconds without a graph.
        both: seconds of forward and backward.
        graph: bytes that are stored for the backward pass.
        trainable: adapter weights.
    """

    forward: Linear
    both: Linear
    graph: Linear
    trainable: Linear


def plan_training(
    *, device: str | None = None, gpu_memory: float | None = None, drop_empty: bool = False, **settings: Any
) -> Plan:
    """Forecast the memory, time and disk of `train`; the weights of the model are not needed.

    A step of the first pairs is measured on few layers of the model's widths, with random weights, and extrapolated
    to all layers and steps.

    Args:
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.
        drop_empty: leave out pairs with an empty side.
        **settings: fields of `TrainConfig`.

    Raises:
        RequestError: an invalid setting, or the run does not fit into memory; the message names what would.
        MissingFileError, TableError, ModelError: as `train`.
    """
    config = train_config(settings)
    check_settings(config)
    load_libraries("torch", "transformers.modeling_utils", "peft", "accelerate")
    machine = Machine.of(device, gpu_memory)
    pairs = Standard().read(pair_files(config), drop_empty=drop_empty, graded=config.graded)
    held_out = min(HELD_OUT_MOST, round(HELD_OUT_SHARE * len(pairs.anchors)))
    return plan_run(config, Standard().objective(pairs, config), machine, len(pairs.anchors), 2 * held_out)


def plan_run(config: TrainConfig, objective: Objective, machine: Machine, examples: int, scored: int) -> Plan:
    """Forecast a training run whose data are read.

    Args:
        config: its settings.
        objective: gives its steps.
        machine: where it is planned for.
        examples: to train on.
        scored: texts that are embedded for the score of a checkpoint.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
    """
    shape = Shape.read(
        config.model, template=config.template, pooling=config.pooling, layer=config.layer,
        attention=config.attention,
    )  # fmt: skip
    shallow = dataclasses.replace(
        config,
        layer=None,
        adapt_layers=None,
        graph_gib=0.0,
        dtype=config.dtype or machine.dtype,
        quantize=None,
    )
    with tempfile.TemporaryDirectory() as folder, silenced("peft"):
        loops = {depth: _loop(shape, depth, shallow, objective, Path(folder)) for depth in DEPTHS}
        work, costs = _measured(loops, shape.layer_weights, timing=machine.timed)
        lengths = whole_lengths(loops[DEPTHS[0]].pipeline, loops[DEPTHS[0]].objective.step(0).texts)
    plan = _Run(config, shape, machine, work, costs)
    require_fit(
        f"training {config.model}", machine, plan.least,
        [*smaller_batches(config.batch_tokens, config.max_tokens), {"dtype": "bfloat16"}, {"quantize": "nf4"}],
    )  # fmt: skip
    return plan.result(lengths, examples, scored)


@dataclasses.dataclass(frozen=True)
class _Run:
    """A training run and what its tokens cost."""

    config: TrainConfig
    shape: Shape
    machine: Machine
    work: StepWork
    costs: _Costs

    @property
    def precision(self) -> torch.dtype:
        return torch_dtype(self.config.dtype or self.machine.dtype, torch.device("cpu"))

    @property
    def adapted(self) -> int:
        """Layers that get an adapter."""
        return min(self.config.adapt_layers or self.shape.layers, self.shape.layers)

    def fixed(self, changes: Mapping[str, Any]) -> Memory:
        """Memory without activations."""
        precision = (
            torch_dtype(changes["dtype"], torch.device("cpu")) if "dtype" in changes else self.precision
        )
        quantize = changes.get("quantize", self.config.quantize)
        weights = self.shape.weights_bytes(precision, quantize, self.shape.layers)
        return Memory(self.machine.process, weights, _STATES * self.costs.trainable.at(self.adapted))

    def least(self, changes: Mapping[str, Any]) -> float:
        """Bytes of the run if it stores the graph of one part at a time."""
        size = 0.6 if "dtype" in changes and self.precision.itemsize == 4 else 1.0  # adapters stay in float32
        tokens = min(
            changes.get("batch_tokens", self.config.batch_tokens),
            max(part.tokens for part in self.work.parts),
        )
        graph: float = size * tokens * self.costs.graph.at(self.adapted)
        return self.fixed(changes).peak + graph

    def result(self, lengths: list[int], pairs: int, texts_scored: int) -> Plan:
        """The plan."""
        config, work, fixed = self.config, self.work, self.fixed({})
        limit = FREE_SHARE * max(0.0, self.machine.available - fixed.peak)
        limit = limit if config.graph_gib is None else config.graph_gib * GIB
        memory = StepMemory(limit, self.costs.graph.at(self.adapted))
        stored = memory.stored_share(work.parts)
        tokens = max(stored * work.tokens, *(part.tokens for part in work.parts), 0)
        step = self._seconds(stored)
        steps = (
            config.steps + config.masked_steps / 2
        )  # a masked step has as many texts as one side of its pairs
        scoring = texts_scored * work.tokens / work.texts * self.costs.forward.at(self.shape.layers)
        scored = len(checkpoint_steps(config.steps)) + 1
        parameters = self.shape.layers * self.shape.layer_weights + self.shape.other_weights
        return Plan(
            model=config.model,
            layers=self.shape.layers,
            parameters=parameters,
            dtype=str(self.precision).removeprefix("torch."),
            texts=round(work.texts * config.steps),
            tokens=round(work.tokens * config.steps),
            truncated=truncated_shares(lengths, config.max_tokens, max(lengths)),
            max_tokens=config.max_tokens,
            remedy="--max-tokens sets the length",
            memory=dataclasses.replace(fixed, activations=tokens * (memory.bytes_per_token or 0)),
            machine=self.machine,
            seconds=steps * step + scored * scoring if self.machine.timed else None,
            disk=4.0 * parameters + 12 * self.costs.trainable.at(self.adapted),
            facts={
                "step": f"{config.batch_pairs} of {pairs:,} pairs, {work.tokens:,.0f} tokens, "
                f"{work.negatives} negatives for each anchor",
                "activations": f"{stored:.0%} stored, the others are computed twice"
                if stored < 1
                else "all stored",
            },
        )

    def _seconds(self, stored: float) -> float:
        """Time of a step."""
        layers, adapted = self.shape.layers, self.adapted
        lower = (layers - adapted) * self.costs.forward.each
        seconds = TokenSeconds(self.costs.forward.at(adapted), self.costs.both.at(adapted), lower)
        return seconds.of_step(self.work.tokens, stored, 1.0 if lower else 0.0)


def _loop(shape: Shape, depth: int, config: TrainConfig, objective: Objective, folder: Path) -> Loop:
    """A training loop over a shallow model, which does no step."""
    embedder = shape.shallow(depth, config.dtype)
    accelerator = make_accelerator(config, embedder, "none", folder)
    _, loop = make_loop(config, Standard(), embedder, objective, folder, accelerator)
    loop.pipeline.backbone.model.train()
    return loop


def _measured(loops: Mapping[int, Loop], layer_weights: int, timing: bool) -> tuple[StepWork, _Costs]:
    """The work of a step, and what its tokens cost."""
    works = {depth: step_work(loop) for depth, loop in loops.items()}
    graph = {}
    for depth, loop in loops.items():
        loop.memory.measure(loop.embed, largest(works[depth].parts))
        graph[depth] = loop.memory.bytes_per_token or 0.0
    trainable = {depth: float(sum(p.numel() for p in loop.parameters)) for depth, loop in loops.items()}
    forward, both = (Linear(0, 0), Linear(0, 0)) if not timing else _seconds_of(loops, layer_weights)
    return works[DEPTHS[0]], _Costs(forward, both, Linear.through(graph), Linear.through(trainable))


def _seconds_of(loops: Mapping[int, Loop], layer_weights: int) -> tuple[Linear, Linear]:
    """Seconds that a token takes forward, and forward and backward; the fastest of three interleaved rounds."""
    forward: dict[int, float] = {}
    both: dict[int, float] = {}
    for depth, loop in loops.items():  # small parts of large models, so that this takes seconds
        loop.batch_tokens = min(
            loop.batch_tokens, max(_LEAST_TOKENS, round(_FLOPS / (4 * depth * layer_weights)))
        )
    parts = {depth: loop.parts(loop.objective.step(0).texts) for depth, loop in loops.items()}
    for _ in range(_ROUNDS):
        for depth, loop in loops.items():
            seconds = token_seconds(loop, parts[depth])
            forward[depth] = min(seconds.forward, forward.get(depth, seconds.forward))
            both[depth] = min(seconds.both, both.get(depth, seconds.both))
    return Linear.through(forward), Linear.through(both)
