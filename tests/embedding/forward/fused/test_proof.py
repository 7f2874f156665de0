"""Models that the fused path computes wrongly are refused: by what was not read, and by their states in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from lastword.bundled import path_of
from lastword.embedding.backbone import Backbone
from lastword.embedding.forward.fused import blocks
from lastword.embedding.forward.fused.blocks import StructureError, read_blocks
from lastword.embedding.forward.fused.proof import equals_stock
from tests.embedding.forward.fused.test_fused import SHAPE

NO_HEAD_DIM = {name: value for name, value in SHAPE.items() if name != "head_dim"}
Make = Callable[[], Any]


def _rope(**settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, **settings}}


def _granite(**settings: Any) -> Any:
    factors = {
        "embedding_multiplier": 1.0,
        "residual_multiplier": 1.0,
        "attention_multiplier": 0.35,
        **settings,
    }
    return transformers.GraniteModel(transformers.GraniteConfig(**NO_HEAD_DIM, **factors))


def _smollm3() -> Any:
    return transformers.SmolLM3Model(transformers.SmolLM3Config(**NO_HEAD_DIM, no_rope_layers=[1, 0, 1]))


# What each computes beside what Llama does, and the words of the refusal.
COMPUTE_MORE: dict[str, tuple[Make, str]] = {
    "layers without rotary embedding": (_smollm3, "no_rope_layers"),
    "residual multiplier": (lambda: _granite(residual_multiplier=0.9), "residual_multiplier"),
    "embedding multiplier": (lambda: _granite(embedding_multiplier=1.1), "embedding_multiplier"),
    "clipped queries": (
        lambda: transformers.OlmoModel(transformers.OlmoConfig(**NO_HEAD_DIM, clip_qkv=0.1)),
        "clip_qkv",
    ),
    "scores that grow with the position": (
        lambda: transformers.Ministral3Model(
            transformers.Ministral3Config(
                **SHAPE,
                **_rope(llama_4_scaling_beta=0.5, original_max_position_embeddings=4, rope_type="yarn", factor=2.0),
            )
        ),
        "llama_4_scaling_beta",
    ),
}  # fmt: skip
REFUSED_UNSEEN: dict[str, tuple[Make, str]] = {  # the sample of the proof may not show these
    "rotary embedding that depends on the longest row": (
        lambda: _llama(rope_type="dynamic", factor=2.0, original_max_position_embeddings=64),
        "rope_type dynamic",
    ),
    "rotary embedding of a part of each head": (
        lambda: _llama(partial_rotary_factor=0.5),
        "partial_rotary_factor",
    ),
    "capped scores": (
        lambda: transformers.Gemma3TextModel(
            transformers.Gemma3TextConfig(**SHAPE, attn_logit_softcapping=50.0)
        ),
        "attn_logit_softcapping",
    ),
}


def _llama(**rope: Any) -> Any:
    return transformers.LlamaModel(transformers.LlamaConfig(**SHAPE, **_rope(**rope)))


def _strong(make: Make) -> Any:
    torch.manual_seed(3)
    model = make().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.15)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("make", "words"), COMPUTE_MORE.values(), ids=COMPUTE_MORE.keys())
def test_a_structure_with_unread_parts_is_refused(make: Make, words: str, dtype: torch.dtype) -> None:
    model = _strong(make).to(dtype)
    with pytest.raises(StructureError, match=words):
        read_blocks(model)
    assert Backbone(model, "more than Llama").path == "stock"


@pytest.mark.parametrize(("make", "words"), REFUSED_UNSEEN.values(), ids=REFUSED_UNSEEN.keys())
def test_settings_that_other_texts_would_show_are_refused(make: Make, words: str) -> None:
    with pytest.raises(StructureError, match=words):
        read_blocks(make())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", [make for make, _ in COMPUTE_MORE.values()], ids=COMPUTE_MORE.keys())
def test_the_states_alone_give_it_away(
    make: Make, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_require_read", lambda *_: None)
    monkeypatch.setattr(blocks, "_require_configuration", lambda _: None)
    model = _strong(make).to(dtype)
    assert not equals_stock(read_blocks(model), 64, 1e-3)


def test_the_weights_of_mini_under_a_configuration_without_rotary_embedding_in_some_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    llama = transformers.AutoModel.from_pretrained(path_of("mini"), dtype=torch.bfloat16)
    settings = {name: value for name, value in llama.config.to_dict().items() if name != "model_type"}
    config = transformers.SmolLM3Config(**settings, no_rope_layers=[1, 1, 1, 0] * 10)
    config.no_rope_layers = config.no_rope_layers[: config.num_hidden_layers]
    model = transformers.SmolLM3Model(config).bfloat16()
    model.load_state_dict(llama.state_dict())
    assert Backbone(llama, "mini").path == "fused"
    assert Backbone(model, "mini as SmolLM3").path == "stock"
    monkeypatch.setattr(blocks, "_require_read", lambda *_: None)
    monkeypatch.setattr(blocks, "_require_configuration", lambda _: None)
    assert not equals_stock(read_blocks(model), 512, 1e-3)


def test_factors_of_one_are_read() -> None:
    assert Backbone(_strong(lambda: _granite(attention_multiplier=1.0)), "granite").path == "fused"


def _add_module(model: Any) -> None:
    model.layers[2].mlp.gate = nn.Linear(2, 2)


def _add_weight(model: Any) -> None:
    model.layers[1].self_attn.sinks = nn.Parameter(torch.zeros(4))


def _add_buffer(model: Any) -> None:
    model.layers[1].register_buffer("layer_scalar", torch.ones(1))


def _add_switch(model: Any) -> None:
    model.layers[0].self_attn.use_rope = True


def _replace_forward(model: Any) -> None:
    model.layers[0].forward = model.layers[0].forward


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_add_module, "the feed-forward has gate"),
        (_add_weight, "the attention has sinks"),
        (_add_buffer, "the layer has layer_scalar"),
        (_add_switch, "the attention has use_rope"),
        (_replace_forward, "the layer has forward"),
    ],
)
def test_a_part_of_any_layer_counts(change: Callable[[Any], None], words: str) -> None:
    model = transformers.LlamaModel(transformers.LlamaConfig(**SHAPE))
    assert len(read_blocks(model).layers) == 3
    change(model)
    with pytest.raises(StructureError, match=words):
        read_blocks(model)


def test_layers_in_another_order_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = _strong(lambda: transformers.LlamaModel(transformers.LlamaConfig(**SHAPE)))
    read = read_blocks(model)
    model.layers[0], model.layers[1] = model.layers[1], model.layers[0]
    assert equals_stock(read_blocks(model), 64, 1e-3)
    model.config.num_hidden_layers = 2  # the model itself then stops after two of its three layers
    assert not equals_stock(read, 64, 1e-3)


def test_the_proof_leaves_the_weights_as_they_were() -> None:
    model = _strong(lambda: transformers.Qwen3Model(transformers.Qwen3Config(**SHAPE))).bfloat16()
    before = {name: (p.dtype, p.data_ptr(), p.clone()) for name, p in model.named_parameters()}
    assert equals_stock(read_blocks(model), 64, 1e-3)
    assert not read_blocks(model).hooked
    for name, parameter in model.named_parameters():
        dtype, address, values = before[name]
        assert (parameter.dtype, parameter.data_ptr()) == (dtype, address)
        torch.testing.assert_close(parameter, values, rtol=0, atol=0)
