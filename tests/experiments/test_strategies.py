"""Strategies are compared as the recipe says: each against its base, in a process of its own, nothing twice."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lastword
from lastword.cli import compare_strategies as cli_module
from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.errors import MissingFileError, RequestError, WorkError
from lastword.evaluation import cluster_score
from lastword.experiments import strategies as module
from lastword.experiments.catalogue import GROUPS, chosen, read_strategies
from lastword.experiments.measuring import measured
from lastword.experiments.strategy_page import render
from lastword.experiments.strategy_result import BASE, TRAINED_BASE, StrategyComparison
from lastword.experiments.strategy_table import strategy_table
from lastword.files.run_folder import write_json
from lastword.uncertainty import compare
from tests.training.conftest import pair_columns

Refused = Callable[..., str]
SOURCES = Path(lastword.__file__).parent
CATALOGUE = """
[plain]
group = "prompt"
settings = { template = "none" }
["half the layers"]
group = "layer"
settings = { layer_share = 0.5 }
[hot]
group = "training"
settings = { temperature = 0.5 }
["8 bits"]
group = "vectors"
settings = { vectors = "int8" }
"""


@pytest.fixture
def recipe(tmp_path: Path, llama_folder: Path) -> Path:
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'model = "{llama_folder}"\npairs = ["{tmp_path / "pairs.parquet"}"]\nsteps = 2\nbatch_pairs = 8\n'
        'rank = 4\nmax_tokens = 64\ndtype = "float32"\nlearning_rate = 1e-2\nwarmup_steps = 0\n'
    )
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(CATALOGUE)
    return path


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure in this process, which saves importing torch for each model."""

    def measure(folder: Path, job: Any, device: str | None) -> list[dict[str, Any]]:
        request = {**dataclasses.asdict(job), "device": device, "texts": str(folder / module._TEXTS)}
        runs = [run.to_dict() for run in measured(json.loads(json.dumps(request)), folder / "model")]
        shutil.rmtree(folder / "model", ignore_errors=True)
        return runs

    monkeypatch.setattr(module, "_in_own_process", measure)


TEXTS = [f"the {noun} {i}" for i in range(12) for noun in ("river", "price")]
LABELS = ["river", "price"] * 12
DEVELOPMENT = {"nouns": (TEXTS, LABELS)}


def test_every_shipped_strategy_works_with_the_recipes_and_names_its_code() -> None:
    known = read_strategies()
    assert {strategy.group for strategy in known.values()} <= set(GROUPS) == set(cli_module.GROUPS)
    for strategy in known.values():
        assert (SOURCES / strategy.code).is_file(), strategy.name
        assert strategy.when, strategy.name
        assert train_config(strategy.changes("mini"))
    assert read_strategies()["layer at 1/2"].changes("mini") == {"layer": 4}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[a", "is not TOML"),
        ("a = 3", "[a]: write a table with group = one of prompt"),
        ('[a]\ngroup = "promt"', "write a table with group = one of prompt"),
        ('[a]\ngroup = "prompt"\nsorce = "x"', "unknown key 'sorce'"),
        ('[a]\ngroup = "prompt"\nsettings = { tempalte = "none" }', "unknown key 'tempalte'"),
        (
            '[a]\ngroup = "layer"\nsettings = { layer_share = 2.0 }',
            "layer_share = 2.0: give a number above 0",
        ),
        ('[a]\ngroup = "layer"\nsettings = { layer_share = 1 }', "layer_share = 1: give a number above 0"),
        ('[a]\ngroup = "vectors"', "the group vectors has the setting vectors"),
        (
            '[a]\ngroup = "prompt"\nsettings = { vectors = "int8" }',
            "the group vectors has the setting vectors",
        ),
        ('[a]\ngroup = "vectors"\nsettings = { vectors = "int9" }', "unknown change of vectors 'int9'"),
        ('[a]\ngroup = "vectors"\nsettings = { vectors = "truncate" }', "write truncate=SHARE"),
        ('[a]\ngroup = "vectors"\nsettings = { vectors = "int8=2" }', "write truncate=SHARE"),
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, refused: Refused, content: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    assert message in refused(RequestError, read_strategies, path)


def test_unknown_names_and_files_are_refused(refused: Refused, tmp_path: Path) -> None:
    assert "no such file of strategies" in refused(MissingFileError, read_strategies, tmp_path / "none.toml")
    assert "unknown strategy or group 'promt'" in refused(RequestError, chosen, read_strategies(), ["promt"])
    assert "give 1 or more" in refused(
        RequestError, lastword.compare_strategies, "mini", tmp_path / "x", seeds=0
    )


def test_each_strategy_is_compared_with_its_base(
    recipe: Path, catalogue: Path, tmp_path: Path, llama_folder: Path, one_process: None
) -> None:
    out = tmp_path / "compared"
    found = lastword.compare_strategies(
        recipe, out, catalogue=catalogue, development=DEVELOPMENT, seeds=2, device="cpu"
    )
    rows = {row.name: row for row in found.rows}
    assert list(rows) == [BASE, "plain", "half the layers", TRAINED_BASE, "hot", "8 bits"]
    expected = {
        name: cluster_score(
            Embedder.from_pretrained(llama_folder, dtype="float32", device="cpu", **settings), TEXTS, LABELS
        )
        for name, settings in {
            BASE: {"template": "ccw", "pooling": "lasttoken"},
            "plain": {"template": "none", "pooling": "lasttoken"},
            "half the layers": {"template": "ccw", "pooling": "lasttoken", "layer": 1},
        }.items()
    }  # the folder has two layers
    for name, score in expected.items():
        assert rows[name].sets["nouns"] == pytest.approx(score.value, abs=1e-6)
    assert rows["plain"].difference == compare(found.scores("plain")[0], found.scores(BASE)[0])
    seeds = [[found.scores(name)[seed] for seed in (0, 1)] for name in ("hot", TRAINED_BASE)]
    assert rows["hot"].difference == compare(*seeds)
    assert rows["8 bits"].training_seconds == rows[TRAINED_BASE].training_seconds is not None
    assert rows["plain"].training_seconds is None
    for row in rows.values():
        assert row.ms_per_text is not None
        assert row.peak_memory_mb is not None
        assert row.ms_per_text > 0
        assert 50 < row.peak_memory_mb < 50_000
    content = json.loads((out / "strategies.json").read_text())
    assert content == json.loads(json.dumps(found.to_dict()))
    assert StrategyComparison.from_dict(content).rows == found.rows
    assert {path.name for path in out.iterdir() if not path.name.startswith("job-")} == {
        "inputs.json", "settings.json", "strategies.html", "strategies.json",
    }  # fmt: skip
    page, table = render(found), strategy_table(found)
    assert page == (out / "strategies.html").read_text()
    assert all(name in page and name in table for name in rows)


def test_an_interrupted_comparison_repeats_nothing(
    recipe: Path, catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None
) -> None:
    done, real = list[str](), module._in_own_process

    def interrupted(folder: Path, job: Any, device: str | None) -> list[dict[str, Any]]:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(job.name)
        return real(folder, job, device)

    def again(folder: Path, job: Any, device: str | None) -> list[dict[str, Any]]:
        done.append(job.name)
        return real(folder, job, device)

    settings: dict[str, Any] = {"catalogue": catalogue, "development": DEVELOPMENT, "device": "cpu"}
    monkeypatch.setattr(module, "_in_own_process", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lastword.compare_strategies(recipe, tmp_path / "x", strategies=["layer", "plain"], **settings)
    monkeypatch.setattr(module, "_in_own_process", again)
    lastword.compare_strategies(
        recipe, tmp_path / "x", strategies=["layer", "plain"], resume=True, **settings
    )
    assert done == [BASE, "plain", "half the layers"]


def test_changes_learn_from_pairs_as_training_reads_them(tmp_path: Path, llama_folder: Path) -> None:
    write_json(tmp_path / "texts.json", {"nouns": [TEXTS, LABELS]})
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("\n".join(["anchor_positive", *(f"{text}_x" for text in TEXTS)]), encoding="cp037")
    settings = {"model": str(llama_folder), "pairs": [str(pairs)], "encoding": "cp037", "delimiter": "_"}
    request = {
        "settings": settings,
        "seed": 0,
        "trained": False,
        "vectors": {"8 bits": "int8"},
        "device": "cpu",
    }
    (run,) = measured(request | {"texts": str(tmp_path / "texts.json")}, tmp_path / "model")
    assert run.scores["nouns"].n == len(TEXTS)


def test_a_process_gives_what_is_measured_in_this_one(
    recipe: Path, tmp_path: Path, llama_folder: Path
) -> None:
    write_json(tmp_path / "texts.json", {"nouns": [TEXTS, LABELS]})
    settings = {"model": str(llama_folder), "dtype": "float32", "template": "none"}
    (row,) = module._in_own_process(
        tmp_path, module._Job("plain", 0, False, settings, {"plain": None}), "cpu"
    )
    embedder = Embedder.from_pretrained(
        llama_folder, dtype="float32", device="cpu", template="none", pooling="lasttoken"
    )
    assert row["scores"]["nouns"]["value"] == pytest.approx(
        cluster_score(embedder, TEXTS, LABELS).value, abs=1e-6
    )
    assert 50 < row["peak_memory_mb"] < 20_000
    assert not (tmp_path / "work").exists()


def test_what_fails_in_the_process_is_one_line_here(
    recipe: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = module._Job("long", 0, False, {**json.loads(json.dumps({"model": "gone"}))}, {"long": None})
    (tmp_path / "texts.json").write_text("{}")
    message = refused(RequestError, module._in_own_process, tmp_path, job, "cpu")
    assert message.startswith("long: ")
    assert "gone" in message
    monkeypatch.setattr(module.sys, "executable", "/bin/false")
    message = refused(WorkError, module._in_own_process, tmp_path, job, "cpu")
    assert message == "long: its process ended with code 1 and without a result; resume to try again"
