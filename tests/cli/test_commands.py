"""The commands as a user runs them: exit codes, one clear line for what is wrong, nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from lastword.cli import main
from tests.processes import after, command, limit_files
from tests.processes import run as run_process
from tests.training.conftest import pair_columns

pytestmark = pytest.mark.usefixtures("few_repetitions")

TINY = ["--steps", "3", "--batch-pairs", "8", "--rank", "4", "--max-tokens", "64", "--dtype", "float32",
        "--device", "cpu", "--trackers", "none"]  # fmt: skip


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    return tmp_path / "pairs.parquet"


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    texts = [f"the {noun} number {i}" for i in range(20) for noun in ("river", "price")]
    table = {
        "text": texts,
        "label": ["water", "money"] * 20,
        "split": ["train", "train", "test", "test"] * 10,
    }
    pq.write_table(pa.table(table), tmp_path / "labelled.parquet")
    return tmp_path / "labelled.parquet"


@pytest.mark.parametrize(
    "request_",
    [
        ["embed", "work/texts.csv"], ["embed", "work/*.csv"], ["cluster", "work/texts.csv"],
        ["adapt", "texts.csv", "--baseline", "sentence-transformers:work/deep"],
        ["train", "--pairs", "pairs.csv,work/deep/pairs.csv"], ["train", "--model", "work/deep"],
        ["distill", "mini", "--texts", "work/texts.csv"], ["export", "work/deep", "--to", "onnx"],
        ["probe", "work/./texts.csv"], ["whiten", "work/deep", "--texts", "topics"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_output_that_holds_an_input_is_refused(
    request_: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replacing the output would delete the input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work" / "deep").mkdir(parents=True)
    for file in ("texts.csv", "deep/pairs.csv", "deep/config.json"):
        (tmp_path / "work" / file).write_text("text,label\na,b\n")
    result = run(*request_, "--output", "work", "--overwrite")
    assert result.exit_code == 2
    assert "is inside the output work, which it would replace: choose another output" in result.output
    assert (tmp_path / "work" / "texts.csv").exists()


def test_train_then_evaluate(
    tmp_path: Path, llama_folder: Path, pairs_file: Path, labelled_file: Path
) -> None:
    out = tmp_path / "adapted"
    trained = run("train", "--model", llama_folder, "--pairs", pairs_file, "--dev", labelled_file,
                  "--split", "train", "--output", out, *TINY, "--json")  # fmt: skip
    assert trained.exit_code == 0, trained.output
    facts = json.loads(trained.stdout.splitlines()[-1])
    assert facts["selection"]["criterion"] == "V-measure on labelled (train)"
    assert len(facts["losses"]) == 3
    scored = run("evaluate", labelled_file, "--model", out, "--split", "test", "--json")
    assert scored.exit_code == 0, scored.output
    result = json.loads(scored.stdout)
    assert result.keys() == {"task", "metric", "data", "n", "models"}
    row, tfidf = result["models"]
    assert (row["template"], row["pooling"], result["n"]) == ("ccw", "lasttoken", 20)
    assert tfidf["model"] == "tfidf"
    assert row["against_tfidf"]["verdict"] in ("better", "worse", "not distinguishable")
    plain = run("evaluate", labelled_file, "--model", "tfidf", "--split", "test")
    assert plain.exit_code == 0
    assert "v-measure" in plain.stdout
    assert "± " in plain.stdout


def test_rows_without_a_text_are_left_out_of_a_similarity(tmp_path: Path) -> None:
    table = {"a": ["a river", "a price", ""], "b": ["the river", "a dog", "a cat"], "score": [5.0, 1.0, 3.0]}
    pq.write_table(pa.table(table), tmp_path / "similar.parquet")
    done = run("evaluate", tmp_path / "similar.parquet", "--task", "sts", "--text-column", "a,b",
               "--model", "tfidf", "--drop-empty", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["n"] == 2


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["evaluate", "no.csv", "--model", "tfidf"], "no file no.csv: give a .parquet, .arrow, .feather, .csv"),
        (["evaluate", "{labelled}", "--model", "tfidf", "--text-column", "body"],
         "has no column 'body'; its columns are: text, label, split"),
        (["evaluate", "{labelled}", "--model", "tfidf", "--task", "clusterng"],
         "Invalid value for '--task': unknown task 'clusterng': did you mean 'clustering'? Known: clustering"),
        (["evaluate", "{labelled}", "--model", "nowhere"], "no model 'nowhere': give 'mini'"),
        (["evaluate", "{labelled}", "--model", "{llama}", "--pooling", "maen"],
         "unknown pooling 'maen': did you mean 'mean'?"),
        (["evaluate", "{labelled}", "--model", "{llama}", "--template", "cww"],
         "unknown template 'cww': did you mean 'ccw'?"),
        (["evaluate", "{labelled}", "--model", "{llama}", "--template", "no place"],
         "template 'no place' has no {text}: write {text} where the text goes"),
        (["train", "--output", "x", "--temperature", "0"],
         "Invalid value for '--temperature': 0.0 is not in the range 0.001<=x<=10."),
        (["train", "--output", "x", "--recipe", "papre"], "no recipe papre: give a TOML file that exists, or one of"),
        (["train", "--output", "x", "--patience", "0"],
         "Invalid value for '--patience': 0 is not in the range 1<=x<=1000."),
        (["train", "--output", "x", "--as-published", "negatives"],
         "unknown switch 'negatives': did you mean 'negatives=micro'? Known: negatives=micro, accumulation=sum"),
        (["train", "--output", "x", "--dev", "{labelled}:tset"],
         "has no row with split = 'tset'; the values there are: test, train"),
        (["train", "--output", "x", "--dev", "{labelled}", "--dev", "{labelled}"],
         "two development sets are called 'labelled': rename a file"),
        (["evaluate", "{labelled}", "--model", "tfidf", "--as-published", "padding=left-assumed"],
         "--as-published 'padding=left-assumed': only a decoder can be scored so; leave it out"),
        (["evaluate", "{labelled}", "--model", "{llama}", "--as-published", "negatives=micro"],
         "--as-published 'negatives=micro' changes the training and not the evaluation: leave it out"),
        (["train", "--output", "{existing}"], "exists: choose another path or pass --overwrite"),
        (["train", "--output", "x", "--pairs", "{labelled}"], "has no column 'anchor'; its columns are: text, label"),
        (["train", "--output", "x", "--model", "{llama}", "--max-tokens", "8"],
         "no room for a text; raise --max-tokens"),
        (["demo", "--seeds", "0"], "Invalid value for '--seeds': 0 is not in the range 1<=x<=100."),
        (["demo", "--output", "{existing}"], "exists: choose another path or pass --overwrite"),
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_one_line_and_code_2(
    args: list[str],
    message: str,
    tmp_path: Path,
    llama_folder: Path,
    labelled_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "existing").mkdir()
    places = {"{labelled}": labelled_file, "{llama}": llama_folder, "{existing}": tmp_path / "existing"}
    result = run(*(places.get(arg, arg.replace("{labelled}", str(labelled_file))) for arg in args))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert message in last, "the message is the last line"
    assert not list(tmp_path.glob("x*")), "something was written"


def test_a_full_disk_is_one_line_and_leaves_no_output(
    tmp_path: Path, llama_folder: Path, pairs_file: Path
) -> None:
    """A file size limit stands in for the full disk: the write fails in the middle of the weights."""
    out, stderr = tmp_path / "adapted", tmp_path / "stderr.txt"
    arguments = ["train", "--model", llama_folder, "--pairs", pairs_file, "--output", out, *TINY]
    run_process(command, arguments, stderr, prepare=[partial(limit_files, 20_000)], code=1)
    assert stderr.read_text().splitlines()[-1].startswith("lastword: the disk is full (or a file ")
    assert not out.exists()


def test_ctrl_c_keeps_what_was_finished(tmp_path: Path, llama_folder: Path, pairs_file: Path) -> None:
    out, stderr = tmp_path / "adapted", tmp_path / "stderr.txt"
    arguments = [
        "train",
        "--model",
        llama_folder,
        "--pairs",
        pairs_file,
        "--output",
        out,
        *TINY[2:],
        "--steps",
        "12",
    ]
    moment = after("lastword.training.checkpoints.Checkpoints.save", 1, signal.SIGINT)
    run_process(command, arguments, stderr, prepare=[moment], code=130)
    said = stderr.read_text().splitlines()[-1]
    assert said == "lastword: interrupted; finished work is kept: add --resume to continue"
    checkpoint = tmp_path / "adapted.partial" / "checkpoints" / "step-000010"
    assert (checkpoint / "adapter_model.safetensors").exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGTERM, 143, "stopped by a signal"),
        (signal.SIGHUP, 129, "stopped by a signal"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_a_stopped_command_leaves_no_copy_of_its_input(
    number: int, code: int, said: str, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    command = [sys.executable, "-m", "lastword", "pairs", "dropout", "-", "--output", tmp_path / "x.jsonl"]
    process = subprocess.Popen(
        [*map(str, command)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(copies)},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(copies.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(copies.iterdir()), "standard input is copied, since it is read more than once"
    process.send_signal(number)
    _, talk = process.communicate(timeout=30)
    assert (process.returncode, talk) == (code, f"lastword: {said}\n")
    assert not list(tmp_path.glob("copies/*"))
    assert not list(tmp_path.glob("x.jsonl*"))


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from lastword.cli import main; "
        "main(['cache', 'info', '--cache', '.'], standalone_mode=False); "
        "assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN; "
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


PAIRS = [
    ("noise", []),
    ("crop", ["--min-words", "2"]),
    ("labels", []),
    ("import", ["--anchor-column", "text", "--positive-column", "label"]),
    ("neighbours", ["--model", "tfidf"]),
    ("dropout", []),
]


@pytest.mark.parametrize(("method", "options"), PAIRS)
def test_pairs_by_every_method(method: str, options: list[str], tmp_path: Path, labelled_file: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    made = run("pairs", method, labelled_file, "--output", out, "--json", *options)
    assert made.exit_code == 0, made.output
    facts = json.loads(made.stdout.splitlines()[-1])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (facts["rows"], facts["pairs"]) == (40, len(rows))
    assert {row["method"] for row in rows} == {method}


def test_made_pairs_train(tmp_path: Path, llama_folder: Path, labelled_file: Path) -> None:
    made = tmp_path / "pairs.parquet"
    assert run("pairs", "labels", labelled_file, "--output", made).exit_code == 0
    trained = run("train", "--model", llama_folder, "--pairs", made, "--noise", "delete,characters",
                  "--output", tmp_path / "adapted", *TINY)  # fmt: skip
    assert trained.exit_code == 0, trained.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["import", "{labelled}", "--preset", "nil", "--output", "x.csv"],
            "unknown preset 'nil': did you mean 'nli'?",
        ),
        (
            ["import", "{labelled}", "--preset", "sts", "--output", "x.csv"],
            "column 'score' has scores: pass --min-score",
        ),
        (
            ["import", "{labelled}", "--output", "x.csv"],
            "no column 'anchor'; its columns are: text, label, split",
        ),
        (
            ["noise", "{labelled}", "--kinds", "swop", "--output", "x.csv"],
            "unknown noise 'swop': did you mean 'swap'?",
        ),
        (["noise", "{labelled}", "--output", "x.txt"], "write .parquet, .jsonl, .csv, not .txt"),
        (["crop", "nowhere.csv", "--output", "x.csv"], "no file nowhere.csv"),
        (
            [
                *[
                    "generate",
                    "{labelled}",
                    "--model",
                    "m",
                    "--endpoint",
                    "http://localhost:1",
                    "--output",
                    "x.csv",
                ],
                "--request",
                "think=no",
            ],
            "--request 'think=no' is not JSON: ",
        ),
        (
            ["generate", "{labelled}", "--model", "m", "--request", "{}", "--output", "x.csv"],
            "--request is for --endpoint: give --endpoint too, or leave --request out",
        ),
    ],
)
def test_pairs_that_cannot_be_made(
    args: list[str], message: str, tmp_path: Path, labelled_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("pairs", *(str(labelled_file) if arg == "{labelled}" else arg for arg in args))
    assert result.exit_code == 2, result.output
    assert message in result.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.glob("x*")), "something was written"
