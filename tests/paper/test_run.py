"""Real, tiny reproductions: every cell is measured once whatever happens, and the pages say what was measured."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.embedding import Embedder
from lastword.errors import MissingFileError, RequestError
from lastword.evaluation import benchmark, evaluate
from lastword.paper import cells as cells_module
from lastword.paper import measure as measure_module
from lastword.paper import suites as suites_module
from lastword.paper.run import reproduce
from lastword.paper.scales import SCALES
from lastword.paper.suites import suite_of
from lastword.uncertainty import Score, combine, compare
from tests.samples import FEW_REPETITIONS
from tests.training.conftest import pair_columns


@pytest.fixture(scope="module", autouse=True)
def few_halves() -> Iterator[None]:
    """Fewer halves and starts of k-means. The bootstraps are as many as those of mteb's own code."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("lastword.evaluation.clustering.STARTS", "lastword.uncertainty.HALVES"):
            patch.setattr(name, FEW_REPETITIONS[name])
        yield


TINY = {"steps": 2, "batch_pairs": 8, "rank": 4, "max_tokens": 64, "dtype": "float32"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of texts like the public one."""
    folder = tmp_path / "data"
    for part in ("clustering", "classification", "pairs"):
        (folder / part).mkdir(parents=True)
    nouns = ("river", "price", "cat")
    texts = [f"the {noun} number {i} is here" for i in range(20) for noun in nouns]
    table = {"text": texts, "label": list(nouns) * 20, "split": ["train", "validation", "test"] * 20}
    pq.write_table(pa.table(table), folder / "clustering" / "sib200_eng.parquet")
    pq.write_table(pa.table(table), folder / "clustering" / "stackoverflow_titles.parquet")
    emotions = {"label": ["joy", "anger", "fear"] * 20, "split": ["train"] * 54 + ["test"] * 6}
    pq.write_table(pa.table({**table, **emotions}), folder / "classification" / "emotion.parquet")
    columns = pair_columns(16)
    pairs = {
        "sentence1": columns["anchor"],
        "sentence2": columns["positive"],
        "score": [1.0] * 12 + [0.0] * 4,
    }
    for name in ("rte_nli", "wikisplit_pairs"):
        pq.write_table(pa.table(pairs), folder / "pairs" / f"{name}.parquet")
    return folder


def test_a_zero_shot_table(data: Path, tmp_path: Path, llama_folder: Path) -> None:
    output = tmp_path / "out"
    result = reproduce(
        "table3", output, models=[str(llama_folder)], data_dir=data, max_texts=30, device="cpu"
    )
    (page,) = result.pages
    assert [(cell["row"], cell["column"]) for cell in page.records] == [
        ("none", "mean"), ("none", "last"), ("none", "eos"),
    ]  # fmt: skip
    for cell, pooling in zip(page.records, ("mean", "lasttoken", "eos"), strict=True):
        embedder = Embedder.from_pretrained(llama_folder, template="none", pooling=pooling, device="cpu")
        (name,) = (name for name in result.measured if name.endswith(f"-none-{pooling}"))
        run = result.measured[name]
        assert list(run) == ["SIB200ClusteringS2S", "Stack Overflow titles"]
        own = benchmark(embedder, ["SIB200ClusteringS2S"], data_dir=data, output=tmp_path / "r", cache=False)
        assert run["SIB200ClusteringS2S"]["value"] == own.tasks[0].score.value, "MTEB's own task, whole"
        assert run["SIB200ClusteringS2S"]["n"] == 60
        local = evaluate(embedder, data / "clustering" / "stackoverflow_titles.parquet", max_texts=30)
        assert Score.from_dict(run["Stack Overflow titles"]) == local.models[0].score
        mean = combine([Score.from_dict(row) for row in run.values()])
        assert cell["score"] == pytest.approx(100 * mean.value, abs=0.006)
        assert cell["draw_se"] == pytest.approx(100 * mean.draw_se, abs=0.006)
        assert cell["published Llama-3.2-1B"] in (45.8, 33.2, 23.4)
    assert {verdict.word for verdict in page.verdicts} <= {"holds", "not distinguishable", "reversed"}
    assert json.loads((output / "reproduction.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    assert {path.name for path in output.iterdir()} == {"report.md", "cells.csv", "reproduction.json"}
    text = (output / "report.md").read_text()
    assert "## Table 3: Pooling, before training" in text
    assert "Mean pooling is above last-token pooling" in text
    assert re.search(r"^Verdicts on 2 claims, each counted once: ", text, re.M)
    with (output / "cells.csv").open() as file:
        assert [row["column"] for row in csv.DictReader(file)] == ["mean", "last", "eos"]
    facts = result.manifest
    assert facts["weights"] == {
        str(llama_folder): Embedder.from_pretrained(llama_folder).backbone.weights_hash
    }
    assert set(facts["files"]) == {"stackoverflow_titles.parquet"}
    assert list(facts["tasks"]) == ["SIB200ClusteringS2S"]


def test_trained_rows_resume_after_an_interruption(
    data: Path, tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    real = cells_module.train

    def counted(folder: Path, **settings: Any) -> Any:
        if len(trained) == 1 and "stop" not in trained:
            trained.append("stop")
            raise KeyboardInterrupt
        trained.append(folder.name)
        return real(folder, **settings)

    monkeypatch.setattr(cells_module, "train", counted)
    ask: dict[str, Any] = {
        "models": [str(llama_folder)],
        "data_dir": data,
        "seeds": 1,
        "device": "cpu",
        **TINY,
    }
    with pytest.raises(KeyboardInterrupt):
        reproduce("table10", tmp_path / "out", **ask, pairs={"wiki-prompt": _pairs(tmp_path)})
    content = _pairs(tmp_path).read_bytes()
    _pairs(tmp_path).write_bytes(content[:-1] + b"?")
    with pytest.raises(
        RequestError, match=r"resume=True: \S+pairs.parquet has changed since the interrupted"
    ):
        reproduce("table10", tmp_path / "out", **ask, pairs={"wiki-prompt": _pairs(tmp_path)}, resume=True)
    _pairs(tmp_path).write_bytes(content)
    result = reproduce(
        "table10", tmp_path / "out", **ask, pairs={"wiki-prompt": _pairs(tmp_path)}, resume=True
    )
    trained.remove("stop")
    assert len(trained) == len(set(trained)) == 2
    (page,) = result.pages
    assert [cell["row"] for cell in page.records] == [
        "none",
        "emotion",
        "emotion + wiki-prompt",
        "emotion + labels",
    ]
    assert all(cell["score"] is not None for cell in page.records)
    assert set(result.manifest["files"]) == {"emotion.parquet", "pairs.parquet"}
    assert list(result.manifest["tasks"]) == ["EmotionClassification"]


def test_tables_share_their_cells_and_an_interrupted_run_takes_other_tables(
    data: Path, tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    real = suites_module.Suite.score

    def counted(self: Any, model: Any, results: Path) -> Any:
        scored.append(model.identity)
        return real(self, model, results)

    monkeypatch.setattr(suites_module.Suite, "score", counted)
    request: dict[str, Any] = {"models": [str(llama_folder)], "data_dir": data, "device": "cpu"}
    with monkeypatch.context() as patch:
        patch.setattr(measure_module, "report", lambda *pages: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reproduce("table3", tmp_path / "out", **request)
    assert len(scored) == 3
    with pytest.raises(RequestError, match="resume=True: seeds was 3 and is now 2"):
        reproduce("table3", tmp_path / "out", **request, seeds=2, resume=True)
    result = reproduce(["table3", "table5"], tmp_path / "out", **request, resume=True)
    assert len(scored) == 5, "Table 5 has two rows without a template, which Table 3 has too"
    assert [page.name for page in result.pages] == ["table3", "table5"]
    assert result.pages[1].verdicts[0].word == "not measured: needs several sizes"


def test_the_manifest_names_the_texts_of_mtebs_tasks(data: Path) -> None:
    (hub,) = suite_of("emotion", None, SCALES["paper"]).revisions().values()
    assert re.fullmatch(r"mteb/emotion@[0-9a-f]{40}", hub)
    (local,) = suite_of("emotion", data, SCALES["mini"]).revisions().values()
    assert re.fullmatch(r"local-[0-9a-f]+", local)


def _pairs(folder: Path) -> Path:
    path = folder / "pairs.parquet"
    if not path.exists():
        pq.write_table(pa.table(pair_columns()), path)
    return path


@pytest.mark.slow
def test_missing_pairs_leave_their_cells_missing(data: Path, tmp_path: Path, llama_folder: Path) -> None:
    shutil.rmtree(data / "pairs")
    ask: dict[str, Any] = {
        "models": [str(llama_folder)],
        "data_dir": data,
        "seeds": 1,
        "device": "cpu",
        **TINY,
    }
    result = reproduce(["table6"], tmp_path / "out", **ask, pairs={"wiki-prompt": _pairs(tmp_path)})
    (page,) = result.pages
    missing = {cell["row"] for cell in page.records if cell["score"] is None}
    assert missing == {
        f"{template} + {source}"
        for template, source in (
            ("none", "nli"), ("CCW", "nli"), ("CCP", "nli"), ("CCW", "wiki-translate"), ("CCP", "wiki-translate"),
            ("CCW", "wiki-translate + aug"), ("CCP", "wiki-translate + aug"),
        )
    }  # fmt: skip
    text = (tmp_path / "out" / "report.md").read_text()
    assert "nli: missing." in text
    assert "| not measured |" in text


def test_the_adapted_model_beside_another(data: Path, tmp_path: Path, llama_folder: Path) -> None:
    result = reproduce(
        "table8", tmp_path / "out", models=[str(llama_folder)], data_dir=data, seeds=1, device="cpu",
        pairs={"wiki-prompt": _pairs(tmp_path)}, **TINY,
    )  # fmt: skip
    (page,) = result.pages
    ours = [f"{llama_folder.name}, {column}" for column in ("mean", "last")]
    assert list(page.facts["averages"]) == [*ours, "tfidf"]
    assert {row["row"] for row in page.records} == {"SIB200ClusteringS2S", "Stack Overflow titles"}
    steps = {name.partition("-")[2]: step for name, step in result.measured.items()}
    means = [
        combine([Score.from_dict(score) for score in step.values()])
        for name, step in steps.items()
        if name == "tfidf" or name.endswith("-lasttoken-wiki-prompt-0")
    ]
    difference = compare(*means)
    assert f"| {ours[1]} − tfidf | {100 * difference.value:+.1f} [" in page.body
    assert page.body.count(difference.verdict)


@pytest.mark.slow
def test_settings_share_the_runs_with_the_recipes_own_values(
    tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = {"temperature": [0.05, 0.5], "dropout": [0.0, 0.5], "batch_pairs": [4, 8]}
    monkeypatch.setitem(SCALES, "mini", dataclasses.replace(SCALES["mini"], sweep=tried))
    out = tmp_path / "out"
    result = reproduce("table7", out, models=[str(llama_folder)], seeds=2, device="cpu", **TINY)
    (page,) = result.pages
    rows = {(row["row"], row["column"]): row for row in page.records}
    assert rows.keys() == {
        ("temperature", "0.05"), ("temperature", "0.5"), ("dropout", "0"), ("dropout", "0.5"),
    }, "batch_pairs is fixed by the user, so it is not varied"  # fmt: skip
    assert {row["model"] for row in rows.values()} == {str(llama_folder)}
    assert rows["temperature", "0.05"]["score"] == rows["dropout", "0"]["score"], "the same two training runs"
    report = (out / "report.md").read_text()
    assert (
        "**temperature**: the paper tried 1, 0.5, 0.2, 0.1, 0.05 and chose 0.2; the recipe `mini` has 0.05."
        in report
    )


def test_a_table_without_texts_is_named(tmp_path: Path, llama_folder: Path) -> None:
    result = reproduce("table9", tmp_path / "out", models=[str(llama_folder)], device="cpu")
    assert result.not_measured == ("table9",)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"tables": "table4", "scale": "minni"}, "unknown scale 'minni': did you mean 'mini'"),
        ({"tables": "table11"}, "unknown table 'table11': did you mean 'table1"),
        ({"tables": "table6", "seeds": 0}, "seeds=0: give 1 or more"),
        ({"tables": "table6", "pairs": {"wiki": "x"}}, "unknown source of pairs 'wiki'"),
    ],
)
def test_bad_requests(ask: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        reproduce(output=tmp_path / "out", **ask)
    assert not (tmp_path / "out").exists()


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(
        MissingFileError, match=r"no folder .*: pass data_dir= a folder of texts, or leave it out"
    ):
        reproduce("table4", tmp_path / "out", data_dir=tmp_path / "nowhere")


def test_the_command(data: Path, tmp_path: Path, llama_folder: Path) -> None:
    out = tmp_path / "out"
    asked = [
        "reproduce",
        "table3",
        "--model",
        str(llama_folder),
        "--data-dir",
        str(data),
        "--output",
        str(out),
    ]
    done = CliRunner().invoke(main, [*asked, "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "## Table 3" in done.stdout
    again = CliRunner().invoke(main, asked)
    assert again.exit_code == 2
    assert f"{out} exists: choose another path or" in again.stderr
    wrong = CliRunner().invoke(main, ["reproduce", "table6", "--pairs", "nli"])
    assert "--pairs nli: write NAME=FILE, such as nli=pairs.parquet" in wrong.stderr


def test_weights_are_hashed_on_the_device_of_the_run(llama_folder: Path, refused: Callable[..., str]) -> None:
    runner: Any = SimpleNamespace(
        scale=SimpleNamespace(models={"tiny": str(llama_folder)}, sizes=None, dtype=None),
        loaded={},
        device="cuda:99",
    )
    message = refused(RequestError, measure_module._Tables(runner, None, [], {})._weights)
    assert message.startswith("no device 'cuda:99' here: ")
