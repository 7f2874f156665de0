"""Loading a decoder: which files, at which revision, and which part of the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from lastword import bundled
from lastword.bundled import SMOLLM2_ON_HUB
from lastword.embedding import loading
from lastword.embedding.loading import (
    _has_remote_code,
    file_states,
    load_decoder,
    read_configuration,
    split_adapter,
    tokenizer_source,
)
from lastword.errors import ModelError
from tests.gguf_files import write_gguf

Refused = Callable[..., str]
CPU = torch.device("cpu")


def _adapter(folder: Path, content: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(content)
    return str(folder)


def test_an_adapter_and_the_weights_that_it_is_for(tmp_path: Path, llama_folder: Path) -> None:
    assert split_adapter(str(llama_folder), None) == (str(llama_folder), None)
    name = _adapter(tmp_path / "alone", '{"base_model_name_or_path": "someone/größer"}')
    assert split_adapter(name, None) == ("someone/größer", name)
    (tmp_path / "alone" / "config.json").write_text("{}")
    assert split_adapter(name, None) == (name, name), "beside the weights"


@pytest.mark.parametrize(
    ("facts", "base"),
    [
        ({"base": "smollm2"}, "installed.gguf"),
        ({"base": SMOLLM2_ON_HUB}, SMOLLM2_ON_HUB),
        ({}, SMOLLM2_ON_HUB),
        (None, SMOLLM2_ON_HUB),
    ],
)
def test_an_adapter_over_the_installed_smollm2_is_loaded_over_it(
    facts: dict[str, str] | None, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_installed_smollm2", lambda: Path("installed.gguf"))
    name = _adapter(tmp_path / "alone", json.dumps({"base_model_name_or_path": SMOLLM2_ON_HUB}))
    if facts is not None:
        (tmp_path / "alone" / "lastword.json").write_text(json.dumps(facts))
    assert split_adapter(name, None) == (base, name)


def test_adapters_without_weights_to_be_for(tmp_path: Path, refused: Refused) -> None:
    name = _adapter(tmp_path / "damaged", "{")
    assert refused(ModelError, split_adapter, name, None).startswith(
        f"{name}: adapter_config.json is damaged: "
    )
    for base in (None, "", str(tmp_path / "alone")):
        name = _adapter(tmp_path / "alone", json.dumps({"base_model_name_or_path": base}))
        assert refused(ModelError, split_adapter, name, None) == (
            f"{name} is an adapter that does not name its base model: merge it with peft first"
        )


@pytest.mark.parametrize(("has_tokenizer", "source"), [(True, ("adapter", "v1")), (False, ("base", None))])
def test_the_tokenizer_of_an_adapter_is_its_own_or_that_of_the_base_model(
    has_tokenizer: bool, source: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(name: str, revision: str | None) -> tuple[str, str | None]:
        return ("base", name) if (name, revision) == ("adapter", "v1") else (name, None)

    def cached(name: str, file: str, revision: str | None, **quiet: bool) -> str | None:
        assert (name, file, revision) == ("adapter", "tokenizer_config.json", "v1")
        assert quiet == {
            "_raise_exceptions_for_missing_entries": False,
            "_raise_exceptions_for_connection_errors": False,
        }
        return "path" if has_tokenizer else None

    monkeypatch.setattr(loading, "split_adapter", split)
    monkeypatch.setattr(loading, "cached_file", cached)
    assert tokenizer_source("adapter", "v1") == source
    assert tokenizer_source("model", "v1") == ("model", "v1")


class LoadedError(Exception):
    """Raised in place of loading."""


def _arguments(monkeypatch: pytest.MonkeyPatch, *call: Any) -> dict[str, Any]:
    """What the weights and the configuration are loaded with."""
    read = transformers.AutoConfig.from_pretrained
    seen: dict[str, Any] = {}

    def configuration(source: str, **arguments: Any) -> Any:
        seen["config_revision"] = arguments["revision"]
        return read(source, **arguments)

    def weights(source: str, **arguments: Any) -> None:
        seen.update(arguments, source=source)
        raise LoadedError

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", configuration)
    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", weights)
    with pytest.raises(LoadedError):
        load_decoder(*call)
    return seen


def test_weights_and_configuration_are_of_the_revision(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _arguments(monkeypatch, str(llama_folder), CPU, torch.bfloat16, "v1", None)
    assert (seen["revision"], seen["config_revision"]) == ("v1", "v1")
    assert (seen["source"], seen["dtype"]) == (str(llama_folder), torch.bfloat16)
    assert seen["use_safetensors"] is True
    assert "quantization_config" not in seen


def test_quantised_weights_are_read_onto_the_device(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "quantization_config", lambda *arguments: arguments)
    seen = _arguments(monkeypatch, str(llama_folder), CPU, torch.bfloat16, None, "nf4")
    assert seen["quantization_config"] == ("nf4", torch.bfloat16)
    assert seen["device_map"] == {"": CPU}


def test_gguf_files_are_not_quantised_while_they_are_read(
    llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    file = str(write_gguf(llama_folder, tmp_path / "model.gguf"))
    message = refused(ModelError, load_decoder, file, CPU, torch.float32, None, "int8")
    assert message.startswith(f"{file} is a GGUF file, which loads as dense weights")


def test_a_model_for_texts_is_taken_whole(tmp_path: Path) -> None:
    config = transformers.OPTConfig(
        hidden_size=32, word_embed_proj_dim=32, num_hidden_layers=1, num_attention_heads=4, ffn_dim=48, vocab_size=60
    )  # fmt: skip
    transformers.OPTModel(config).save_pretrained(tmp_path)
    assert type(load_decoder(str(tmp_path), CPU, torch.float32, None, None)) is transformers.OPTModel


def test_code_of_its_own_is_that_of_an_unknown_model() -> None:
    own = {"AutoModel": "own.Model"}
    assert _has_remote_code(SimpleNamespace(auto_map=own))
    assert not _has_remote_code(SimpleNamespace(auto_map={"AutoConfig": "own.Config"}))
    assert not _has_remote_code(SimpleNamespace(auto_map=None))
    assert not _has_remote_code(SimpleNamespace())
    config = transformers.LlamaConfig()
    config.auto_map = own
    assert not _has_remote_code(config)


def test_the_choice_of_an_attention_is_dropped(llama_folder: Path, tmp_path: Path) -> None:
    config = json.loads((llama_folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"_attn_implementation": "flash_attention_2"}))
    assert read_configuration(str(tmp_path), None)._attn_implementation is None


def test_states_of_files_follow_every_change_and_stand_an_unfinished_one(
    tmp_path: Path, llama_folder: Path
) -> None:
    folder = tmp_path / "model"
    name = _adapter(folder, json.dumps({"base_model_name_or_path": str(llama_folder)}))
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text("{}")
    first = file_states(name)
    assert str(llama_folder / "model.safetensors") in [file for file, _, _ in first]  # of the base model
    pooling.write_text('{"pooling_mode": "cls"}')
    second = file_states(name)
    assert second != first
    _adapter(folder, '{"base_model')  # half written
    third = file_states(name)
    assert [file for file, _, _ in third] == [str(pooling), str(folder / "adapter_config.json")]
    (folder / "gone").symlink_to(folder / "nothing")  # listed, but not there
    assert file_states(name) == third
    assert file_states("owner/name") == []
    assert file_states(str(pooling))[0][1] == len('{"pooling_mode": "cls"}')
