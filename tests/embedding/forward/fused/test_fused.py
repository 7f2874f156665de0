"""The fused forward gives what the model's own gives: by architecture, length, layer, norm and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding.backbone import Backbone
from lastword.embedding.forward.fused import attention
from lastword.embedding.forward.tree import Tree
from lastword.embedding.tokens import Batch
from lastword.training.adapter import add_adapter
from tests.embedding.reference import hidden

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
BUILT_LIKE_LLAMA = {
    "llama": lambda: transformers.LlamaModel(transformers.LlamaConfig(**SHAPE)),
    "llama, one head each": lambda: transformers.LlamaModel(
        transformers.LlamaConfig(**{**SHAPE, "num_key_value_heads": 4})
    ),
    "llama, biases": lambda: transformers.LlamaModel(
        transformers.LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True)
    ),
    "llama 3 rope": lambda: transformers.LlamaModel(
        transformers.LlamaConfig(
            **SHAPE,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500_000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            },
        )
    ),
    "qwen2": lambda: transformers.Qwen2Model(
        transformers.Qwen2Config(**{k: v for k, v in SHAPE.items() if k != "head_dim"})
    ),
    "qwen3": lambda: transformers.Qwen3Model(transformers.Qwen3Config(**SHAPE)),
    "mistral": lambda: transformers.MistralModel(transformers.MistralConfig(**SHAPE, sliding_window=8)),
    "gemma": lambda: transformers.GemmaModel(transformers.GemmaConfig(**SHAPE)),
    "gemma 3": lambda: transformers.Gemma3TextModel(
        transformers.Gemma3TextConfig(**SHAPE, sliding_window=8, query_pre_attn_scalar=20)
    ),
}
BUILT_OTHERWISE = {
    "gpt2": lambda: transformers.GPT2Model(
        transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=300)
    ),
    "gemma 2, capped scores": lambda: transformers.Gemma2Model(transformers.Gemma2Config(**SHAPE)),
    "olmo 2, norms after the products": lambda: transformers.Olmo2Model(
        transformers.Olmo2Config(**{k: v for k, v in SHAPE.items() if k != "head_dim"})
    ),
    "cohere, attention beside the feed-forward": lambda: transformers.CohereModel(
        transformers.CohereConfig(**{k: v for k, v in SHAPE.items() if k != "head_dim"})
    ),
}
Make = Callable[[], transformers.PreTrainedModel]


def _pair(make: Make) -> tuple[Backbone, Backbone]:
    """The same weights behind both forwards; large ones, so that whatever ought to matter does."""
    torch.manual_seed(3)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return Backbone(model, "fused"), Backbone(model, "stock", fused=False)


def _fused_and_stock(make: Make) -> tuple[Backbone, Backbone]:
    fused, stock = _pair(make)
    assert (fused.path, stock.path) == ("fused", "stock")
    return fused, stock


def _batch(lengths: list[int], shared: int) -> Batch:
    generator = torch.Generator().manual_seed(7)
    width = max(lengths)
    ids = torch.randint(1, 300, (len(lengths), width), generator=generator)
    ids[1:, :shared] = ids[0, :shared]
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    return Batch(list(range(len(lengths))), ids, mask, mask, lengths, shared)


def _close(mine: Tensor, theirs: Tensor, mask: Tensor) -> None:
    scale = float(theirs[mask].abs().max())
    assert float((mine - theirs)[mask].abs().max()) <= 2e-6 * scale


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("layer", [None, 0, 1])
@pytest.mark.parametrize("make", BUILT_LIKE_LLAMA.values(), ids=BUILT_LIKE_LLAMA.keys())
def test_equal_to_the_models_own_forward(make: Make, layer: int | None, norm: Any) -> None:
    fused, stock = _fused_and_stock(make)
    for lengths, shared in (([8, 8, 7, 5, 5, 5], 3), ([3, 8, 4], 0), ([6, 2], 2), ([5], 1)):
        batch = _batch(lengths, shared)
        _close(hidden(fused, batch, layer, norm), hidden(stock, batch, layer, norm), batch.attention_mask)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("make", BUILT_LIKE_LLAMA.values(), ids=BUILT_LIKE_LLAMA.keys())
def test_last_tokens_alone(make: Make, norm: Any) -> None:
    fused, stock = _fused_and_stock(make)
    for lengths, shared in (([8, 8, 7, 5, 5, 5], 3), ([3, 8, 4], 0), ([6, 2], 2), ([5], 1)):
        batch = _batch(lengths, shared)
        rows = torch.arange(len(lengths))
        expected = hidden(stock, batch, None, norm)[rows, torch.tensor(lengths) - 1]
        _close(fused.last(batch, norm), expected, torch.ones(len(lengths), dtype=torch.bool))


@pytest.mark.parametrize("name", ["qwen3", "gemma 3"])  # the latter has a scale of its own
@pytest.mark.parametrize("block", [1, 2, 96])
@pytest.mark.parametrize("most", [0, 5, 100])
def test_both_ways_to_compute_attention(
    name: str, most: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's kernel beyond `most` keys, and blocks of a query, of two, of all."""
    monkeypatch.setattr(attention, "STORED_MOST", most)
    monkeypatch.setattr(attention, "BLOCK", block)
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA[name])
    batch = _batch([8, 8, 7, 5, 3], 3)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)


@pytest.mark.parametrize("shared", [0, 3])
@pytest.mark.parametrize("most", [0, 2048])
@pytest.mark.parametrize("make", BUILT_LIKE_LLAMA.values(), ids=BUILT_LIKE_LLAMA.keys())
@torch.no_grad()
def test_rows_of_many_lengths_together_or_one_by_one(
    make: Make, most: int, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "TOGETHER_MOST", most)
    fused, stock = _fused_and_stock(make)
    batch = _batch([8, 7, 7, 5, 3], shared)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)


@pytest.mark.parametrize("most", [0, 128])
@pytest.mark.parametrize("limits", [None, [4, 3, 5]])
@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma 3"])
def test_suffixes_after_each_row_are_computed_as_if_alone(
    name: str, limits: list[int] | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suffixes that begin alike share tokens; with limits, each follows where its own template truncates the row."""
    monkeypatch.setattr(attention, "STORED_MOST", most)
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA[name])
    suffixes, batch, path = [[5, 6, 7], [5, 8], [9]], _batch([5, 5, 4, 3, 2], 2), fused.fused
    assert path is not None
    tree = Tree.of(suffixes, limits)
    ends = path.branch_ends(batch, tree, [places[-1] for places in tree.paths], "post")
    (_, text, nodes), (_, last_text, last_nodes) = path.branches(batch, tree, [1, 3], "pre")
    for layer, states in ((1, text), (None, last_text)):
        _close(states, hidden(stock, batch, layer, "pre"), batch.attention_mask)
    for row, length in enumerate(batch.lengths):
        _close(ends[row, :1], stock.last(batch)[row : row + 1], torch.ones(1, dtype=torch.bool))
        for number, (suffix, places) in enumerate(zip(suffixes, tree.paths, strict=True)):
            kept = min(length, limits[number]) if limits else length
            ids = torch.tensor([[*batch.input_ids[row, :kept].tolist(), *suffix]])
            real = torch.ones_like(ids, dtype=torch.bool)
            alone, after = Batch([0], ids, real, real, [ids.shape[1]]), real[0, kept:]
            _close(nodes[row, places], hidden(stock, alone, 1, "pre")[0, kept:], after)
            _close(last_nodes[row, places], hidden(stock, alone, None, "pre")[0, kept:], after)
            _close(ends[row, 1 + number : 2 + number], stock.last(alone), real[0, :1])


@torch.no_grad()
def test_a_pass_can_begin_with_states_that_were_computed_before() -> None:
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA["qwen3"])
    batch, path = _batch([8, 8, 7, 5], 3), fused.fused
    assert path is not None
    lower, below = path.lower(batch, 2), hidden(stock, batch, 2, "pre")
    own = [below[row, 3:length] for row, length in enumerate(batch.lengths)]
    assert lower.layer == 2
    _close(lower.states, torch.cat([below[0, :3], *own]), torch.ones(len(lower.states), dtype=torch.bool))
    _close(hidden(fused, replace(batch, lower=lower)), hidden(stock, batch), batch.attention_mask)
    doubled = replace(batch, lower=replace(lower, states=2 * lower.states))
    assert float((fused.last(doubled) - fused.last(batch)).abs().max()) > 0.01
    assert torch.equal(path.lower(doubled, 2).states, lower.states)


@pytest.mark.parametrize("make", BUILT_OTHERWISE.values(), ids=BUILT_OTHERWISE.keys())
def test_what_is_built_otherwise_runs_its_own_forward(make: Make) -> None:
    fused, stock = _pair(make)
    assert fused.path == "stock"
    batch = _batch([6, 4], 2)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)


def test_beyond_a_window_the_model_cuts_by_itself() -> None:
    fused, stock = _pair(BUILT_LIKE_LLAMA["mistral"])
    batch = _batch([20, 12], 3)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)
    _close(fused.last(batch), stock.last(batch), torch.ones(2, dtype=torch.bool))


def test_a_window_that_no_layer_has_is_no_bound() -> None:
    config = transformers.Gemma3TextConfig(**SHAPE, sliding_window=8, layer_types=["full_attention"] * 3)
    backbone = Backbone(transformers.Gemma3TextModel(config), "full attention")
    assert backbone.path_for(20).name == "fused"


def test_hooks_are_run() -> None:
    fused, _ = _fused_and_stock(BUILT_LIKE_LLAMA["llama"])
    batch, before = _batch([6, 4], 2), None
    before = hidden(fused, batch)
    fused.model.layers[0].register_forward_hook(lambda module, args, output: output * 1.5)
    assert float((hidden(fused, batch) - before).abs().max()) > 0.01


@pytest.mark.parametrize("inner", ["output_hidden_states", "output_attentions"])
def test_a_pass_that_returns_inner_states_leaves_the_fused_path_in_use(inner: str) -> None:
    """transformers leaves hooks in the modules then."""
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA["gemma 3"])
    with stock.attention("eager"):
        stock.model(input_ids=torch.tensor([[1, 2, 3]]), **{inner: True})
    assert any(module._forward_hooks for module in stock.model.modules())
    assert (fused.path, Backbone(stock.model, "read again").path) == ("fused", "fused")
    fused.model.layers[2].register_forward_pre_hook(lambda module, args: None)
    assert fused.path == "stock"


@pytest.mark.parametrize("one_step", [False, True])
@pytest.mark.parametrize("name", ["llama, biases", "qwen3", "gemma 3"])
def test_gradients_of_an_adapter(name: str, one_step: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of attention for all lengths is what a GPU takes."""
    monkeypatch.setattr(attention, "_one_step_pays", lambda layout: one_step)
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA[name])
    parameters = add_adapter(fused.model, TrainConfig(rank=4, alpha=8.0, dropout=0.0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    batch = _batch([8, 8, 7, 5], 3)
    gradients = []
    for states in (fused.last(batch), stock.last(batch)):
        weights = torch.linspace(-1, 1, states.numel()).view_as(states)
        gradients.append(torch.autograd.grad((states * weights).sum(), parameters))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def _adapted() -> tuple[Backbone, Backbone, list[BaseTunerLayer]]:
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA["qwen3"])
    for parameter in add_adapter(fused.model, TrainConfig(rank=4, alpha=8.0, dropout=0.0)):
        parameter.data = torch.linspace(-0.3, 0.3, parameter.numel()).view_as(parameter)
    return fused, stock, [module for module in fused.model.modules() if isinstance(module, BaseTunerLayer)]


@torch.no_grad()
def test_merged_and_disabled_adapters_are_not_added() -> None:
    fused, stock, layers = _adapted()
    batch = _batch([8, 8, 7, 5], 3)
    adapted = hidden(fused, batch)
    for layer in layers:
        layer.enable_adapters(False)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)
    assert float((hidden(fused, batch) - adapted).abs().max()) > 0.01
    for layer in layers:
        layer.enable_adapters(True)
        layer.merge()
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)
    assert float((hidden(fused, batch) - adapted)[batch.attention_mask].abs().max()) < 1e-3


@torch.no_grad()
def test_each_adapter_has_its_own_dropout() -> None:
    fused, stock, _ = _adapted()
    batch = _batch([8, 8, 7, 5], 3)
    before = hidden(fused, batch)
    fused.model.layers[1].self_attn.q_proj.lora_dropout["default"] = torch.nn.Dropout(1.0)
    fused.model.train()
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)
    assert float((hidden(fused, batch) - before).abs().max()) > 0.01


def test_weights_that_learn_get_their_gradient() -> None:
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA["llama"])
    weight = fused.model.layers[1].mlp.up_proj.weight.requires_grad_(True)
    batch = _batch([8, 5], 3)
    mine, theirs = (torch.autograd.grad(one.last(batch).square().sum(), weight)[0] for one in (fused, stock))
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


def test_fusing_takes_no_memory_and_a_changed_weight_counts() -> None:
    fused, stock = _fused_and_stock(BUILT_LIKE_LLAMA["llama"])
    batch = _batch([8, 5], 3)
    hidden(fused, batch)
    attention = fused.model.layers[0].self_attn
    assert attention.q_proj.weight.untyped_storage().data_ptr() == (
        attention.v_proj.weight.untyped_storage().data_ptr()
    )
    address = attention.q_proj.weight.data_ptr()
    hidden(fused, batch)
    assert attention.q_proj.weight.data_ptr() == address, "joined once"
    with torch.no_grad():
        attention.k_proj.weight.mul_(2)
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)
    attention.k_proj.weight.data = attention.k_proj.weight.data.clone() * 2
    _close(hidden(fused, batch), hidden(stock, batch), batch.attention_mask)


def test_bfloat16_stays_close() -> None:
    fused, stock = _pair(BUILT_LIKE_LLAMA["qwen3"])
    half = Backbone(fused.model.bfloat16(), "half")
    assert half.path == "fused"
    batch = _batch([8, 8, 7, 5], 3)
    mine, theirs = half.last(batch).float(), stock.last(batch).float()
    assert float(torch.cosine_similarity(mine, theirs).min()) > 0.999
