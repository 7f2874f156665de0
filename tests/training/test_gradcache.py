"""However the batch is cut, the gradients are those of the full batch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.embedding.tokens import Batch
from lastword.training.adapter import add_adapter
from lastword.training.gradcache import StepMemory, backward
from lastword.training.losses import Targets, info_nce
from tests.training.conftest import pair_columns

Load = Callable[..., Embedder]


def adapted(load: Load, dropout: float = 0.0) -> tuple[Embedder, list[Any]]:
    embedder = load(template="ccw", pooling="lasttoken", max_tokens=64)
    config = train_config({"rank": 4, "alpha": 8.0, "dropout": dropout})
    parameters = add_adapter(embedder.backbone.model, config)
    generator = torch.Generator().manual_seed(7)
    for parameter in parameters:  # peft begins with B = 0, where half of the gradients vanish
        parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    embedder.backbone.model.train()
    return embedder, parameters


def gradients(
    embedder: Embedder, parameters: list[Any], batch_tokens: int, limit_bytes: float
) -> tuple[float, list[Tensor]]:
    columns = pair_columns(12)
    texts = columns["anchor"] + columns["positive"]
    parts = list(embedder.pipeline.batches(embedder.pipeline.tokenize(texts), batch_tokens))

    def embed(part: Batch) -> Tensor:
        return embedder.pipeline.vectors(part)

    def loss_of(vectors: Tensor) -> Tensor:
        return info_nce(vectors[:12], vectors[12:], Targets(0.1))

    loss, _ = backward(embed, parts, loss_of, 3, StepMemory(limit_bytes))
    grads = [parameter.grad.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    return loss, grads


@pytest.mark.parametrize(
    "limit_bytes", [0.0, 1.5e6, 1e12], ids=["computed twice", "some stored", "all stored"]
)
def test_parts_give_the_gradients_of_the_full_batch(load: Load, limit_bytes: float) -> None:
    embedder, parameters = adapted(load)
    full_loss, full = gradients(embedder, parameters, 10**6, 1e12)
    loss, cut = gradients(embedder, parameters, 100, limit_bytes)
    assert loss == pytest.approx(full_loss, abs=1e-5)
    scale = max(float(gradient.abs().max()) for gradient in full)
    assert scale > 1e-4
    for actual, expected in zip(cut, full, strict=True):
        assert torch.allclose(actual, expected, atol=1e-5 * max(1.0, scale))


def test_both_passes_drop_the_same(load: Load) -> None:
    """With dropout, computing again gives the gradients of keeping the graph."""
    embedder, parameters = adapted(load, dropout=0.3)
    stored_loss, stored = gradients(embedder, parameters, 100, 1e12)
    loss, again = gradients(embedder, parameters, 100, 0.0)
    _, plain = gradients(*adapted(load), 100, 0.0)
    assert loss == stored_loss
    for actual, expected in zip(again, stored, strict=True):
        assert torch.allclose(actual, expected, atol=1e-6)
    assert any(not torch.allclose(a, b, atol=1e-4) for a, b in zip(plain, stored, strict=True)), (
        "dropout did nothing"
    )


def graphs() -> int:
    """How many tensors with a history there are."""
    gc.collect()
    return sum(type(thing) is torch.Tensor and thing.grad_fn is not None for thing in gc.get_objects())


def test_memory_is_measured_and_decides(load: Load) -> None:
    embedder, _ = adapted(load)
    parts = list(embedder.pipeline.batches(embedder.pipeline.tokenize(pair_columns(12)["anchor"]), 100))
    memory = StepMemory(limit_bytes=1e12)
    before = graphs()
    memory.measure(lambda part: embedder.pipeline.vectors(part), parts[0])
    assert graphs() == before, "the measured graph is freed"
    assert memory.bytes_per_token is not None
    assert memory.bytes_per_token > 32 * 4, "less than one hidden state of one token cannot be"
    assert memory.stored(parts) == len(parts) > 2
    assert StepMemory(1.0, memory.bytes_per_token).stored(parts) == 0
    assert StepMemory(1.0, memory.bytes_per_token).stored(parts[:1]) == 1, "a single part is always stored"


def test_as_many_parts_are_kept_as_fit(load: Load) -> None:
    embedder, _ = adapted(load)
    parts = list(embedder.pipeline.batches(embedder.pipeline.tokenize(pair_columns(12)["anchor"]), 100))
    two = parts[0].tokens + parts[1].tokens
    memory = StepMemory(limit_bytes=10.0 * two, bytes_per_token=10.0)
    assert memory.stored(parts) == 2
    assert memory.stored_share(parts) == pytest.approx(two / sum(part.tokens for part in parts))


def test_graphs_are_made_for_the_stored_parts_alone_and_again_for_the_others(load: Load) -> None:
    embedder, _ = adapted(load)
    parts = list(embedder.pipeline.batches(embedder.pipeline.tokenize(pair_columns(12)["anchor"]), 100))
    memory = StepMemory(10.0 * (parts[0].tokens + parts[1].tokens), bytes_per_token=10.0)
    graphs_of: list[tuple[tuple[int, ...], bool]] = []

    def embed(part: Batch) -> Tensor:
        graphs_of.append((tuple(part.rows), torch.is_grad_enabled()))
        return embedder.pipeline.vectors(part)

    backward(embed, parts, lambda vectors: vectors.square().sum(), 3, memory)
    rows = [tuple(part.rows) for part in parts]
    assert graphs_of == [
        *((row, i < 2) for i, row in enumerate(rows)),
        *((row, True) for row in rows[2:]),
    ]


def test_nothing_is_stored_before_memory_is_measured(load: Load) -> None:
    embedder, _ = adapted(load)
    parts = list(embedder.pipeline.batches(embedder.pipeline.tokenize(pair_columns(12)["anchor"]), 100))
    assert StepMemory(limit_bytes=1e12).stored(parts) == 0


def test_memory_of_a_token_is_what_autograd_saves_once_for_each_storage(load: Load) -> None:
    pipeline = load().pipeline
    (part,) = pipeline.batches(pipeline.tokenize(["a car", "the river was low"]), 100)
    values = torch.ones(10, requires_grad=True)
    memory = StepMemory(limit_bytes=1.0)
    memory.measure(lambda part: values * values, part)
    assert memory.bytes_per_token == pytest.approx(40 / part.tokens)
    memory.measure(lambda part: values.exp() * values, part)
    assert memory.bytes_per_token == pytest.approx(40 / part.tokens), "the first time only"


def test_weights_are_no_part_of_the_memory_of_a_graph(load: Load) -> None:
    pipeline = load().pipeline
    (part,) = pipeline.batches(pipeline.tokenize(["a car", "the river was low"]), 100)
    inputs, weight = torch.ones(3, 10, requires_grad=True), torch.ones(10, 10)
    memory = StepMemory(limit_bytes=1.0, weights=[weight])
    memory.measure(lambda part: (inputs.exp() @ weight.T).relu(), part)
    assert memory.bytes_per_token == pytest.approx(4 * (30 + 30) / part.tokens), "the results of exp and relu"


def test_steps_and_parts_drop_different_inputs(load: Load) -> None:
    pipeline = load().pipeline
    parts = list(pipeline.batches(pipeline.tokenize(["a car"] * 3), 3))
    assert len(parts) == 3
    weight = torch.ones(1000, requires_grad=True)

    def dropped(seed: int) -> list[tuple[float, ...]]:
        """What each part drops, as both passes have it."""
        masks: dict[int, set[tuple[float, ...]]] = {}

        def embed(part: Batch) -> Tensor:
            mask = torch.nn.functional.dropout(weight, 0.5)
            masks.setdefault(part.rows[0], set()).add(tuple(mask.tolist()))
            return mask[None]

        backward(embed, parts, lambda vectors: vectors.sum(), seed, StepMemory(0.0, 1.0))
        return [*(mask for row in sorted(masks) for mask in masks[row])]

    assert len({mask for seed in (0, 1, 2, 128) for mask in dropped(seed)}) == 12
    assert dropped(1) == dropped(1)
