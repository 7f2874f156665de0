"""An export gives the vectors of the model in the library that it is for, or is not written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

import lastword
from lastword import Embedder
from lastword.embedding.gguf import model_arguments, parsed_once
from lastword.errors import ExistingOutputError, ModelError, ParityError, RequestError
from lastword.exporting import onnx
from lastword.files.gguf import gguf_fields
from lastword.parity import check as checking
from lastword.parity.requests import PARITY
from tests.training.conftest import pair_columns

Refused = Callable[..., str]
TEXTS = ["a man is driving a car", "  the river was low ", "Prices: $1,299.00"]


@pytest.fixture(scope="module")
def adapted(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    pq.write_table(pa.table(pair_columns()), folder / "pairs.parquet")
    lastword.train(
        folder / "model", model=str(llama_folder), pairs=[str(folder / "pairs.parquet")], max_tokens=64, steps=12,
        template="eol", pooling="lasttoken", batch_pairs=8, learning_rate=1e-2, warmup_steps=2, rank=4, alpha=8.0,
        dtype="float32", device="cpu", trackers="none",
    )  # fmt: skip
    return folder / "model"


def vectors_of(model: Path) -> np.ndarray:
    return Embedder.from_pretrained(model, dtype="float32", device="cpu").encode(TEXTS)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.99999), ("float16", 0.999), ("bfloat16", 0.99)])
def test_a_folder_for_sentence_transformers(adapted: Path, tmp_path: Path, dtype: str, least: float) -> None:
    result = lastword.export(adapted, tmp_path / "out", dtype=dtype)
    assert result.card.passed
    assert result.card.dtype == dtype
    assert [row.name for row in result.card.rows][:2] == ["token ids", "texts alone, least cosine"]
    assert result.bytes == sum(f.stat().st_size for f in (tmp_path / "out").rglob("*") if f.is_file())
    assert json.loads((tmp_path / "out" / PARITY).read_text())["passed"]
    vectors = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS).astype(np.float32)
    assert (vectors * vectors_of(adapted)).sum(1).min() > least
    assert lastword.check(tmp_path / "out").passed


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_for_peft(adapted: Path, llama_folder: Path, tmp_path: Path) -> None:
    result = lastword.export(adapted, tmp_path / "out", to="adapter")
    assert result.card.passed
    assert result.card.kind == "adapter, loaded by peft"
    assert not (tmp_path / "out" / "model.safetensors").exists()
    model = peft.PeftModel.from_pretrained(
        AutoModel.from_pretrained(llama_folder), str(tmp_path / "out")
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    expected = vectors_of(adapted)
    for text, vector in zip(TEXTS, expected, strict=True):
        with torch.inference_mode():
            state = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0, -1].numpy()
        assert state @ vector / np.linalg.norm(state) > 0.99999
    np.testing.assert_allclose(vectors_of(tmp_path / "out"), expected, atol=1e-5)
    assert lastword.check(tmp_path / "out").passed
    card = (tmp_path / "out" / "README.md").read_text()
    assert "PeftModel.from_pretrained" in card
    assert "merged into" not in card
    code = card.split("```")[1].removeprefix("python\n").replace("path/to/this/folder", str(tmp_path / "out"))
    names: dict[str, Any] = {}
    exec(code.replace('["first text", "second text"]', repr(TEXTS)), names)
    np.testing.assert_allclose(names["vectors"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("to", "quantize"), [("onnx", None), ("onnx", "int8"), ("openvino", None), ("openvino", "int8")]
)
def test_a_graph_runs_with_the_tokenizer_alone(
    adapted: Path, tmp_path: Path, to: str, quantize: str | None
) -> None:
    """The Python on the card, in a process without torch and transformers; texts of any number and length."""
    for library in (
        "onnxscript",
        {"onnx": "onnxruntime"}.get(to, to),
        *(("nncf",) if to == "openvino" else ()),
    ):
        pytest.importorskip(library)
    result = lastword.export(adapted, tmp_path / "out", to=to, quantize=quantize)
    assert result.card.dtype == (quantize or "float32")
    assert lastword.check(tmp_path / "out").passed
    code = (tmp_path / "out" / "README.md").read_text().split("```")[1].removeprefix("python\n")
    code = code.replace('["first text", "second text"]', repr(TEXTS)) + (
        "\nimport sys; assert not {'torch', 'transformers'} & {*sys.modules}; print(vectors.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    vectors = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert (vectors * vectors_of(adapted)).sum(1).min() > (0.97 if quantize else 0.9999)


def test_large_weights_in_8_bits_leave_none_in_32_bits(
    adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ("onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    monkeypatch.setattr(onnx, "_SINGLE_FILE", 0)
    large = lastword.export(adapted, tmp_path / "large", to="onnx").output
    smaller = lastword.export(adapted, tmp_path / "smaller", to="onnx", quantize="int8").output
    files = ["model.onnx", "model.onnx.data"]
    assert [sorted(path.name for path in folder.glob("model*")) for folder in (large, smaller)] == [files] * 2
    sizes = [(folder / "model.onnx.data").stat().st_size for folder in (large, smaller)]
    assert sizes[1] < sizes[0]
    assert lastword.check(smaller).passed


@pytest.mark.slow
@pytest.mark.parametrize("to", ["onnx", "openvino"])
@pytest.mark.parametrize(
    "settings",
    [
        {"template": "echo", "pooling": "lasttoken"}, {"pooling": "mean+lasttoken"}, {"pooling": "eos"},
        {"attention": "bidirectional"}, {"pooling": "weightedmean"},
    ],
    ids=str,
)  # fmt: skip
def test_every_way_of_embedding_that_a_folder_holds_becomes_a_graph(
    load: Callable[..., Embedder], tmp_path: Path, to: str, settings: dict[str, str]
) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip({"onnx": "onnxruntime"}.get(to, to))
    saved = load(**settings).save(tmp_path / "saved")
    assert lastword.export(saved, tmp_path / "out", to=to).card.passed


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_gguf_file_is_read_back_to_the_last_bit(adapted: Path, tmp_path: Path, dtype: str) -> None:
    pytest.importorskip("gguf")
    result = lastword.export(adapted, tmp_path / "out", to="gguf", dtype=dtype)
    assert result.card.kind == "GGUF, read by transformers"
    assert lastword.check(tmp_path / "out").passed
    fields = gguf_fields(tmp_path / "out" / "model.gguf")
    assert (fields["llama.pooling_type"], fields["tokenizer.ggml.pre"]) == (3, "gpt-2")
    assert fields["lastword.template"] == 'This sentence: "{text}" means in one word:'
    lastword.export(adapted, tmp_path / "standard", dtype=dtype)
    with parsed_once(tmp_path / "out"):
        name, arguments = model_arguments(tmp_path / "out")
        read = AutoModel.from_pretrained(name, dtype=torch.float32, **arguments).state_dict()
    written = load_file(tmp_path / "standard" / "model.safetensors")
    assert read.keys() == written.keys()
    assert all(torch.equal(read[name], weight.float()) for name, weight in written.items())


def test_what_gguf_cannot_express(
    llama_folder: Path, gpt2_folder: Path, tmp_path: Path, refused: Refused
) -> None:
    def message(model: Path, **settings: Any) -> str:
        return refused(ModelError, lastword.export, model, tmp_path / "out", to="gguf", **settings)

    instead = ": use to='folder' or to='onnx'"
    assert message(gpt2_folder) == (
        f"GGUF cannot express a gpt2 model (it can: llama, mistral, qwen2, qwen3){instead}"
    )
    assert message(llama_folder, pooling="max") == (
        f"GGUF cannot express pooling 'max' (it can: mean, cls, lasttoken, eos){instead}"
    )
    assert message(llama_folder, template="echo", pooling="lasttoken") == (
        f"GGUF cannot express a template that has the text twice{instead}"
    )
    embedder = Embedder.from_pretrained(
        llama_folder, attention="bidirectional", dtype="float32", device="cpu"
    )
    switched = embedder.save(tmp_path / "switched")
    assert message(switched) == f"GGUF cannot express bidirectional attention{instead}"
    scaled = shutil.copytree(llama_folder, tmp_path / "scaled")
    config = json.loads((scaled / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
    (scaled / "config.json").write_text(json.dumps(config))
    assert message(scaled) == (
        f"GGUF cannot express a rotary embedding of type 'linear' that transformers reads back{instead}"
    )


def test_what_has_no_adapter(llama_folder: Path, adapted: Path, tmp_path: Path, refused: Refused) -> None:
    message = refused(ModelError, lastword.export, llama_folder, tmp_path / "out", to="adapter")
    assert message == (
        f"{llama_folder} has no adapter of its own (no training/choice.json): give a folder that lastword train "
        "wrote, or use to='folder'"
    )
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", to="adapter", dtype="float16")
    assert message == "dtype='float16': adapter is written in float32; leave dtype out"
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", to="foldr")
    assert message.startswith("unknown format 'foldr': did you mean 'folder'? Known: folder, adapter, ")
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", quantize="int8")
    assert message == "quantize='int8' is for onnx and openvino, not for folder: leave quantize out"
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", dtype="int8")
    assert message == "unknown dtype 'int8': Known: float32, bfloat16, float16"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("missing", "content", "problem"),
    [
        ("step", "", "has lost its adapter (no step-000012/adapter_config.json in training/)"),
        ("adapter_config.json", "", "has lost its adapter (no step-000012/adapter_config.json in training/)"),
        ("", "{", "/training/choice.json is damaged (Expecting property name enclosed in double quotes: "),
        ("", "[]", "/training/choice.json is damaged (list indices must be integers or slices, not str)"),
        ("", '{"step": null}', "/training/choice.json is damaged (int() argument must be"),
    ],
)
def test_an_adapter_that_was_lost(
    adapted: Path, tmp_path: Path, refused: Refused, missing: str, content: str, problem: str
) -> None:
    training = shutil.copytree(adapted, tmp_path / "model") / "training"
    step = f"step-{json.loads((training / 'choice.json').read_text())['step']:06d}"
    if content:
        (training / "choice.json").write_text(content)
    elif missing == "step":
        shutil.rmtree(training / step)
    else:
        (training / step / "adapter_config.json").unlink()
    message = refused(ModelError, lastword.export, tmp_path / "model", tmp_path / "out", to="adapter")
    assert problem.replace("step-000012", step) in message
    assert message.endswith("use to='folder'")


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        (
            "gone/base/",
            "the base model of {model} is needed to prove its adapter: no model 'gone/base/': give ",
        ),
        (
            "mini",
            "mini has 8 layers and the adapted model the first 2: an adapter cannot leave layers out; use to=",
        ),
    ],
)
def test_an_adapter_without_its_base(
    adapted: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, base: str, problem: str
) -> None:
    monkeypatch.setattr(Embedder, "from_pretrained", lambda *args, **settings: pytest.fail("it was loaded"))
    model = Path(shutil.copytree(adapted, tmp_path / "model"))
    stored = json.loads((model / "lastword.json").read_text())
    (model / "lastword.json").write_text(json.dumps(stored | {"base": base}))
    message = refused(ModelError, lastword.export, model, tmp_path / "out", to="adapter")
    assert message.startswith(problem.format(model=model))
    assert message.endswith("use to='folder'")


def test_existing_output_stays(llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    lastword.export(llama_folder, tmp_path / "out")
    (tmp_path / "out" / "old").write_text("")
    assert refused(ExistingOutputError, lastword.export, llama_folder, tmp_path / "out") == (
        f"{tmp_path / 'out'} exists: choose another path or pass overwrite=True"
    )
    lastword.export(llama_folder, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "old").exists()


def test_nothing_is_written_below_the_bar(
    llama_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that scales vectors: an export that is not read rightly is no export."""

    class Doubling(checking.Folder):
        def vectors(self, texts: Any) -> np.ndarray:
            return 2 * super().vectors(texts)

    monkeypatch.setattr(checking, "Folder", Doubling)
    message = refused(ParityError, lastword.export, llama_folder, tmp_path / "out")
    assert message == (
        f"{tmp_path / 'out'} was not written: normalisation (vectors have lengths of 2 to 2, not the right ones)"
    )
    assert list(tmp_path.iterdir()) == []
