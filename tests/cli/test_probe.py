"""`lastword probe` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from lastword.cli import main

pytestmark = pytest.mark.usefixtures("few_repetitions")

SMALL = ["--templates", "none,ccw", "--poolings", "mean,lasttoken", "--layers", "1,2"]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["probe", *map(str, args)])


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.csv"
    rows = [f"the {noun} number {i},{noun}" for i in range(20) for noun in ("river", "price")]
    path.write_text("text,topic\n" + "\n".join(rows) + "\n")
    return path


def test_with_labels_it_ranks_and_writes(labelled_file: Path, llama_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "probed"
    args = [labelled_file, "--model", llama_folder, "--label-column", "topic", "--output", out, *SMALL]
    done = run(*args)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["template", "pooling", "layer", "V-measure"]
    assert lines[1].startswith("chance (shuffled labels)")
    assert lines[2].endswith("best")
    content = json.loads((out / "probe.json").read_text())
    assert content.keys() == {
        "model", "data", "texts", "available", "labels", "few_shot_texts", "samples_per_label", "bootstrap_size",
        "seed", "seconds", "ranked_by", "compared", "correlations", "options",
    }  # fmt: skip
    assert (content["texts"], content["labels"], len(content["options"])) == (40, 2, 8)
    assert content["options"][0].keys() == {
        "template", "pooling", "layer", "scores", "difference_to_best", "standing",
    }  # fmt: skip
    scores = [option["scores"]["v_measure"]["value"] for option in content["options"]]
    assert scores == sorted(scores, reverse=True)
    assert ElementTree.fromstring((out / "heatmap.svg").read_text()).tag.endswith("svg")
    again = run(*args)
    assert again.exit_code == 2
    assert f"{out} exists: choose another path or" in again.stderr
    assert run(*args, "--overwrite").exit_code == 0


def test_json_is_what_the_folder_holds(labelled_file: Path, llama_folder: Path, tmp_path: Path) -> None:
    done = run(labelled_file, "--model", llama_folder, "--json", "--output", tmp_path / "probed", *SMALL)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads((tmp_path / "probed" / "probe.json").read_text())


def test_suffixes(labelled_file: Path, llama_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "suffixes.txt"
    path.write_text("# two\nis about\nmeans:\n")
    done = run(labelled_file, "--model", llama_folder, "--suffixes", path, "--poolings", "lasttoken",
               "--layers", "last", "--prefix", "A text: {text}", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert {option["template"] for option in json.loads(done.stdout)["options"]} == {
        "A text: {text} is about", "A text: {text} means:",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["no.csv"], "no file no.csv: give a .parquet, .arrow, .feather, .csv"),
        (["{file}", "--label-column", "label"], "has no column 'label'; its columns are: text, topic"),
        (["{file}", "--templates", "cww"], "unknown template 'cww': did you mean 'ccw'?"),
        (
            ["{file}", "--templates", "no place"],
            "template 'no place' has no {text}: write {text} where the text goes",
        ),
        (["{file}", "--poolings", "maen"], "unknown pooling 'maen': did you mean 'mean'?"),
        (["{file}", "--layers", "0,7"], "has 2 layers, that is hidden states 0 … 2"),
        (["{file}", "--max-texts", "3"], "has 3 texts: a probe needs at least 20"),
        (["{file}", "--suffixes", "no.txt"], "no file no.txt: give one that exists"),
        (["{file}", "--rank-by", "accuracy"], "accuracy needs labels: give --label-column"),
    ],
)
def test_a_wrong_request_is_one_line_and_code_2(
    args: list[str],
    message: str,
    labelled_file: Path,
    llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*(str(labelled_file) if arg == "{file}" else arg for arg in args), "--model", llama_folder,
               "--output", "x")  # fmt: skip
    assert done.exit_code == 2, done.output
    assert message in done.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.glob("x*")), "something was written"
