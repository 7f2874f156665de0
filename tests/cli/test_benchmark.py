"""`lastword benchmark` and `lastword cache` as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_commands import run
from tests.evaluation.benchmark.conftest import AMAZON, MASAKHA, SIB, write

pytestmark = pytest.mark.usefixtures("few_repetitions")

TWO = "SIB200ClusteringS2S,MasakhaNEWSClusteringS2S"


@pytest.fixture
def flags(tmp_path: Path) -> list[object]:
    write(tmp_path / "copies" / "SIB200ClusteringS2S.jsonl", SIB)
    write(tmp_path / "copies" / "MasakhaNEWSClusteringS2S.jsonl", MASAKHA)
    write(tmp_path / "copies" / "AmazonCounterfactualClassification.jsonl", AMAZON)
    return ["--data-dir", tmp_path / "copies", "--output", tmp_path / "results"]


def test_a_benchmark_ends_in_a_table(tmp_path: Path, flags: list[object], llama_folder: Path) -> None:
    arguments = ["benchmark", TWO, "--model", llama_folder, "--template", "ccw", "--pooling", "lasttoken",
                 "--cache", tmp_path / "cache", *flags]  # fmt: skip
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"{llama_folder} ccw lasttoken"
    assert lines[2].split("  ")[0] == "task"
    assert "± draws  ± texts  chance  texts  seeds  texts are" in lines[2]
    assert lines[3].startswith("SIB200ClusteringS2S (eng_Latn)  ")
    assert lines[-3].startswith("average of 2 tasks: ")
    assert lines[-2:] == [
        "texts embedded: 205; found in the cache: 0",
        f"results: {tmp_path / 'results'}",
    ]
    again = json.loads(run(*arguments, "--json").stdout)
    assert (again["encoded"], again["from_cache"], len(again["tasks"])) == (0, 0, 2)

    listed = json.loads(run("cache", "info", "--cache", tmp_path / "cache", "--json").stdout)
    assert [(one["model"], one["vectors"]) for one in listed["models"]] == [(str(llama_folder), 205)]
    table = run("cache", "info", "--cache", tmp_path / "cache").stdout.splitlines()
    assert table[0].split() == ["model", "identity", "…", "vectors", "dim", "MB", "last", "used"]
    assert table[1].startswith(str(llama_folder))
    pruned = run("cache", "prune", "--cache", tmp_path / "cache", "--model", llama_folder, "--dry-run")
    assert pruned.stdout.splitlines()[-1].startswith("would be deleted: 205 vectors, ")
    pruned = run("cache", "prune", "--cache", tmp_path / "cache", "--model", llama_folder)
    assert pruned.stdout.splitlines()[-1].startswith("deleted: 205 vectors, ")
    emptied = run("cache", "info", "--cache", tmp_path / "cache")
    assert emptied.stdout == f"no vectors are cached in {tmp_path / 'cache'}\n"


def test_a_benchmark_as_published(flags: list[object], llama_folder: Path) -> None:
    arguments = ["benchmark", "SIB200ClusteringS2S", "--model", llama_folder, "--template", "ccw", "--pooling",
                 "lasttoken", "--no-cache", *flags]  # fmt: skip
    switches = ["padding=left-assumed", "average=test-only"]
    done = run(*arguments, "--as-published", ",".join(switches), "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["template"], result["pooling"], len(result["tasks"])) == ("ccw", "lasttoken", 1)
    assert result["average_as_published"] == result["average"]


def test_missing_tasks_stand_in_the_table(flags: list[object], tmp_path: Path) -> None:
    done = run("benchmark", TWO, "AmazonCounterfactualClassification", "Banking77Classification",
               "--model", "tfidf", *flags)  # fmt: skip
    assert done.exit_code == 0, done.output
    text = done.stdout
    assert (
        "\nmissing: AmazonCounterfactualClassification (en-ext)\n  the local copy does not hold it\n" in text
    )
    assert "\nmissing: Banking77Classification\n  no network, and not in the cache of datasets (" in text
    assert "\n  its texts: mteb/banking77@0fd18e25b25c072e09e0d92ab615fda904d66300\n" in text
    assert "\n  to get them with a network: hf download mteb/banking77 --repo-type dataset " in text
    assert "\nno average: 2 of 4 tasks are not complete\naverage of the 2 that are: " in text


def test_few_documents_are_marked(tmp_path: Path, llama_folder: Path) -> None:
    """Biorxiv embeds 4 % of its texts; a small copy of it leaves a handful."""
    folder = tmp_path / "copies" / "mteb" / "biorxiv-clustering-s2s"
    folder.mkdir(parents=True)
    rows = [{"sentences": text, "labels": label} for text, label, _ in SIB * 4]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["benchmark", "BiorxivClusteringS2S.v2", "--model", llama_folder, "--no-cache",
                 "--data-dir", tmp_path / "copies", "--output", tmp_path / "results"]  # fmt: skip
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    assert "BiorxivClusteringS2S.v2 *" in done.stdout
    assert " 16 of 420 " in done.stdout
    assert (
        "* few documents: mteb scores a draw of fewer than 100, so small differences mean nothing"
        in done.stdout
    )
    (row,) = json.loads(run(*arguments, "--json").stdout)["tasks"]
    assert (row["few_documents"], row["seeds"][0]["n"], row["documents"]) == (True, 16, 420)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'NAME...'. (see lastword benchmark --help)"),
        (["paper-eight", "--cache", "x", "--no-cache"], "--cache and --no-cache: give only one of them"),
        (
            ["paper-eight", "--also-pooling", "mean", "--no-cache"],
            "--also-pooling fills the cache: leave out --no-cache",
        ),
        (
            ["paper-eight", "--split", "test"],
            "No such option '--split'. Did you mean '--pooling'? (see lastword benchmark --help)",
        ),
        (
            ["paper-nine"],
            "unknown benchmark or task 'paper-nine': "
            "did you mean paper-eight or paper-clustering or paper-classification? "
            "Known: paper-clustering, paper-eight, paper-classification, "
            "and the clustering and classification tasks of mteb",
        ),
    ],
)
def test_requests_that_cannot_be_met(arguments: list[str], message: str) -> None:
    done = run("benchmark", *arguments, "--model", "tfidf")
    assert done.exit_code == 2
    assert done.stderr == f"lastword: {message}\n"


def test_no_network_is_told_for_each_task(tmp_path: Path) -> None:
    """Without HF_HUB_OFFLINE: the address refuses every connection."""
    environment = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    environment |= {
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "HF_HUB_OFFLINE": "0",
        "LASTWORD_CACHE": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "lastword", "benchmark", "paper-eight", "--model", "tfidf", "--json"],
        capture_output=True, text=True, timeout=600, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert (len(result["missing"]), result["tasks"], result["average"]) == (8, [], None)
    assert done.stderr.count("\n") == 8


def test_prune_wants_a_condition(tmp_path: Path) -> None:
    done = run("cache", "prune", "--cache", tmp_path)
    assert done.exit_code == 2
    assert (
        done.stderr == "lastword: no condition to prune by: pass --model …, --unused-days … or --max-mb …\n"
    )
