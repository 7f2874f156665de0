"""Sweeps of real, tiny training runs: nothing twice after a kill, errors over seeds, a recipe that may not change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import lastword
from lastword.cli import main
from lastword.config import read_recipe, train_config
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError
from lastword.evaluation import cluster_score
from lastword.evaluation.development import read_development
from lastword.experiments import Comparison
from lastword.experiments.series import safe_name
from lastword.experiments.table import comparison_table
from lastword.training.run import load_base
from lastword.uncertainty import Score
from tests.training.conftest import pair_columns

pytestmark = pytest.mark.usefixtures("few_repetitions")

Refused = Callable[..., str]


def plain(found: Comparison) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(found.to_dict()))


@pytest.fixture
def recipe(tmp_path: Path, llama_folder: Path) -> Path:
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'model = "{llama_folder}"\npairs = ["{tmp_path / "pairs.parquet"}"]\nsteps = 12\nbatch_pairs = 8\n'
        'rank = 4\nmax_tokens = 64\ndtype = "float32"\nlearning_rate = 1e-2\nwarmup_steps = 2\n'
        "\n[sweep]\ntemperature = [0.05, 0.5]\n"
    )
    return path


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    path = tmp_path / "dev.csv"
    path.write_text(
        "text,label\n" + "".join(f"the {n} {i},{n}\n" for i in range(8) for n in ("river", "price"))
    )
    return path


def test_every_combination_with_every_seed(recipe: Path, dev: Path, tmp_path: Path) -> None:
    out = tmp_path / "swept"
    found = lastword.sweep(
        recipe, out, values={"rank": [2, 4], "steps": [3]}, development=[str(dev)], seeds=2, device="cpu"
    )
    names = [f"temperature={t} rank={r}" for t in (0.05, 0.5) for r in (2, 4)]
    assert [(run.name, run.seed) for run in found.runs] == [(name, seed) for name in names for seed in (0, 1)]
    assert {run.step for run in found.runs} == {3}, "one value replaces the recipe's"
    means = [fmean(score.value for score in run.scores.values()) for run in found.runs_of(names[0])]
    summary = found.summary(names[0])
    assert summary is not None
    assert (summary.value, summary.seeds) == (pytest.approx(fmean(means)), 2)
    assert summary.draw_se >= stdev(means) / 2**0.5
    content = json.loads((out / "sweep.json").read_text())
    assert content == plain(found)
    assert [row["name"] for row in content["ranking"]] == found.ranked
    assert json.loads((out / f"{safe_name(names[3])}-1.json").read_text()) == [content["runs"][7]]
    assert list(found.base) == ["dev"]
    table = comparison_table(found)
    assert table.splitlines()[0].split()[:3] == ["settings", "mean", "±"]
    assert names[0] in {line[: len(names[0])] for line in table.splitlines()[3:]}
    picture = ElementTree.fromstring((out / "sweep.svg").read_text())
    assert len([element for element in picture.iter() if element.tag.endswith("circle")]) == 8
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [], "models are not kept"


def test_one_setting_at_a_time(recipe: Path, dev: Path, tmp_path: Path) -> None:
    found = lastword.sweep(
        recipe, tmp_path / "swept", values={"temperature": [0.05, 0.5], "rank": [4, 2], "steps": 2},
        development=[str(dev)], seeds=1, one_at_a_time=True, device="cpu",
    )  # fmt: skip
    assert [run.name for run in found.runs] == ["recipe", "temperature=0.5", "rank=2"]
    assert (found.settings["steps"], found.settings["rank"]) == (2, 4)


def test_the_score_before_training_is_that_of_the_recipes_layer(
    recipe: Path, dev: Path, tmp_path: Path, llama_folder: Path
) -> None:
    values = {"layer": [1], "steps": [1]}
    found = lastword.sweep(recipe, tmp_path / "swept", values=values, development=[str(dev)], device="cpu")
    texts, labels = read_development([str(dev)])["dev"]
    settings = {"template": "ccw", "pooling": "lasttoken", "dtype": "float32", "device": "cpu"}
    cut, whole = [Embedder.from_pretrained(llama_folder, **settings, layer=layer) for layer in (1, None)]
    assert not np.array_equal(cut.encode(texts), whole.encode(texts))
    assert found.base["dev"].to_dict() == cluster_score(cut, texts, labels).to_dict()


@pytest.mark.parametrize("change", [{"attention": "bidirectional"}, {"pooling": "latent"}], ids=str)
def test_the_score_before_training_is_that_of_the_model_that_is_trained(
    recipe: Path, dev: Path, tmp_path: Path, change: dict[str, str]
) -> None:
    """With the recipe's attention, and with new weights for a pooling that has some."""
    values = {name: [value] for name, value in change.items()} | {"steps": [1]}
    found = lastword.sweep(recipe, tmp_path / "swept", values=values, development=[str(dev)], device="cpu")
    texts, labels = read_development([str(dev)])["dev"]
    plain, changed = [load_base(train_config(read_recipe(recipe) | some), "cpu") for some in ({}, change)]
    assert not np.array_equal(plain.encode(texts), changed.encode(texts))
    assert found.base["dev"].to_dict() == cluster_score(changed, texts, labels).to_dict()


@pytest.mark.slow
def test_a_killed_sweep_repeats_nothing(recipe: Path, dev: Path, tmp_path: Path) -> None:
    """The results of a whole sweep and of one killed in its third run are the same, number for number."""
    settings = {"development": [str(dev)], "seeds": 2, "device": "cpu"}
    whole = lastword.sweep(recipe, tmp_path / "whole", **settings)  # type: ignore[arg-type]
    out, work = tmp_path / "killed", tmp_path / "killed.partial"
    first, second = safe_name("temperature=0.05"), safe_name("temperature=0.5")
    code = f"import lastword; lastword.sweep({str(recipe)!r}, {str(out)!r}, **{settings!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(work.glob(f"{second}-0.model*/checkpoints/step-000010")):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists(), "the sweep ended before it was killed"
    finished = {path.name: path.stat().st_mtime_ns for path in work.glob("*.json")}
    assert {"settings.json", "base.json", f"{first}-0.json", f"{first}-1.json"} <= finished.keys()

    with pytest.raises(
        ExistingOutputError, match="has an interrupted sweep: pass resume=True to continue it"
    ):
        lastword.sweep(recipe, out, **settings)  # type: ignore[arg-type]
    text = recipe.read_text()
    recipe.write_text(text.replace("steps = 12", "steps = 13"))
    with pytest.raises(
        RequestError, match=r"resume=True: steps was 12 and is now 13; .* interrupted sweep, or"
    ):
        lastword.sweep(recipe, out, resume=True, **settings)  # type: ignore[arg-type]
    recipe.write_text(text.replace("[0.05, 0.5]", "[0.05, 0.6]"))
    with pytest.raises(RequestError, match=r"resume=True: sweep was \[.*0\.5.*\] and is now"):
        lastword.sweep(recipe, out, resume=True, **settings)  # type: ignore[arg-type]
    recipe.write_text(text)
    resumed = lastword.sweep(recipe, out, resume=True, **settings)  # type: ignore[arg-type]
    assert plain(resumed) == plain(whole)
    assert {name: (out / name).stat().st_mtime_ns for name in finished} == finished, "written once"


def test_a_run_whose_score_was_lost_is_not_trained_again(
    recipe: Path, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lastword.experiments import series

    scores, calls = series.scores_of, []

    def interrupted(*args: Any) -> dict[str, Score]:
        calls.append(args)
        if len(calls) == 2:  # the first is the model before training
            raise KeyboardInterrupt
        return scores(*args)

    monkeypatch.setattr(series, "scores_of", interrupted)
    settings: dict[str, Any] = {"development": [str(dev)], "seeds": 1, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        lastword.sweep(recipe, tmp_path / "swept", **settings)
    weights = tmp_path / "swept.partial" / f"{safe_name('temperature=0.05')}-0.model" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    seen: list[int] = []

    def recorded(*args: Any) -> dict[str, Score]:
        if weights.exists():
            seen.append(weights.stat().st_mtime_ns)
        return scores(*args)

    monkeypatch.setattr(series, "scores_of", recorded)
    found = lastword.sweep(recipe, tmp_path / "swept", resume=True, **settings)
    assert seen == [written]
    assert len(found.runs) == 2


def test_settings_that_diverge_are_a_finding(
    recipe: Path, dev: Path, tmp_path: Path, llama_folder: Path, said: list[str]
) -> None:
    """One of the models has an infinite embedding for a token of some texts."""
    bad = tmp_path / "bad"
    shutil.copytree(llama_folder, bad)
    token = Embedder.from_pretrained(bad, bos=False).pipeline.tokenize(["29"]).ids[0][-1]
    weights = load_file(bad / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = float("inf")
    save_file(weights, bad / "model.safetensors", {"format": "pt"})
    found = lastword.sweep(
        recipe, tmp_path / "swept", seeds=1, device="cpu", development=[str(dev)],
        values={"model": [str(llama_folder), str(bad)], "batch_pairs": [30], "temperature": [0.05]},
    )  # fmt: skip
    diverged, name = found.runs[1], f"model={bad}"
    assert (diverged.name, diverged.scores, diverged.step) == (name, {}, None)
    assert diverged.facts["diverged"].startswith("loss is nan at step 1")
    assert found.ranked == [f"model={llama_folder}", name]
    assert comparison_table(found).splitlines()[4].split() == [
        name, "–", "–", "–", "diverged", "with", "1", "of", "1", "seeds",
    ]  # fmt: skip
    assert any(f"{name}, seed 0: loss is nan" in line for line in said)
    assert not list((tmp_path / "swept").glob("*.partial"))


def test_the_command(recipe: Path, dev: Path, tmp_path: Path) -> None:
    out = tmp_path / "swept"
    arguments = ["sweep", str(recipe), "--output", str(out), "--set", "steps=2", "--set", "rank=2..8", "--trials", "2",
                 "--seeds", "1", "--dev", str(dev), "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["settings", "mean"]
    assert all("rank=" in line for line in lines[3:5])
    assert lines[5] == ""
    assert (out / "sweep.svg").exists()
    again = CliRunner().invoke(main, [*arguments, "--overwrite", "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout.splitlines()[-1]) == json.loads((out / "sweep.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "temperature"], "--set 'temperature': write KEY=VALUE,VALUE such as temperature=0.05,0.1"),
        (["--set", "rank=4", "--set", "rank=8"], "--set rank is repeated: write all its values in one"),
        (["--set", "temperature=0.1"], "sweep: 1 combination of settings: give two or more values"),
        (["--set", "batch-pairs=4..8"], "sweep: batch_pairs is a range: pass --trials N to draw N combinations"),
        (["--trials", "2", "--one-at-a-time"], "--one-at-a-time and trials: choose one"),
        (["--seeds", "0"], "Invalid value for '--seeds': 0 is not in the range 1<=x<=100."),
        (["--set", "patience=1,2", "--dev", "no.csv"], "no file no.csv: give a .parquet, .arrow, .feather, .csv"),
    ],
)  # fmt: skip
def test_a_wrong_request(
    arguments: list[str], message: str, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["sweep", str(recipe), "--output", "x", *arguments])
    assert done.exit_code == 2, done.output
    assert message in done.stderr.strip().splitlines()[-1]
    assert not list(tmp_path.glob("x*")), "something was written"
