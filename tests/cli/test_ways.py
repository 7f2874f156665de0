"""Every command on models of every way of embedding: it works, or says in one line why it cannot, before heavy work."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lastword.cli import main
from tests.training.conftest import pair_columns

pytestmark = pytest.mark.slow
TINY = ["--steps", "2", "--batch-pairs", "8", "--warmup-steps", "0", "--rank", "4", "--max-tokens", "100",
        "--dtype", "float32", "--device", "cpu", "--trackers", "none", "--quiet"]  # fmt: skip
WAYS = {
    "latent": ["--pooling", "latent"],
    "teacher": ["--teacher", "self", "--teacher-template", "ccw+sum"],
    "masked": ["--attention", "bidirectional", "--pooling", "mean", "--masked-steps", "1"],
    "widths": ["--widths", "8,16"],
    "echo": ["--template", "echo", "--pooling", "mean"],
    "concatenation": ["--pooling", "mean+lasttoken"],
    "examples": ["--template", "eol@{folder}/shots.csv:1:3"],
    "one layer": ["--layer", "1"],
}
SCORED = "evaluate {texts} --task classification --split test --samples-per-label 2 --device cpu"
COMMANDS = {
    "embed": "embed {texts} --model {model} --output {out} --device cpu",
    "search": "search {store} river --device cpu",
    "evaluate": f"{SCORED} --model {{model}}",
    "sparse": f"{SCORED} --model sparse:{{model}}",
    "cluster": "cluster {texts} --model {model} --map pca --output {out}",
    "probe": "probe {texts} --model {model} --templates eol --poolings mean --scores effective_rank "
    "--rank-by effective_rank",
    "explain": "explain {texts} --model {base} --model {model} --checkpoints {model} --max-texts 4 --device cpu",
    "check": "check {model}",
    "plan": "plan embed {texts} --model {model} --device cpu",
    "distill": "distill {model} --texts {texts} --output {out} --device cpu",
    "whiten": "whiten {model} --texts {texts} --method centre --output {out} --device cpu",
    "average": "merge {step} {model} --output {out}",
    "spherical": "merge {step} {model} --method spherical --output {out}",
    "folder": "export {model} --to folder --output {out}",
    "adapter": "export {model} --to adapter --output {out}",
    "gguf": "export {model} --to gguf --output {out}",
    "train": "train --model {base} --guide {model} --teacher {model} --pairs {pairs} --steps 1 --batch-pairs 8 "
    "--warmup-steps 0 --device cpu --trackers none --output {out}",
}
REFUSED = {
    ("latent", "spherical"): "needs a base model, and the weights of pooling 'latent' have none",
    ("latent", "adapter"): "pooling 'latent', whose weights an adapter cannot hold",
    ("latent", "gguf"): "GGUF cannot express pooling 'latent'",
    ("masked", "adapter"): "bidirectional attention, which an adapter cannot tell its base model",
    ("masked", "gguf"): "GGUF cannot express bidirectional attention",
    ("echo", "gguf"): "GGUF cannot express a template that has the text twice",
    ("concatenation", "gguf"): "GGUF cannot express pooling 'mean+lasttoken'",
    (
        "concatenation",
        "sparse",
    ): "pooling 'mean+lasttoken' is wider than the states that an output head reads",
    ("one layer", "adapter"): "an adapter cannot leave layers out",
}


@pytest.mark.parametrize("way", WAYS)
def test_every_command(way: str, llama_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    texts = [f"the {noun} number {i} was low" for i in range(60) for noun in ("river", "price")]
    table = {
        "text": texts,
        "label": ["water", "money"] * 60,
        "split": ["train", "train", "test", "test"] * 30,
    }
    pq.write_table(pa.table(table), tmp_path / "texts.parquet")
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    (tmp_path / "shots.csv").write_text("text,answer\nthe river,water\nthe price,money\n")
    model = tmp_path / "model"
    flags = [flag.format(folder=tmp_path) for flag in WAYS[way]]
    paths = {
        "texts": tmp_path / "texts.parquet", "pairs": tmp_path / "pairs.parquet", "model": model,
        "step": model / "training" / "step-000002", "base": llama_folder, "store": tmp_path / "embed",
    }  # fmt: skip
    trained = ["train", "--model", llama_folder, "--pairs", paths["pairs"], "--output", model, *TINY, *flags]
    assert CliRunner().invoke(main, [str(word) for word in trained]).exit_code == 0
    wrong = []
    for name, command in COMMANDS.items():
        words = [word.format(**paths, out=tmp_path / name) for word in command.split()]
        result = CliRunner().invoke(main, words)
        said = result.stderr.strip().splitlines()
        expected = REFUSED.get((way, name))
        right = result.exit_code == 0 if expected is None else result.exit_code == 2 and expected in said[-1]
        if not right:
            wrong.append((name, result.exit_code, said[-1:], result.exception))
    assert not wrong
