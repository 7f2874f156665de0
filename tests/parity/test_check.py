"""A right copy passes; each planted fault is caught and named. All faults on the bundled model are in the slow tier."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer

import lastword
from lastword.bundled import path_of
from lastword.cli import main
from lastword.console import silenced
from lastword.errors import MissingFileError, ModelError, RequestError, WorkError
from lastword.parity import check as checking
from lastword.parity.requests import BARS

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
        "no target 'nowhere': give a folder that exists, a Hub name, or the address of a server"
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
    assert not (tmp_path / "copy" / "lastword.json").exists()
    assert not (tmp_path / "copy" / "golden.json").exists()


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
