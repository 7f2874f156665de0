"""Adapters beside the weights, or in a folder of their own that is given as the model: merged, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, MixtralConfig

from lastword.embedding import Embedder
from lastword.embedding.adapters import merge_adapter
from lastword.errors import ModelError
from lastword.training import train

Load = Callable[..., Embedder]
Refused = Callable[..., str]
IDS = torch.tensor([[5, 17, 99, 3, 250]])
pytestmark = [  # peft's own business
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated"),
    pytest.mark.filterwarnings("ignore:aLoRA is currently only supported"),
]


def _adapted(base: Path, folder: Path, kind: Any = AutoModelForCausalLM, **settings: Any) -> np.ndarray:
    """Write an adapter that peft trained over a model; gives the state of the last token with it."""
    model = kind.from_pretrained(base)
    lora = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj", "down_proj"], **settings}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**lora)).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
        states = adapted(input_ids=IDS, output_hidden_states=True).hidden_states[-1]
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return np.asarray(states[0, -1])


def _last_state(embedder: Embedder) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(embedder.backbone.model(input_ids=IDS).last_hidden_state[0, -1])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (AutoModelForCausalLM, {}),
        (AutoModel, {}),
        (AutoModelForCausalLM, {"use_rslora": True, "rank_pattern": {"q_proj": 3}}),
        (AutoModelForCausalLM, {"target_modules": ["q_proj", "lm_head"], "r": 3}),
        (AutoModelForCausalLM, {"trainable_token_indices": [5, 17]}),
        (AutoModelForCausalLM, {"modules_to_save": ["norm"]}),
    ],
    ids=["causal", "without head", "rslora", "head too", "tokens too", "norm too"],
)
def test_a_folder_of_peft_is_merged_into_its_base_model(
    kind: Any,
    settings: dict[str, Any],
    load: Load,
    llama_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "lastword")
    expected = _adapted(llama_folder, tmp_path / "adapter", kind, **settings)
    embedder = load(tmp_path / "adapter")
    np.testing.assert_allclose(_last_state(embedder), expected, atol=1e-4 * np.abs(expected).max())
    assert np.abs(_last_state(load()) - expected).max() > 0.01
    assert embedder.backbone.path == "fused"
    assert not [name for name, _ in embedder.backbone.model.named_parameters() if "lora" in name]
    assert f"merged the adapter of {tmp_path / 'adapter'} into {llama_folder}" in caplog.messages


def test_an_adapter_of_another_kind_is_merged(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    kind = peft.IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(llama_folder), kind).eval()
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "ia3_" in name:
                parameter.copy_(torch.linspace(0.2, 2, parameter.numel()).view_as(parameter))
        expected = np.asarray(adapted(input_ids=IDS, output_hidden_states=True).hidden_states[-1][0, -1])
    adapted.save_pretrained(tmp_path / "adapter")
    np.testing.assert_allclose(
        _last_state(load(tmp_path / "adapter")), expected, atol=1e-4 * np.abs(expected).max()
    )
    assert np.abs(_last_state(load()) - expected).max() > 0.01


def test_an_adapter_of_experts_is_merged(tmp_path: Path) -> None:
    """Of an expert's two matrices, peft wraps one layer in another."""
    config = MixtralConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=3, num_experts_per_tok=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    experts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    expected = _adapted(tmp_path / "base", tmp_path / "adapter", target_parameters=experts)
    model = AutoModel.from_pretrained(tmp_path / "base").eval()
    merge_adapter(model, str(tmp_path / "adapter"))
    with torch.no_grad():
        state = model(input_ids=IDS).last_hidden_state[0, -1].numpy()
    np.testing.assert_allclose(state, expected, atol=1e-4 * np.abs(expected).max())
    model.save_pretrained(tmp_path / "merged")
    assert model.state_dict().keys() == AutoModel.from_pretrained(tmp_path / "merged").state_dict().keys()


def test_an_adapter_is_read_at_the_given_revision(
    llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _adapted(llama_folder, tmp_path / "adapter")
    model = AutoModel.from_pretrained(llama_folder)
    load_adapter, revisions = model.load_adapter, []

    def spy(name: str, adapter_kwargs: dict[str, Any]) -> Any:
        revisions.append(adapter_kwargs["revision"])
        return load_adapter(name)

    monkeypatch.setattr(model, "load_adapter", spy)
    merge_adapter(model, str(tmp_path / "adapter"), "v1")
    assert revisions == ["v1"]


def test_an_adapter_beside_the_weights_is_merged(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(llama_folder, tmp_path / "both"))
    expected = _adapted(llama_folder, tmp_path / "adapter")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / file, folder)
    np.testing.assert_allclose(_last_state(load(folder)), expected, atol=1e-4 * np.abs(expected).max())


def test_weights_that_are_missing_beside_an_adapter_are_noticed(
    load: Load, llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = Path(shutil.copytree(llama_folder, tmp_path / "both"))
    _adapted(llama_folder, tmp_path / "adapter")
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / file, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert refused(ModelError, load, folder) == (
        f"{folder} lacks 1 of its weights, norm.weight first: download it again"
    )


def test_training_goes_on_from_the_merged_model(llama_folder: Path, tmp_path: Path) -> None:
    _adapted(llama_folder, tmp_path / "adapter")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anchor,positive\n" + "".join(f"text {i},a text {i}\n" for i in range(12)))
    settings: dict[str, Any] = {
        "pairs": [str(pairs)],
        "steps": 1,
        "batch_pairs": 4,
        "rank": 1,
        "learning_rate": 1e-9,
    }
    train(tmp_path / "out", model=str(tmp_path / "adapter"), device="cpu", dtype="float32", **settings)
    merged = Embedder.from_pretrained(tmp_path / "adapter", device="cpu", dtype="float32")
    trained = Embedder.from_pretrained(tmp_path / "out", device="cpu", dtype="float32")
    np.testing.assert_allclose(_last_state(trained), _last_state(merged), atol=1e-4)


def test_a_checkpoint_of_a_training_run_is_a_model(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anchor,positive\n" + "".join(f"text {i},a text {i}\n" for i in range(12)))
    train(tmp_path / "out", pairs=[str(pairs)], steps=1, batch_pairs=4, rank=1, device="cpu", dtype="float32")
    checkpoint = tmp_path / "out" / "training" / "step-000001"
    embedder = Embedder.from_pretrained(
        checkpoint, template="ccw", pooling="lasttoken", device="cpu", dtype="float32"
    )
    trained = Embedder.from_pretrained(tmp_path / "out", device="cpu", dtype="float32")
    np.testing.assert_allclose(embedder.encode("a text"), trained.encode("a text"), atol=1e-5)


def _change(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_adapters_that_cannot_be_merged_are_refused(
    load: Load, llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    folder = tmp_path / "adapter"
    _adapted(llama_folder, folder)
    begin = f"the adapter in {folder} cannot be merged into its base model: "
    weights = load_file(folder / "adapter_model.safetensors")
    first = min(weights)
    save_file({name: w for name, w in weights.items() if name != first}, folder / "adapter_model.safetensors")
    assert refused(ModelError, load, folder).startswith(begin + "it lacks 1 of its weights, ")
    stray = first.replace("layers.0", "layers.9")
    save_file({**weights, stray: weights[first].clone()}, folder / "adapter_model.safetensors")
    assert refused(ModelError, load, folder).startswith(
        begin + "it does not fit because of 1 of its weights, "
    )
    save_file(weights, folder / "adapter_model.safetensors")
    _adapted(llama_folder, tmp_path / "dora", use_dora=True)  # transformers does not find its magnitudes
    assert "lora_magnitude_vector" in refused(ModelError, load, tmp_path / "dora")
    _change(folder, alora_invocation_tokens=[1, 2])
    assert refused(ModelError, load, folder) == begin + "it acts on some tokens only"
    _change(folder, alora_invocation_tokens=None, r=3)
    assert refused(ModelError, load, folder).startswith(begin)
    _change(folder, r=2, base_model_name_or_path=None)
    assert refused(ModelError, load, folder) == (
        f"{folder} is an adapter that does not name its base model: merge it with peft first"
    )


@pytest.mark.parametrize(
    ("settings", "damaged"),
    [({}, "q_proj"), ({"target_modules": ["k_proj"], "trainable_token_indices": [5]}, "trainable_tokens")],
)
def test_damaged_adapters_are_refused(
    settings: dict[str, Any], damaged: str, load: Load, llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    _adapted(llama_folder, tmp_path, **settings)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    name = next(name for name in weights if damaged in name)
    weights[name].fill_(float("nan"))
    save_file(weights, tmp_path / "adapter_model.safetensors")
    assert refused(ModelError, load, tmp_path).startswith(
        f"the adapter in {tmp_path} cannot be merged into its base model: NaNs detected in the merged weights."
    )


def test_a_base_model_that_is_gone(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    _adapted(llama_folder, tmp_path / "adapter")
    _change(tmp_path / "adapter", base_model_name_or_path="gone/far/away")
    with pytest.raises(FileNotFoundError, match="no model 'gone/far/away'"):
        load(tmp_path / "adapter")


def test_quantised_weights_take_no_adapter(
    load: Load, llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    _adapted(llama_folder, tmp_path / "adapter")
    assert refused(ModelError, load, tmp_path / "adapter", quantize="int8") == (
        f"{tmp_path / 'adapter'} has an adapter, which cannot be merged into weights in 8 or 4 bits: load it without "
        "quantize, save it, and use that folder"
    )
