"""Wrong requests are refused in one line, with exit code 2, before anything heavy is imported.

Each command runs with a valid request in which one value is wrong: every option and every argument of every
command has wrong values here, or is on the list of those that take any text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.cli.checks import Checked, Choice, Existing, Several
from tests.cli.test_help import LEAVES

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "sklearn",
    "mteb",
    "peft",
    "accelerate",
    "datasets",
)
VALID = {
    "demo": [],
    "pairs generate": ["texts.csv", "--model", "m", "--endpoint", "http://localhost:1", "--output", "x.csv"],
    "pairs translate": ["texts.csv", "--output", "x.csv"],
    "pairs noise": ["texts.csv", "--output", "x.csv"],
    "pairs crop": ["texts.csv", "--output", "x.csv"],
    "pairs labels": ["texts.csv", "--output", "x.csv"],
    "pairs import": ["pairs.csv", "--output", "x.csv"],
    "pairs neighbours": ["texts.csv", "--output", "x.csv"],
    "pairs dropout": ["texts.csv", "--output", "x.csv"],
    "pairs check": ["pairs.csv", "--evaluation", "more.csv", "--evaluation-column", "anchor"],
    "pairs mine": ["pairs.csv", "--output", "x.csv"],
    "pairs compare": ["pairs.csv", "more.csv", "--output", "x"],
    "probe": ["texts.csv", "--label-column", "label", "--output", "x"],
    "train": ["--pairs", "pairs.csv", "--dev", "texts.csv", "--output", "x"],
    "sweep": ["mini", "--set", "rank=4,8", "--dev", "texts.csv", "--output", "x"],
    "compare-strategies": ["mini", "--dev", "texts.csv", "--output", "x"],
    "embed": ["texts.csv", "--output", "x"],
    "search": ["vectors", "a river"],
    "distill": ["mini", "--texts", "texts.csv", "--output", "x"],
    "cluster": ["texts.csv", "--map", "pca", "--output", "x"],
    "adapt": ["texts.csv", "--map", "pca", "--output", "x"],
    "plan embed": ["texts.csv"],
    "plan train": ["--pairs", "pairs.csv"],
    "plan cluster": ["texts.csv", "--map", "pca"],
    "plan adapt": ["texts.csv", "--map", "pca"],
    "plan evaluate": ["texts.csv"],
    "plan distill": ["mini", "--texts", "texts.csv"],
    "plan search": ["vectors"],
    "plan serve": ["mini"],
    "serve": ["mini"],
    "evaluate": ["texts.csv", "--model", "mini"],
    "benchmark": ["paper-eight", "--model", "mini", "--output", "x"],
    "explain": ["texts.csv", "--model", "mini", "--label-column", "label", "--output", "x"],
    "reproduce": ["table4", "--output", "x"],
    "convert": ["model.gguf", "x"],
    "merge": ["adapted", "adapted", "--output", "x"],
    "whiten": ["mini", "--texts", "texts.csv", "--output", "x"],
    "export": ["mini", "--output", "x"],
    "check": ["http://localhost:1/v1"],
    "cache info": [],
    "cache prune": ["--unused-days", "1"],
}
UNWRITABLE = [
    "",
    "texts.csv/x.csv",
    "s3://bucket/x.csv",
    "gs://x.csv",
    "/proc/x.csv",
    f"{'n' * 250}.csv",
    f"{'n' * 300}/x.csv",
]
WRONG = {
    "teacher": ["nowhere", "existing", "texts.csv", "ftp://a/b"],
    "file": ["nowhere.csv", "texts.bin", "empty.csv"],
    "inputs": ["nowhere.csv", "texts.bin", "empty.csv", "*.nothing", "s9://bucket/texts.csv"],
    "data": ["nowhere.csv", "texts.bin", "empty.csv"],
    "text_column": ["body"],
    "label_column": ["body"],
    "anchor_column": ["body"],
    "positive_column": ["body"],
    "negative_column": ["body"],
    "vector_column": ["label"],
    "group_column": ["label"],
    "chat_model": ["qwen3"],  # without --endpoint
    "ray_address": ["auto"],  # without --engine ray
    "score_column": ["body"],
    "evaluation_column": ["body"],
    "evaluation": ["nowhere.csv"],
    "split": ["tset"],
    "delimiter": [";;", ""],
    "train_split": ["tset"],
    "recipe": ["nowhere.toml", "broken.toml", "unknown-key.toml", "wrong-value.toml"],
    "pairs": ["nowhere.csv", "texts.csv"],
    "widths": ["0", "64,x", "64,-1", "257", "1.5"],
    "temperatures": ["0", "x", "0.1,nan", "0.1,0.2"],
    "dev": ["nowhere.csv", "texts.csv:tset"],
    "sources": ["nowhere.csv", "texts.csv"],
    "benchmarks": ["paper-nine", "NoSuchTask"],
    "strategies": ["prmopt", ""],
    "catalogue": ["nowhere.toml", "broken.toml", "unknown-key.toml"],
    "grid": ["rnak=4,8", "rank", "rank=0,8", "rank=4..8"],
    "templates": ["cww", "no place"],
    "prefix": ["no place"],
    "poolings": ["maen"],
    "layers": ["first"],
    "scores": ["v_mesure"],
    "rank_by": ["v_mesure"],
    "request": ["not JSON", "[1]"],
    "via": [""],
    "output": ["existing", "texts.csv", *UNWRITABLE],
    "fix": ["texts.csv", "x.txt", *UNWRITABLE],
    "report": ["texts.csv", *UNWRITABLE],
    "cache": ["texts.csv", *UNWRITABLE],
    "endpoint": ["localhost:8000"],
    "models": ["no/place", "existing", "mini"],
    "weights": ["1", "1,0", "x,1", "1,nan"],
    "store": ["nowhere", "existing", "texts.csv"],
    "queries": [" ", "-"],
    "texts": ["nowhere.csv", "texts.bin", "empty.csv"],
    "where": ["label", "body=a", "text<", "price<cheap"],
    "columns": ["body"],
    "host": ["everywhere", "", "999.0.0.1", "192.0.2.1"],
    "api_key_file": ["nowhere.txt", "texts.csv"],
    "max_body": ["8", "MiB", "0MiB", "-1MiB"],
    "gpu_memory": ["24", "GiB", "0GiB", "24 elephants", "-1GiB"],
}
ANY_TEXT = {
    ("pairs generate", "model"), ("pairs translate", "language"),
    ("cache prune", "model"), ("cache info", "folder"), ("cache prune", "folder"),
    ("explain", "texts"), ("check", "api_model"),
}  # fmt: skip
"""Any text is a value: names of somebody else's models, texts, and folders that are made when needed."""
FURTHER = {
    "demo": [["--model", "Qwen/Qwen3-0.6B"]],
    "evaluate": [
        ["texts.csv", "--model", "mini", "--task", "sts", "--text-column", "text"],
        [
            "texts.csv",
            "--model",
            "mini",
            "--task",
            "sts",
            "--text-column",
            "text,label",
            "--score-column",
            "body",
        ],
        ["texts.csv", "--model", "mini", "--task", "sts", "--label-column", "label"],
        ["texts.csv", "--model", "mini", "--task", "retrieval"],
        [
            "texts.csv",
            "--model",
            "mini",
            "--task",
            "classification",
            "--train-split",
            "tset",
            "--split",
            "dev",
        ],
        ["texts.csv", "--model", "mini", "--task", "classification", "--split", "train"],
        ["texts.csv", "--model", "mini", "--as-published", "negatives=micro"],
    ],
    "embed": [
        ["texts.csv", "texts.csv", "--output", "x"],
        ["blank.csv", "--output", "x"],
        ["texts.csv", "pairs.csv", "--output", "x"],
        ["texts.csv", "--output", "x", "--update", "--overwrite"],
        ["texts.csv", "--output", "existing", "--update"],
        ["texts.csv", "--output", "x", "--model", "tfidf"],
        ["texts.csv", "--output", "x", "--workers", "2"],
    ],
    "serve": [
        [],
        ["mini", "mini"],
        ["mini", "one=texts.csv"],
        ["mini", "mini=existing"],
        ["tfidf"],
        ["sentence-transformers:./nowhere"],
    ],
    "distill": [
        ["tfidf", "--texts", "texts.csv", "--output", "x"],
        ["mini", "--texts", "texts.csv", "--text-column", "body", "--output", "x"],
        ["mini", "--output", "x"],
        ["mini", "--texts", "texts.csv", "--output", "x", "--student", "shallow", "--layer", "8"],
        ["mini", "--texts", "texts.csv", "--output", "x", "--student", "shallow", "--vocabulary", "2000"],
        ["mini", "--texts", "texts.csv", "--output", "x", "--steps", "9"],
        ["sentence-transformers:m", "--texts", "texts.csv", "--output", "x", "--student", "shallow"],
    ],
    "plan distill": [
        ["mini", "--texts", "texts.csv", "--student", "shallow", "--layer", "8"],
        ["mini", "--texts", "texts.csv", "--student", "shallow", "--vocabulary", "2000"],
        ["mini", "--texts", "texts.csv", "--steps", "9"],
    ],
    "plan search": [["vectors", "--rescore"], ["moved"], ["moved", "--model", "tfidf:"]],
    "plan embed": [
        ["texts.csv", "--per-window"],
        ["texts.csv", "--model", "tfidf"],
        ["texts.csv", "--model", "sentence-transformers:m", "--long-texts", "windows"],
    ],
    "whiten": [
        ["mini", "--texts", "texts.csv", "--text-column", "body", "--output", "x"],
        ["mini", "--texts", "texts.csv", "--truncate-dim", "257", "--output", "x"],
        ["mini", "--texts", "texts.csv", "--truncate-dim", "8", "--method", "centre", "--output", "x"],
        ["mini", "--texts", "texts.csv", "--pooling", "mean:text", "--output", "x"],
        ["mini", "--output", "x"],
    ],
    "search": [
        ["vectors"],
        ["vectors", "a", " "],
        ["vectors", "a", "--hybrid"],
        ["vectors", "a", "--rescore"],
        ["vectors", "--index", "ivf-flat"],
        ["moved", "a"],
        ["moved", "a", "--model", "tfidf:"],
    ],
    "cluster": [
        ["texts.csv", "--map", "pca", "--output", "x", "--groups", "61"],
        ["repeated.csv", "--map", "pca", "--output", "x", "--groups", "3"],
        ["equal.csv", "--map", "pca", "--output", "x"],
        ["equal.csv", "--label-column", "label", "--map", "pca", "--output", "x"],
        ["repeated.csv", "--label-column", "label", "--map", "pca", "--output", "x"],
        ["blank.csv", "--map", "pca", "--output", "x"],
        ["texts.csv", "--map", "pca", "--output", "x", "--method", "density", "--groups", "4"],
        ["texts.csv", "--map", "pca", "--output", "x", "--least-size", "4"],
        ["texts.csv", "texts.csv", "--map", "pca", "--output", "x"],
        ["texts.csv", "--map", "pca", "--output", "x", "--model", "tfidf"],
        [
            "texts.csv",
            "--output",
            "x",
            "--model",
            "sentence-transformers:all-MiniLM-L6-v2",
            "--naming",
            "head",
        ],
        ["texts.csv", "--output", "x", "--chat-model", "m", "--endpoint", "localhost:8000"],
        ["existing", "--output", "x"],
    ],
    "adapt": [
        ["texts.csv", "--map", "pca", "--output", "x"],
        ["repeated.csv", "--map", "pca", "--output", "x"],
        ["blank.csv", "--map", "pca", "--output", "x"],
        ["many.csv", "--map", "pca", "--output", "x", "--label-column", "label"],
        ["many.csv", "--map", "pca", "--output", "x", "--label-column", "few"],
        ["texts.csv", "--map", "pca", "--output", "x", "--sources", "crop,labels"],
        ["texts.csv", "--map", "pca", "--output", "x", "--sources", "crop,generate"],
        ["texts.csv", "--map", "pca", "--output", "x", "--sources", "crop=0"],
        ["texts.csv", "--map", "pca", "--output", "x", "--sources", "crop=many"],
        ["texts.csv", "--map", "pca", "--output", "x", "--sources", ","],
        ["texts.csv", "--map", "pca", "--output", "x", "--label-column", "text"],
        ["texts.csv", "--map", "pca", "--output", "x", "--max-texts", "199"],
        ["texts.csv", "--map", "pca", "--output", "x", "--groups", "61"],
        ["texts.csv", "--map", "pca", "--output", "x", "--baseline", "nowhere"],
        ["texts.csv", "--map", "pca", "--output", "x", "--rewritten", "9"],
        ["texts.csv", "--map", "pca", "--output", "x", "--chat-model", "m", "--endpoint", "localhost:8000"],
        ["texts.csv", "--map", "pca", "--output", "x", "--recipe", "deep.toml"],
        ["texts.csv", "--map", "pca", "--output", "interrupted"],
        ["existing", "--output", "x"],
    ],
    "benchmark": [
        ["paper-eight", "--model", "mini", "--cache", "x", "--no-cache"],
        ["paper-eight", "--model", "tfidf", "--pooling", "mean"],
        ["paper-eight", "--model", "mini", "--also-pooling", "mean", "--no-cache"],
    ],
    "pairs import": [
        ["pairs.csv", "--output", "x.csv", "--preset", "sts"],
        ["pairs.csv", "--output", "x.txt"],
    ],
    "pairs check": [
        ["pairs.csv", "--evaluation-column", "text"],
        ["pairs.csv", "--allow", "different lengths"],
    ],
    "probe": [
        ["texts.csv", "--samples-per-label", "4"],
        ["texts.csv", "--prefix", 'Text: "{text}"'],
        ["texts.csv", "--layers", "3,9"],
        ["texts.csv", "--label-column", "label", "--split", "tset"],
    ],
    "pairs generate": [
        ["texts.csv", "--model", "m", "--request", "{}", "--output", "x.csv"],
        ["texts.csv", "--model", "nowhere", "--output", "x.csv"],
        ["texts.csv", "--model", "mini", "--output", "x.csv"],
    ],
    "pairs crop": [["texts.csv", "--output", "x.csv", "--min-words", "9", "--max-words", "8"]],
    "pairs mine": [["pairs.csv", "--output", "x.csv", "--rank-from", "9", "--rank-to", "8"]],
    "pairs compare": [
        ["pairs.csv", "--output", "x"],
        ["pairs.csv", "pairs.csv", "--output", "x"],
        ["pairs.csv", "more.csv", "nowhere.csv", "--output", "x"],
        ["pairs.csv", "more.csv+texts.csv", "--output", "x"],
        ["pairs.csv", "more.csv", "+", "--output", "x"],
        ["pairs.csv", "more.csv", "--split", "dev", "--output", "x"],
    ],
    "sweep": [
        ["mini", "--output", "x"],
        ["mini", "--set", "rank=4,8", "--label-column", "label", "--output", "x"],
        ["mini", "--set", "pairs=pairs.csv,nowhere.csv", "--output", "x"],
        ["mini", "--set", "template=ccw,cww", "--output", "x"],
        ["mini", "--set", "model=mini,nowhere", "--output", "x"],
        ["mini", "--set", "rank=4,8", "--set", "rank=2", "--output", "x"],
        ["mini", "--set", "layer=4,9", "--output", "x"],
    ],
    "compare-strategies": [
        ["mini", "--dev", "texts.csv:tset", "--output", "x"],
        ["deep.toml", "--dev", "texts.csv", "--output", "x"],
        ["mini", "--strategy", "prompt", "--split", "dev", "--output", "x"],
    ],
    "explain": [
        ["texts.csv"],
        ["texts.csv", "--model", "mini", "--label-column", "label", "--clusters", "3"],
    ],
    "reproduce": [
        ["table4", "--pairs", "nli", "--output", "x"],
        ["table4", "--pairs", "nil=pairs.csv", "--output", "x"],
        ["table7", "--scale", "small", "--output", "x"],
    ],
    "export": [
        ["mini", "--to", "adapter", "--output", "x"],
        ["mini", "--to", "adapter", "--dtype", "float32", "--output", "x"],
        ["mini", "--to", "onnx", "--dtype", "float16", "--output", "x"],
        ["mini", "--to", "gguf", "--quantize", "int8", "--output", "x"],
    ],
    "check": [
        ["mini"],
        ["existing"],
        ["http://"],
        ["ftp://localhost/v1"],
        ["http://localhost:1/v1", "--reference", "http://localhost:2/v1"],
        ["owner/model", "--api-model", "m"],
        ["texts.bin"],
        ["owner/model", "--reference", "texts.bin"],
    ],
    "cache prune": [[]],
    "train": [
        ["--output", "interrupted"],
        ["--pairs", "pairs.csv", "--split", "dev", "--output", "x"],
        ["--patience", "2", "--layer", "0", "--output", "x"],
        ["--layer", "9", "--output", "x"],
        ["--recipe", "deep.toml", "--output", "x"],
        ["--pairs", "pairs.csv", "--loss", "cosent", "--output", "x"],
        ["--pairs", "graded.csv,graded.csv", "--loss", "angle", "--output", "x"],
        ["--pairs", "graded.csv", "--loss", "angle", "--guide", "self", "--output", "x"],
        ["--guide-margin", "0.1", "--output", "x"],
        ["--teacher-weight", "0.9", "--output", "x"],
        ["--teacher", "http://localhost:1", "--teacher-template", "eol", "--output", "x"],
    ],
}
SCRIPT = f"""
import json, sys
from click.testing import CliRunner
from lastword.cli import main

asked, code, message = json.load(sys.stdin)
faults, loaded = {{}}, set()
for path, requests in asked.items():
    for request in requests:
        result = CliRunner().invoke(main, [*path.split(), *request], prog_name="lastword")
        lines = result.stderr.splitlines()
        heavy = {{name for name in {HEAVY} if name in sys.modules}} - loaded
        loaded |= heavy
        if result.exit_code != code or len(lines) != 1 or not lines[0].startswith(message) or heavy:
            fault = [request, result.exit_code, result.output[-400:], repr(result.exception), sorted(heavy)]
            faults.setdefault(path, fault)
print(json.dumps(faults))
"""
"""Runs all requests in one process, since importing `lastword.cli` costs more than refusing one."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("requests")
    rows = [f"the {noun} number {i},{noun},dev" for i in range(30) for noun in ("river", "price")]
    (folder / "texts.csv").write_text("text,label,split\n" + "\n".join(rows) + "\n")
    pairs = "anchor,positive\n" + "".join(f"a {i},b {i}\n" for i in range(30))
    (folder / "pairs.csv").write_text(pairs)
    (folder / "more.csv").write_text(pairs)
    (folder / "repeated.csv").write_text("text,label\n" + "a river,water\na price,water\n" * 400)
    (folder / "equal.csv").write_text("text,label\n" + "a river,water\n" * 400)
    (folder / "blank.csv").write_text("text,label\n" + '" ",a\n' * 400)
    rows = [f"text {i},same,{'label' if i < 9 else ''}" for i in range(400)]
    (folder / "many.csv").write_text("text,label,few\n" + "\n".join(rows) + "\n")
    (folder / "graded.csv").write_text("anchor,positive,score\na,b,1\nc,d,0\n")
    (folder / "texts.bin").write_text("text\na\n")
    (folder / "empty.csv").write_text("")
    (folder / "broken.toml").write_text("steps =")
    (folder / "unknown-key.toml").write_text("stpes = 3")
    (folder / "wrong-value.toml").write_text("steps = 0")
    (folder / "deep.toml").write_text("layer = 28")
    (folder / "model.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + (1).to_bytes(8, "little") * 2)
    store(folder / "vectors", "mini")
    store(folder / "moved", "./gone")
    (folder / "existing").mkdir()
    (folder / "adapted").mkdir()
    for file, content in {"config": {}, "lastword": {"base": "mini", "recipe": {"steps": 1}}}.items():
        (folder / "adapted" / f"{file}.json").write_text(json.dumps(content))
    (folder / "interrupted.partial").mkdir()
    for name in ("settings.json", "step.json"):
        (folder / "interrupted.partial" / name).write_text("{}")
    return folder


def store(folder: Path, model: str) -> None:
    """A store of two texts."""
    rows = {"text": ["a river", "a price"], "price": [1, 2], "vector": [[1.0, 0.0], [0.0, 1.0]]}
    schema = pa.schema({"text": pa.string(), "price": pa.int64(), "vector": pa.list_(pa.float32(), 2)})
    folder.mkdir()
    pq.write_table(pa.table(rows, schema), folder / "shard.parquet")
    loading = {"model": model, "template": None, "pooling": None, "dtype": "float32"}
    manifest = {
        "format": 1, "model": {"name": "mini", "identity": "1", "role": "document", "loading": loading}, "rows": 2,
        "vectors": {"column": "vector", "dtype": "float32", "dim": 2}, "text_column": "text", "layout": "parquet",
        "columns": ["text", "price"], "shards": [{"file": "shard.parquet", "number": 0, "start": 0, "rows": 2}],
    }  # fmt: skip
    (folder / "_manifest.json").write_text(json.dumps(manifest))


def wrong_values(name: str, parameter: click.Parameter) -> list[str]:
    kind = parameter.type
    if isinstance(kind, Choice) or (isinstance(kind, Several) and isinstance(kind.each, Choice)):
        return ["nothing"]
    if isinstance(kind, Existing):
        return ["nowhere"]
    if isinstance(kind, Checked):
        return {"template": ["cww", "no place"], "pooling": ["maen", "mean:all"], "device": ["gpu", "cuda:x"],
                "encoding": ["latin9000"], "long_texts": ["window", "windows:8", "windows:64:33", "late:x"],
                "model": ["nowhere", "existing", "texts.csv"], "issue": ["length drfit"],
                "target": ["nowhere", "existing", "texts.csv", "http://", "ftp://a/b"],
                "reference": ["nowhere", "existing", "texts.csv", "http://a"],
                "GGUF file": ["nowhere", "existing", "texts.csv", "mini"],
                "unfixed issue": ["length drfit", "identical sides"]}[kind.name]  # fmt: skip
    if isinstance(kind, click.IntRange | click.FloatRange):
        return [str(kind.min - 1), str(kind.max + 1), "x", "nan"]  # type: ignore[operator]
    values = WRONG.get(str(parameter.name), [])
    if (name, parameter.name) == ("benchmark", "output"):  # results are added to an existing folder
        return [value for value in values if value != "existing"]
    return values


def requests(path: str) -> list[list[str]]:
    """Requests of a command with one wrong value each."""
    valid, command = VALID[path], LEAVES[f"lastword {path}"]
    found = [[*valid, "--no-such-option"], *FURTHER.get(path, [])]
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    for parameter in command.params:
        values = wrong_values(path, parameter)
        if isinstance(parameter, click.Argument):
            place = arguments.index(parameter)
            found += [[*valid[:place], value, *valid[place + 1 :]] for value in values]
        elif not parameter.is_flag:  # type: ignore[attr-defined]
            if (path, parameter.name) in ANY_TEXT:
                continue
            assert values, f"{path} --{parameter.name}: no wrong value is known"
            empty = [] if isinstance(parameter.type, Several) else [""]  # none of several
            found += [[*valid, parameter.opts[0], value] for value in [*values, *empty]]
    return found


def faults(folder: Path, asked: dict[str, list[list[str]]], code: int, message: str) -> dict[str, list[Any]]:
    """Command → the first request that did not end with the code and one line that begins with the message."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=json.dumps([asked, code, message]),
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def wrong_requests(folder: Path) -> dict[str, list[Any]]:
    return faults(folder, {path: requests(path) for path in VALID}, 2, "lastword: ")


@pytest.mark.parametrize("path", VALID)
def test_wrong_requests_are_refused_before_heavy_imports(
    path: str, folder: Path, wrong_requests: dict[str, list[Any]]
) -> None:
    assert wrong_requests.get(path) is None
    assert not list(folder.glob("x*")), "something was written"


RESUMABLE = [name for name in VALID if any(p.name == "resume" for p in LEAVES[f"lastword {name}"].params)]


def test_a_finished_output_has_nothing_to_resume(folder: Path) -> None:
    """Every command that resumes says so in one line, without an error and before anything heavy is imported."""
    assert {"adapt", "cluster", "embed", "distill", "train", "reproduce", "demo", "pairs noise"} <= {
        *RESUMABLE
    }
    (folder / "done").mkdir()
    (folder / "done.csv").write_text("")
    asked = {}
    for name in RESUMABLE:
        valid = VALID[name]
        if "--output" in valid:
            at = valid.index("--output")
            valid = [*valid[:at], *valid[at + 2 :]]
        output = "done.csv" if "x.csv" in VALID[name] else "done"
        asked[name] = [[*valid, "--output", output, "--resume"]]
    assert faults(folder, asked, 0, "lastword: nothing to resume: done") == {}


def test_every_command_is_tested() -> None:
    assert {f"lastword {path}" for path in VALID} == set(LEAVES)
