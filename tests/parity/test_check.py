"""A right copy passes; each planted fault is caught and named. All faults on the bundled model are in the slow tier."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer

import lastword
from lastword.bundled import path_of
from lastword.cli import main
from lastword.console import silenced
from lastword.embedding.golden import GOLDEN_TEXTS
from lastword.errors import MissingFileError, ModelError, RequestError, WorkError
from lastword.exporting.onnx import write_openvino
from lastword.parity import check as checking
from lastword.parity.requests import BARS
from lastword.parity.runtimes import _openvino_reason
from lastword.serving.app import Service
from lastword.serving.models import load_models
from lastword.serving.settings import ServerSettings
from tests.serving.conftest import running

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "results"))

import check_faults
from check_faults import FOLDERS, SERVERS, OwnServer, served

Refused = Callable[..., str]
MINILM = "all_minilm_l6_v2"


@pytest.fixture(autouse=True)
def few_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "NEIGHBOUR_TEXTS", 30)


@pytest.fixture(scope="module")
def models(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return check_faults.make_models(tmp_path_factory.mktemp("right"), str(llama_folder))


@pytest.mark.parametrize(
    "fault",
    ["template not in the tokenizer", "suffix lost", "half of the merges lost", "mean pooling", "no normalisation",
     "another rotary base", "truncated on the left"],
)  # fmt: skip
def test_a_fault_of_a_folder_is_named(models: dict[str, Path], tmp_path: Path, fault: str) -> None:
    card = lastword.check(check_faults.plant(models, fault, tmp_path / "copy"))
    assert not card.passed
    assert card.causes[0].name == FOLDERS[fault][1], card.text


@pytest.mark.parametrize(
    "fault", ["prompt twice", "sees later tokens", "padding pooled", "sorted", "bfloat16"]
)
def test_a_fault_of_a_server_is_named(models: dict[str, Path], fault: str) -> None:
    with served(OwnServer(models["last"], fault).encode, tei=fault == "sorted") as url:
        card = lastword.check(url, reference=models["last"])
    assert not card.passed
    assert card.causes[0].name == SERVERS[fault], card.text


@pytest.mark.parametrize("tei", [False, True])
def test_a_right_server_passes(models: dict[str, Path], tei: bool) -> None:
    with served(OwnServer(models["last"]).encode, tei=tei) as url:
        for address in (url, f"{url}/embed" if tei else f"{url}/v1", url if tei else f"{url}/v1/embeddings"):
            card = lastword.check(address, reference=models["last"])
            assert card.passed, card.text
        alone = lastword.check(url)
    assert alone.passed
    assert alone.reference == "itself, one text at a time"
    assert "texts alone: no reference; name the folder of the model with reference=…" in alone.not_checked


def test_a_server_that_knows_only_its_own_models_is_asked_for_one_of_them(
    models: dict[str, Path], refused: Refused
) -> None:
    """Its answer to the name of another is 404, as that of a path that it does not have."""
    with running(
        Service(load_models({"last": str(models["last"])}, device="cpu"), ServerSettings())
    ) as server:
        url = server.url
        card = lastword.check(url, reference=models["last"])
        assert card.passed, card.text
        assert card.kind == "server, /v1/embeddings"
        message = refused(WorkError, lastword.check, url, api_model="lost")
    assert message.startswith(f"{url}/v1/embeddings answered 404: ")


@pytest.mark.parametrize("most", [2, 15, 16])
def test_another_order_has_every_text(models: dict[str, Path], most: int) -> None:
    batches: list[list[str]] = []

    class Recording(checking.Folder):
        def vectors(self, texts: Any) -> np.ndarray:
            batches.append(list(texts))
            return super().vectors(texts)

    target = Recording(str(models["last"]))
    target.most = most
    checking.compare("folder", target, None)
    *_, different, another = batches
    assert len(different) == min(most, len(GOLDEN_TEXTS))
    assert another != different
    assert sorted(another) == sorted(different)


def test_a_server_with_faults_only_in_batches_needs_no_reference(models: dict[str, Path]) -> None:
    with served(OwnServer(models["last"], "sees later tokens").encode) as url:
        card = lastword.check(url)
    assert [cause.name for cause in card.causes] == ["mask in batches of equal lengths"]


def test_precision_sets_the_bar(models: dict[str, Path]) -> None:
    with served(OwnServer(models["last"], "bfloat16").encode) as url:
        card = lastword.check(url, reference=models["last"], dtype="bfloat16")
    assert card.dtype == "bfloat16"
    assert {row.bar for row in card.rows} == {*BARS["bfloat16"]}


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder that is not ours, and no decoder."""
    package = pytest.importorskip(MINILM)
    folder = next(Path(package.__path__[0]).rglob("modules.json")).parent
    copy = tmp_path_factory.mktemp("encoder") / "model"
    shutil.copytree(folder, copy)
    return copy


def test_a_folder_of_others(encoder_folder: Path) -> None:
    card = lastword.check(encoder_folder)
    assert card.passed, card.text
    assert card.reference == f"{encoder_folder} alone in float32"


@pytest.mark.parametrize(
    ("edit", "cause"),
    [
        (check_faults._pooling("cls"), "wrong pooling: cls"),
        (check_faults._set("sentence_bert_config.json", max_seq_length=32), "another longest sequence"),
        (check_faults._without_normalize, "normalisation"),
    ],
)
def test_faults_of_a_folder_of_others(
    encoder_folder: Path, tmp_path: Path, edit: check_faults.Edit, cause: str
) -> None:
    shutil.copytree(encoder_folder, tmp_path / "copy")
    edit(tmp_path / "copy")
    card = lastword.check(tmp_path / "copy", reference=encoder_folder)
    assert [found.name for found in card.causes] == [cause], card.text


def test_old_golden_files_and_broken_ones(models: dict[str, Path], tmp_path: Path, refused: Refused) -> None:
    shutil.copytree(models["last"], tmp_path / "copy")
    path = tmp_path / "copy" / "golden.json"
    content = json.loads(path.read_text())
    del content["ids"]
    path.write_text(json.dumps(content))
    card = lastword.check(tmp_path / "copy")
    assert card.passed
    assert card.rows[0].name == "token ids"
    path.write_text(json.dumps(content | {"texts": ["one"]}))
    assert refused(ModelError, lastword.check, tmp_path / "copy") == (
        f"{path} is damaged: it has not one vector for each text"
    )


def test_servers_that_do_not_answer(models: dict[str, Path], refused: Refused) -> None:
    assert "no answer from http://127.0.0.1:9/v1/embeddings: " in refused(
        WorkError, lastword.check, "http://127.0.0.1:9", reference=models["last"]
    )
    with served(lambda texts: np.ones((1, 4))) as url:
        message = refused(WorkError, lastword.check, url, reference=models["last"])
    assert message.startswith(f"{url}/v1/embeddings did not answer with one vector for each of 3 texts: ")


def test_requests_that_cannot_work(models: dict[str, Path], tmp_path: Path, refused: Refused) -> None:
    assert refused(MissingFileError, lastword.check, "nowhere") == (
        "no target 'nowhere': give a folder or file that exists, a Hub name, or the address of a server"
    )
    assert refused(ModelError, lastword.check, tmp_path) == (
        f"{tmp_path} cannot be checked: it has no modules.json or model.onnx or model.xml or model.gguf "
        "(found: nothing); write a folder with lastword export first"
    )
    assert refused(RequestError, lastword.check, models["last"], api_model="m") == (
        f"api_model='m' is for a server, and {models['last']} is none: leave it out"
    )
    assert refused(RequestError, lastword.check, models["last"], dtype="fp16") == (
        "unknown dtype 'fp16': Known: float32, float16, bfloat16, int8"
    )
    assert refused(MissingFileError, lastword.check, models["last"], reference="minni") == (
        "no model 'minni': did you mean 'mini'? Give 'mini', 'smollm2', 'smollm2-adapted', a folder or GGUF file "
        "that exists, or a Hub name like Qwen/Qwen3-0.6B"
    )
    assert refused(ModelError, lastword.check, models["last"], reference=tmp_path) == (
        f"reference='{tmp_path}' is no model: it has no config.json or adapter_config.json or modules.json or "
        "model.onnx or model.xml or model.gguf"
    )


def test_a_reference_may_be_any_model(models: dict[str, Path], llama_folder: Path, tmp_path: Path) -> None:
    """Also one that is not a target: an ordinary folder, or a bundled name."""
    with silenced("sentence_transformers"):
        plain = lastword.Embedder.from_pretrained(llama_folder, dtype="float32", device="cpu")
        right = lastword.check(plain.save(tmp_path / "right"), reference=llama_folder)
        other = lastword.check(models["last"], reference="mini")
    assert right.passed, right.text
    assert right.reference == f"{llama_folder} alone in float32"
    assert (other.passed, other.reference) == (False, "mini alone in float32")


def test_the_command_says_it_by_its_exit_code(models: dict[str, Path], tmp_path: Path) -> None:
    right = CliRunner().invoke(main, ["check", str(models["last"]), "--json"])
    assert right.exit_code == 0
    assert json.loads(right.stdout)["passed"]
    copy = check_faults.plant(models, "mean pooling", tmp_path / "copy")
    wrong = CliRunner().invoke(main, ["check", str(copy)])
    assert wrong.exit_code == 1
    assert wrong.stdout.splitlines()[-1] == "does not pass"
    assert "likely cause: wrong pooling: mean (" in wrong.stdout


def test_a_copy_that_sentence_transformers_saved(models: dict[str, Path], tmp_path: Path) -> None:
    """It drops files of ours, and gives the same vectors, as the how-to says."""
    with silenced("sentence_transformers"):
        SentenceTransformer(str(models["last"]), device="cpu").save(str(tmp_path / "copy"))
    card = lastword.check(tmp_path / "copy", reference=models["last"])
    assert card.passed, card.text
    files = {
        place: {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}
        for place in (models["last"], tmp_path / "copy")
    }
    assert files[models["last"]] - files[tmp_path / "copy"] == {"lastword.json", "golden.json"}
    texts = ["a river", " a long one" * 200]
    vectors = [
        lastword.Embedder.from_pretrained(place, dtype="float32", device="cpu").encode(texts)
        for place in files
    ]
    np.testing.assert_array_equal(*vectors)
    for file, key, old, new in (
        ("1_Pooling/config.json", "pooling_mode_lasttoken", True, None),
        ("sentence_bert_config.json", "max_seq_length", 127, None),
        ("config.json", "rope_theta", 10000.0, None),
        ("tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast", "TokenizersBackend"),
        ("tokenizer_config.json", "model_max_length", 127, 127),
    ):
        values = [json.loads((place / file).read_text()).get(key) for place in files]
        assert values == [old, new], (file, key)
    assert (tmp_path / "copy" / "README.md").read_bytes() == (models["last"] / "README.md").read_bytes()
    with silenced("sentence_transformers"):  # over the folder itself
        copy = shutil.copytree(models["last"], tmp_path / "itself")
        SentenceTransformer(str(copy), device="cpu").save(str(copy))
    assert lastword.check(copy).passed
    assert (copy / "lastword.json").read_bytes() == (models["last"] / "lastword.json").read_bytes()


@pytest.mark.slow
def test_every_fault_on_the_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (path_of("mini") / "model.safetensors").is_file():
        pytest.skip("the bundled model is not there")
    monkeypatch.setattr(check_faults, "RESULTS", tmp_path / "faults.json")
    assert check_faults.main() == 0


def test_a_folder_may_be_named_as_other_commands_name_it(models: dict[str, Path]) -> None:
    card = lastword.check(f"sentence-transformers:{models['last']}")
    assert card.passed
    assert card.target == str(models["last"])


@pytest.fixture(scope="module")
def exports(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each runtime that is installed, by its suffix; each in the folder of its export."""
    root, files = tmp_path_factory.mktemp("exports"), {}
    if all(find_spec(library) for library in ("onnxscript", "onnxruntime")):
        files[".onnx"] = lastword.export(models["last"], root / "onnx", to="onnx").output / "model.onnx"
    if ".onnx" in files and find_spec("openvino"):
        folder = root / "openvino"
        shutil.copytree(root / "onnx", folder, ignore=shutil.ignore_patterns("*.onnx"))
        write_openvino(files[".onnx"], folder / "model.xml", quantize=False)
        files[".xml"] = folder / "model.xml"
    if find_spec("gguf"):
        files[".gguf"] = lastword.export(models["last"], root / "gguf", to="gguf").output / "model.gguf"
    return files


@pytest.mark.parametrize("suffix", [".onnx", ".xml", ".gguf"])
def test_a_single_file(
    models: dict[str, Path], exports: dict[str, Path], tmp_path: Path, refused: Refused, suffix: str
) -> None:
    """With any name; its tokenizer is beside it, or in the folder of the model that it should be."""
    if suffix not in exports:
        pytest.skip(f"what writes and reads {suffix} files is not installed: pip install 'lastword[export]'")
    beside = lastword.check(exports[suffix])
    assert beside.passed, beside.text
    assert (beside.target, len(beside.rows)) == (str(exports[suffix]), 5)
    alone = tmp_path / f"mine{suffix}"
    shutil.copy(exports[suffix], alone)
    if suffix == ".xml":
        shutil.copy(exports[suffix].with_suffix(".bin"), alone.with_suffix(".bin"))
    message = f"{alone} has no tokenizer.json beside it: name the folder of its model with reference=…"
    assert refused(MissingFileError, lastword.check, alone).startswith(message)
    again = lastword.check(alone, reference=models["last"])
    assert again.passed, again.text
    assert [row.name for row in again.rows][-1] == "the same 10 nearest neighbours"
    other = lastword.check(alone, reference=models["mean"])
    assert not other.passed
    assert other.causes, other.text


def test_files_that_cannot_be_checked(
    models: dict[str, Path], exports: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    plain = tmp_path / "model.bin"
    plain.write_bytes(b"")
    assert refused(ModelError, lastword.check, plain) == (
        f"{plain} cannot be checked: it is no .onnx, .xml, .gguf file and no folder"
    )
    for file in exports.values():
        assert refused(RequestError, lastword.check, models["last"], reference=file) == (
            f"reference={str(file)!r} is a file: give the folder of the model"
        )
        broken = tmp_path / file.name
        for content in (b"no model", b""):
            broken.write_bytes(content)
            message = refused(ModelError, lastword.check, broken, reference=models["last"])
            assert message.startswith(f"{broken} "), message
            assert "\n" not in message
            assert not re.search(r"core\.cpp|ONNXRuntimeError|mmap", message), message


def test_a_gguf_file_without_template_or_pooling(
    models: dict[str, Path], exports: dict[str, Path], tmp_path: Path, refused: Refused
) -> None:
    gguf = pytest.importorskip("gguf")
    folder = tmp_path / "copy"
    shutil.copytree(exports[".gguf"].parent, folder)
    (folder / "lastword.json").unlink()
    assert refused(ModelError, lastword.check, folder / "model.gguf") == (
        f"{folder} does not say which template is put around texts: it has no usable lastword.json"
    )
    path = folder / "model.gguf"
    reader = gguf.GGUFReader(path, "r+")
    reader.fields["llama.pooling_type"].parts[-1][0] = 0
    del reader
    shutil.copy(models["last"] / "lastword.json", folder)
    assert refused(ModelError, lastword.check, path) == (
        f"{path} has llama.pooling_type=0, so llama.cpp gives no vector of a text that could be checked (it can be "
        "1: mean, 2: cls, 3: last token)"
    )


def _onnx_file(
    path: Path, *, opset: int = 18, ir: int = 8, operation: str = "Identity", domain: str = ""
) -> Path:
    """A graph of one operation, with the version that is asked for."""
    onnx = pytest.importorskip("onnx")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    node = onnx.helper.make_node(operation, ["x"], ["y"], domain=domain)
    graph = onnx.helper.make_graph([node], "graph", ends[:1], ends[1:])
    opsets = [onnx.helper.make_opsetid("", opset), *([onnx.helper.make_opsetid(domain, 1)] if domain else [])]
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    model.ir_version = ir
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opset": 99}, r"it needs opset 99 of ONNX, and this one has opsets up to \d+; upgrade onnxruntime, or "),
        ({"ir": 99}, r"it is in version 99 of ONNX's format, and this one reads up to \d+; upgrade onnxruntime, or "),
        ({"operation": "Nope"}, r"it has the operation Nope of opset 18, which this one lacks; upgrade onnxruntime, "),
        ({"operation": "Nope", "domain": "other"}, r"it has the operation other:Nope, which this one lacks; upgrade "),
        ({}, r"takes x and gives y: a graph can be checked if it takes input_ids and attention_mask and gives sent"),
    ],
)  # fmt: skip
def test_graphs_that_a_runtime_does_not_know(
    models: dict[str, Path], tmp_path: Path, refused: Refused, settings: dict[str, Any], message: str
) -> None:
    pytest.importorskip("onnxruntime")
    file = _onnx_file(tmp_path / "model.onnx", **settings)
    answer = refused(ModelError, lastword.check, file, reference=models["last"])
    assert re.search(message, answer), answer
    assert "\n" not in answer


def test_operations_that_openvino_does_not_know(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    with pytest.raises(RuntimeError) as caught:
        openvino.Core().read_model(str(_onnx_file(tmp_path / "model.onnx", operation="Nope")))
    assert _openvino_reason(str(caught.value)) == (
        "it has operations that this one lacks (Nope-18); upgrade openvino, or write the file again"
    )
