"""The projections of a model by its own names: fused, transposed, of experts; and what is recorded of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers

from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.embedding.adapters import load_adapter
from lastword.embedding.weights import merged_weights
from lastword.errors import ModelError
from lastword.training import train
from lastword.training.adapter import add_adapter, describe, save_adapter
from lastword.training.run import load_base
from lastword.training.targets import adapted, find_targets, linear_names

SHAPE: dict[str, Any] = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
MOE = {**SHAPE, "num_key_value_heads": 2, "num_experts_per_tok": 1}
SIX = ("q", "v", "o", "gate", "up", "down")
CONFIGS: dict[str, Callable[[], Any]] = {
    "phi3": lambda: transformers.Phi3Config(**SHAPE, num_key_value_heads=2),
    "mixtral": lambda: transformers.MixtralConfig(**MOE, num_local_experts=2),
    "qwen3_moe": lambda: transformers.Qwen3MoeConfig(**MOE, num_experts=2, moe_intermediate_size=16),
    "deepseek_v3": lambda: transformers.DeepseekV3Config(
        **SHAPE, n_routed_experts=2, num_experts_per_tok=1, n_group=1, topk_group=1, first_k_dense_replace=1,
        q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8, moe_intermediate_size=16,
    ),
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=300, bos_token_id=0, eos_token_id=1
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SHAPE),
    "falcon": lambda: transformers.FalconConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, bos_token_id=0, eos_token_id=1
    ),
}  # fmt: skip
FOUND: dict[str, dict[str, list[str]]] = {
    "phi3": {
        "down_proj": ["down"], "gate_up_proj": ["gate", "up"], "o_proj": ["o"], "qkv_proj": ["q", "k", "v"],
    },
    "mixtral": {"o_proj": ["o"], "q_proj": ["q"], "v_proj": ["v"]},
    "qwen3_moe": {"o_proj": ["o"], "q_proj": ["q"], "v_proj": ["v"]},
    "deepseek_v3": {
        "kv_a_proj_with_mqa": ["k", "v"], "kv_b_proj": ["k", "v"], "o_proj": ["o"], "q_a_proj": ["q"],
        "q_b_proj": ["q"],
    },
    "gpt2": {"c_attn": ["q", "k", "v"], "c_fc": ["up"], "c_proj": ["o", "down"]},
    "gpt_neox": {
        "dense": ["o"], "dense_4h_to_h": ["down"], "dense_h_to_4h": ["up"], "query_key_value": ["q", "k", "v"],
    },
    "falcon": {
        "dense": ["o"], "dense_4h_to_h": ["down"], "dense_h_to_4h": ["up"], "query_key_value": ["q", "k", "v"],
    },
}  # fmt: skip
SAID = {
    "phi3": ["phi3: qkv_proj computes q, k, v together, so k is adapted too"],
    "mixtral": [
        "mixtral: no adapter for the experts, which are stacked in experts.down_proj, experts.gate_up_proj"
    ],
    "deepseek_v3": [
        "deepseek_v3: no adapter for the experts, which are stacked in experts.down_proj, experts.gate_up_proj",
        "deepseek_v3: down_proj, gate_proj, up_proj get no adapter; peft takes these names for those of experts",
        "deepseek_v3: kv_a_proj_with_mqa computes k, v together, so k is adapted too",
        "deepseek_v3: kv_b_proj computes k, v together, so k is adapted too",
    ],
    "gpt2": [
        "gpt2 has no gate: c_attn, c_fc, c_proj get an adapter",
        "gpt2: c_attn computes q, k, v together, so k is adapted too",
    ],
}


def _model(name: str) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(CONFIGS[name]()).eval().requires_grad_(False)


def _config(name: str, projections: tuple[str, ...] = SIX, **settings: Any) -> TrainConfig:
    return TrainConfig(model=name, rank=2, alpha=4.0, projections=projections, **settings)


def _draw(parameters: list[torch.nn.Parameter]) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(torch.randn_like(parameter) * 0.3)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_adapted_is_what_is_recorded(name: str, said: list[str]) -> None:
    model = _model(name)
    add_adapter(model, _config(name))
    facts = describe(_config(name), model)
    modules = FOUND[name]
    assert facts["modules"] == adapted(model) == modules
    assert set(facts["projections"]) == {part for parts in modules.values() for part in parts}
    adapters = {path.partition(".lora_A")[0] for path, _ in model.named_parameters() if ".lora_A" in path}
    assert all(any(path.endswith(end) for end in modules) for path in adapters)
    if name in SAID:
        assert said == SAID[name]


def test_projections_that_are_adapted_unasked_are_named(said: list[str]) -> None:
    add_adapter(_model("gpt2"), _config("gpt2", ("q",)))
    assert said == ["gpt2: c_attn computes q, k, v together, so k and v are adapted too"]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # peft's own business
@pytest.mark.parametrize("name", CONFIGS)
def test_peft_loads_what_was_saved_and_merging_gives_the_same_states(name: str, tmp_path: Path) -> None:
    model, ids = _model(name), torch.tensor([[5, 17, 99, 3, 250, 4]])
    _draw(add_adapter(model, _config(name, dropout=0.0)))
    save_adapter(model, tmp_path, _config(name, dropout=0.0))
    assert json.loads((tmp_path / "adapter_config.json").read_text())["task_type"] == "FEATURE_EXTRACTION"
    with torch.no_grad():
        states = model(input_ids=ids).last_hidden_state
        theirs: Any = peft.PeftModel.from_pretrained(_model(name), tmp_path).eval()
        torch.testing.assert_close(theirs(input_ids=ids).last_hidden_state, states, rtol=1e-5, atol=1e-5)
        merged = _model(name)
        assert float((merged(input_ids=ids).last_hidden_state - states).abs().max()) > 0.01
        merged.load_state_dict(merged_weights(model))
        torch.testing.assert_close(merged(input_ids=ids).last_hidden_state, states, rtol=1e-4, atol=1e-4)


def test_a_gate_of_the_attention_is_no_gate_of_the_feed_forward() -> None:
    model = transformers.AfmoeModel(
        transformers.AfmoeConfig(**MOE, num_dense_layers=2, moe_intermediate_size=16)
    )
    assert find_targets(model, ["gate"]).modules == ("gate_proj",) or find_targets(
        model, ["gate"]
    ).modules == ("mlp.gate_proj",)


@pytest.mark.parametrize("projection", ["gate", "up", "down"])
def test_experts_are_named_if_a_projection_of_theirs_was_asked_for(projection: str) -> None:
    model = _model("mixtral")
    assert find_targets(model, ["q", projection]).experts == ("experts.down_proj", "experts.gate_up_proj")
    assert find_targets(model, ["q"]).experts == ()


def test_layers_inside_a_projection_are_none() -> None:
    model = _model("phi3")
    before = find_targets(model, ["o", "up"])
    model.layers[0].self_attn.o_proj.fc1 = torch.nn.Linear(2, 2)
    assert find_targets(model, ["o", "up"]) == before


def test_names_are_short_though_lower_layers_have_no_adapter() -> None:
    model = _model("phi3")
    names = linear_names(model)
    add_adapter(model, _config("phi3", adapt_layers=1))
    assert adapted(model) == FOUND["phi3"]
    assert linear_names(model) == names == sorted(FOUND["phi3"])


def test_a_model_without_any_of_the_projections_is_refused(refused: Callable[..., str]) -> None:
    assert refused(ModelError, add_adapter, _model("mixtral"), _config("mixtral", ("gate", "up"))) == (
        "mixtral has none of the projections gate, up; its linear layers are: k_proj, o_proj, q_proj, v_proj"
    )
    mamba = transformers.MambaModel(
        transformers.MambaConfig(
            vocab_size=300, hidden_size=32, num_hidden_layers=1, state_size=4, pad_token_id=0
        )
    )
    assert refused(ModelError, add_adapter, mamba, _config("mamba")) == (
        "mamba has none of the projections q, v, o, gate, up, down; its linear layers are: dt_proj, in_proj, "
        "out_proj, x_proj"
    )


def test_what_peft_refuses_is_said_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("lora.ParamWrapper does not work with lora_dropout != 0.\nmore")

    monkeypatch.setattr(peft, "inject_adapter_in_model", refuse)
    assert refused(ModelError, add_adapter, _model("phi3"), _config("phi3")) == (
        "peft cannot adapt phi3: lora.ParamWrapper does not work with lora_dropout != 0."
    )


def test_the_folder_of_a_trained_gpt2_says_what_was_adapted(gpt2_folder: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anchor,positive\n" + "".join(f"text {i},a text {i}\n" for i in range(12)))
    train(
        tmp_path / "out", model=str(gpt2_folder), pairs=[str(pairs)], steps=1, batch_pairs=4, rank=2, device="cpu",
        dtype="float32", learning_rate=0.1, warmup_steps=0, schedule="constant", max_tokens=40,
    )  # fmt: skip
    facts = json.loads((tmp_path / "out" / "lastword.json").read_text())["adapter"]
    assert facts["projections"] == ["q", "k", "v", "o", "up", "down"]
    assert facts["modules"] == FOUND["gpt2"]
    before, after = (
        Embedder.from_pretrained(f, template="none", pooling="mean", dtype="float32", device="cpu").encode(
            "a car"
        )
        for f in (gpt2_folder, tmp_path / "out")
    )
    assert np.abs(before - after).max() > 1e-3


def test_a_pooling_with_weights_is_trained_saved_and_described(llama_folder: Path, tmp_path: Path) -> None:
    config = TrainConfig(model=str(llama_folder), pooling="latent", dtype="float32", rank=2)
    model = load_base(config, "cpu").backbone.model
    assert any(parameter is model.latent_pooling.queries for parameter in add_adapter(model, config))
    before = describe(config, model)
    save_adapter(model, tmp_path, config)
    with torch.no_grad():
        model.latent_pooling.queries.add_(1)
    assert describe(config, model) == before | {"pooling_sha256": describe(config, model)["pooling_sha256"]}
    assert describe(config, model) != before
    load_adapter(model, tmp_path)
    assert describe(config, model) == before
