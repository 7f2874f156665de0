"""Sources of pairs compared by real, tiny training runs: equal budgets, stored results, a table and a picture."""

from __future__ import annotations

import json
import re
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
from lastword.experiments import Comparison, TrainingRun, compare_pairs, enough_steps, read_sources
from lastword.experiments import series as series_module
from lastword.experiments.pair_sources import draw_samples
from lastword.experiments.picture import render
from lastword.experiments.table import comparison_table
from lastword.uncertainty import HALVES, Score
from tests.training.conftest import pair_columns

Refused = Callable[..., str]


def plain(found: Comparison) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(found.to_dict()))


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


def test_every_source_and_seed_is_trained_once_despite_interruption(
    files: list[str],
    development: Any,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = read_sources([*files, "+".join(files)])
    assert [source.name for source in sources] == ["good", "shifted", "good+shifted"]
    done: list[tuple[str, int]] = []
    real = series_module._train_and_score

    def counted(folder: Path, run: Any, *rest: Any) -> Any:
        if len(done) == 3 and ("stop", 0) not in done:
            done.append(("stop", 0))
            raise KeyboardInterrupt
        rows = real(folder, run, *rest)
        done.append((run.name, run.seed))
        return rows

    monkeypatch.setattr(series_module, "_train_and_score", counted)
    out = tmp_path / "compared"
    with pytest.raises(KeyboardInterrupt):
        compare_pairs(sources, development, out, seeds=2, pairs=12, **settings)
    with pytest.raises(ExistingOutputError, match="has an interrupted comparison"):
        compare_pairs(sources, development, out, seeds=2, pairs=12, **settings)
    with pytest.raises(RequestError, match="resume=True: steps was 3 and is now 4"):
        compare_pairs(sources, development, out, seeds=2, pairs=12, resume=True, **{**settings, "steps": 4})
    content = Path(files[0]).read_bytes()
    columns = pair_columns(16)
    columns["anchor"][3] = columns["anchor"][3].replace("the", "tha")
    pq.write_table(pa.table(columns), files[0])
    with pytest.raises(
        RequestError, match=f"resume=True: {files[0]} has changed since the interrupted comparison"
    ):
        compare_pairs(sources, development, out, seeds=2, pairs=12, resume=True, **settings)
    Path(files[0]).write_bytes(content)
    other = {"water and money": (["a river", "a price"], ["water", "money"])}
    with pytest.raises(RequestError, match="the development set water and money has changed"):
        compare_pairs(sources, other, out, seeds=2, pairs=12, resume=True, **settings)
    found = compare_pairs(sources, development, out, seeds=2, pairs=12, resume=True, **settings)
    assert len(done) == 7, "six runs and one stop: none twice"
    assert [(run.name, run.seed, run.facts["pairs"], run.step) for run in found.runs] == [
        (name, seed, 12, 3) for name in ("good", "shifted", "good+shifted") for seed in (0, 1)
    ]
    content = json.loads((out / "comparison.json").read_text())
    assert content == plain(found) == plain(Comparison.from_dict(content))
    scores = [score for run in found.runs for score in run.scores.values()]
    assert {(len(score.draws), len(score.resamples)) for score in scores} == {(10, HALVES)}
    assert not [path.name for path in out.iterdir() if path.is_dir()], "neither models nor samples stay"


def score(value: float, draws: int) -> Score:
    """Draws and resamples that are the same for all variants, so that only seeds make an error."""
    spread = tuple(value + 0.03 * (i % 2 - 0.5) for i in range(draws))
    halves = tuple((value + 0.02 * (i % 2 - 0.5),) for i in range(HALVES))
    return Score("v_measure", value, spread, halves, 24, "texts", chance=0.05, ami=value - 0.05)


def comparison(draws: int = 10, **values: list[float]) -> Comparison:
    runs = tuple(
        TrainingRun(name, seed, 3, {"a": score(value, draws), "b": score(value + 0.1, draws)}, {"pairs": 9})
        for name, by_seed in values.items()
        for seed, value in enumerate(by_seed)
    )
    return Comparison(runs, {"a": score(0.2, draws), "b": score(0.3, draws)}, {}, "source")


def test_the_table_says_what_is_distinguishable() -> None:
    found = comparison(near=[0.30, 0.32, 0.31], far=[0.21, 0.20, 0.22], top=[0.33, 0.31, 0.32])
    assert found.ranked == ["top", "near", "far"]
    lines = comparison_table(found).splitlines()
    assert [re.sub(r"\[[-+., \d]+\]", "[…]", " ".join(line.split())) for line in lines] == [
        "source mean ± s.e. (seeds, draws) AMI a b to the best [95 %]",
        "chance 5.0 0.0 5.0 5.0",
        "before training 25.0 20.0 20.0 30.0",
        "top 37.0 ± 0.8 32.0 32.0 42.0 best",
        "near 36.0 ± 0.8 31.0 31.0 41.0 -1.0 […] not distinguishable from the best",
        "far 26.0 ± 0.8 21.0 21.0 31.0 -11.0 […] worse",
        "",
        "V-measure × 100. chance: shuffled labels. AMI: adjusted mutual information × 100, 0 for chance.",
        "Other texts of the same kind would move a mean by ± 1.0, most of it the same for all lines; the intervals of "
        "the paired differences include it.",
    ]


def test_seeds_are_paired() -> None:
    """Two sources whose runs rise and fall with the seed alike differ clearly; in another order they do not."""
    rising, above = [0.20, 0.30, 0.40], [0.21, 0.31, 0.41]
    assert comparison(low=rising, high=above).standing("low") == "worse"
    assert comparison(low=rising, high=above[::-1]).standing("low") == "not distinguishable from the best"


def test_one_run_has_no_verdict() -> None:
    lines = comparison_table(comparison(top=[0.33], far=[0.21])).splitlines()
    assert lines[3].split(maxsplit=5) == [
        "top",
        "38.0",
        "33.0",
        "33.0",
        "43.0",
        "one run: spread over seeds unknown",
    ]
    assert lines[4].endswith("one run: spread over seeds unknown")


def test_the_picture_has_every_run() -> None:
    picture = ElementTree.fromstring(render(comparison(one=[0.3, 0.4, 0.35], two=[0.2, 0.2, 0.2])))
    assert len([element for element in picture.iter() if element.tag.endswith("circle")]) == 6
    assert {"one", "two"} <= {element.text for element in picture.iter()}


def test_mixtures_take_equal_parts(files: list[str]) -> None:
    (*_, mixture) = read_sources([*files, "+".join(files)])
    samples = draw_samples(mixture, 10, seeds=2)
    assert [len(sample) for sample in samples] == [10, 10]
    assert samples[0]["positive"].to_pylist() != samples[1]["positive"].to_pylist()
    positives = [set(pq.read_table(file)["positive"].to_pylist()) for file in files]
    drawn = samples[0]["positive"].to_pylist()
    assert [sum(text in of_file for text in drawn) >= 5 for of_file in positives] == [True, True]


def test_wrong_sources(files: list[str], refused: Refused) -> None:
    assert (
        refused(RequestError, read_sources, files[:1]) == "1 source of pairs: a comparison needs two or more"
    )
    assert refused(RequestError, read_sources, [files[0], files[0]]) == (
        "two sources are called 'good': rename a file"
    )


def test_a_recipe_of_few_steps_gets_more() -> None:
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
    done = CliRunner().invoke(main, [*command, "--output", str(tmp_path / "out"), "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert {"good", "shifted"} <= {line.split()[0] for line in done.stdout.splitlines() if line}
    assert (tmp_path / "out" / "comparison.svg").exists()
