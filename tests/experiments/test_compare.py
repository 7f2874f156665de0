"""Sources of pairs compared by real, tiny trainings: equal budgets, kept trials, a table and a picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.errors import ExistingOutputError, RequestError
from lastword.experiments import Comparison, compare_pairs, enough_steps, read_sources
from lastword.experiments import trials as trials_module
from lastword.experiments.picture import render
from lastword.experiments.sources import write_sample
from lastword.experiments.table import comparison_table
from tests.training.conftest import pair_columns

Refused = Callable[..., str]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    columns = pair_columns(16)
    same = {"anchor": columns["anchor"], "positive": columns["anchor"][1:] + columns["anchor"][:1]}
    for name, table in {"good": columns, "shifted": same}.items():
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    return [str(tmp_path / "good.parquet"), str(tmp_path / "shifted.parquet")]


@pytest.fixture
def development() -> dict[str, tuple[list[str], list[str]]]:
    texts = [f"the {noun} number {i}" for i in range(12) for noun in ("river", "price")]
    return {"water and money": (texts, ["water", "money"] * 12)}


@pytest.fixture
def settings(llama_folder: Path) -> dict[str, Any]:
    return {
        "model": str(llama_folder), "steps": 3, "batch_pairs": 8, "rank": 4, "max_tokens": 64, "dtype": "float32",
        "template": "ccw",
    }  # fmt: skip


def test_every_source_and_seed_is_tried_once_whatever_happens(
    files: list[str],
    development: Any,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = read_sources([*files, "+".join(files)])
    assert [source.name for source in sources] == ["good", "shifted", "good+shifted"]
    done: list[tuple[str, int]] = []
    real = trials_module._trial

    def counted(source: Any, seed: int, *rest: Any) -> Any:
        if len(done) == 3 and ("stop", 0) not in done:
            done.append(("stop", 0))
            raise KeyboardInterrupt
        trial = real(source, seed, *rest)
        done.append((source.name, seed))
        return trial

    monkeypatch.setattr(trials_module, "_trial", counted)
    out = tmp_path / "compared"
    with pytest.raises(KeyboardInterrupt):
        compare_pairs(sources, development, out, seeds=2, pairs=12, **settings)
    with pytest.raises(ExistingOutputError, match="has an interrupted comparison"):
        compare_pairs(sources, development, out, seeds=2, pairs=12, **settings)
    with pytest.raises(RequestError, match="resume=True: steps was 3 and is now 4"):
        compare_pairs(sources, development, out, seeds=2, pairs=12, resume=True, **{**settings, "steps": 4})
    found = compare_pairs(sources, development, out, seeds=2, pairs=12, resume=True, **settings)
    assert len(done) == 7, "six trials and one stop: none twice"
    assert [(trial["source"], trial["seed"], trial["pairs"], trial["step"]) for trial in found.trials] == [
        (name, seed, 12, 3) for name in ("good", "shifted", "good+shifted") for seed in (0, 1)
    ]
    assert json.loads((out / "comparison.json").read_text()) == found.to_dict()
    assert not list(out.glob("good-0")), "models are not kept"


def comparison(**scores: list[float]) -> Comparison:
    trials = [
        {"source": name, "seed": seed, "pairs": 9, "step": 3, "scores": {"a": score, "b": score + 0.1}}
        for name, values in scores.items()
        for seed, score in enumerate(values)
    ]
    return Comparison(trials, {"a": 0.2, "b": 0.3}, {})


def test_the_table_says_what_is_level() -> None:
    found = comparison(near=[0.30, 0.32], far=[0.21, 0.20], top=[0.33, 0.31])
    assert comparison_table(found).splitlines() == [
        "source           mean        a     b",
        "before training  25.0        20.0  30.0",
        "top              37.0 ± 1.4  32.0  42.0  best",
        "near             36.0 ± 1.4  31.0  41.0  level with the best",
        "far              25.5 ± 0.7  20.5  30.5",
    ]


def test_one_training_has_no_band() -> None:
    lines = comparison_table(comparison(top=[0.33], far=[0.21])).splitlines()
    assert lines[2].split(maxsplit=4) == ["top", "38.0", "33.0", "43.0", "one training: no band"]
    assert lines[3].endswith("one training: no band")


def test_the_picture_has_every_trial() -> None:
    picture = ElementTree.fromstring(render(comparison(one=[0.3, 0.4, 0.35], two=[0.2, 0.2, 0.2])))
    assert len([element for element in picture.iter() if element.tag.endswith("circle")]) == 6
    assert {"one", "two"} <= {element.text for element in picture.iter()}


def test_mixtures_take_equal_parts(files: list[str], tmp_path: Path) -> None:
    (*_, mixture) = read_sources([*files, "+".join(files)])
    assert write_sample(mixture, 10, 0, tmp_path / "sample.parquet") == 10
    anchors = [set(pq.read_table(file)["positive"].to_pylist()) for file in files]
    drawn = pq.read_table(tmp_path / "sample.parquet")["positive"].to_pylist()
    assert sum(text in anchors[1] for text in drawn) >= 5
    assert sum(text in anchors[0] for text in drawn) >= 5


def test_what_cannot_be_compared(files: list[str], refused: Refused) -> None:
    assert (
        refused(RequestError, read_sources, files[:1]) == "1 source of pairs: a comparison needs two or more"
    )
    assert refused(RequestError, read_sources, [files[0], files[0]]) == (
        "two sources are called 'good': rename a file"
    )


def test_a_recipe_of_few_steps_is_given_more() -> None:
    assert [enough_steps(recipe) for recipe in ({}, {"steps": 20}, {"steps": 150})] == [100, 60, 150]


def test_the_command(files: list[str], llama_folder: Path, tmp_path: Path) -> None:
    labelled = tmp_path / "labelled.csv"
    labelled.write_text(
        "text,label\n" + "".join(f"the {n} {i},{n}\n" for i in range(8) for n in ("river", "price"))
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('batch_pairs = 8\nrank = 4\nmax_tokens = 64\ndtype = "float32"\n')
    command = ["pairs", "compare", *files, "--dev", str(labelled), "--recipe", str(recipe), "--model",
               str(llama_folder), "--seeds", "1"]  # fmt: skip
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "out"), "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert {"good", "shifted"} <= {line.split()[0] for line in done.stdout.splitlines()}
    assert (tmp_path / "out" / "comparison.svg").exists()
