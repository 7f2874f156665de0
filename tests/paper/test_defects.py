"""The cost of each switch: every one beside the same training without it, on a tiny model; interrupted and resumed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.experiments import Comparison, TrainingRun
from lastword.experiments import series as series_module
from lastword.paper import defects as module
from lastword.paper.defects import CORRECT, defect_runs, defects_table, measure_defects, unmeasured
from lastword.paper.switches import SWITCHES
from lastword.training.pairs import pair_files, read_pairs
from lastword.uncertainty import HALVES, Score
from tests.training.conftest import pair_columns

Refused = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path, llama_folder: Path) -> dict[str, Any]:
    pq.write_table(pa.table(pair_columns()), tmp_path / "pairs.parquet")
    dev = tmp_path / "dev.csv"
    dev.write_text(
        "text,label\n" + "".join(f"the {n} {i},{n}\n" for i in range(8) for n in ("river", "price"))
    )
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        f'model = "{llama_folder}"\npairs = ["{tmp_path / "pairs.parquet"}"]\ntemplate = "ccw"\nsteps = 2\n'
        'batch_pairs = 30\nrank = 4\nmax_tokens = 64\ndtype = "float32"\nlearning_rate = 1e-2\nwarmup_steps = 0\n'
    )
    return {"recipe": recipe, "development": [str(dev)], "device": "cpu", "seeds": 2}


FACTS = {"texts_over_100_tokens": 1, "runs_that_draw_the_header_row": 1}


def test_each_switch_is_compared_with_a_run_that_differs_by_it_alone() -> None:
    by_name = {way.name: way for way in defect_runs(FACTS)}
    assert len(by_name) == len(defect_runs(FACTS))
    for way in by_name.values():
        if way.against is None:
            assert not way.switches
            continue
        other = by_name[way.against]
        assert way.switches
        assert way.settings == other.settings
        if way.input != "csv":
            assert way.input == other.input
    names = {name for way in by_name.values() for name in (way.name, *way.scored_with)}
    assert set(SWITCHES) - names == {"average=test-only"}


def test_what_cannot_matter_is_not_tried() -> None:
    def names(**facts: int) -> set[str]:
        return {way.name for way in defect_runs({**FACTS, **facts})}

    assert names() - names(texts_over_100_tokens=0) == {f"{CORRECT}, 512 tokens", "train_tokens=100"}
    assert names() - names(runs_that_draw_the_header_row=0) == {"header_row=keep"}


@pytest.mark.slow
def test_every_switch_is_measured_once(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = series_module.train, []

    def counted(folder: Path, **how: Any) -> Any:
        if len(done) == 5:
            done.append("stop")
            raise KeyboardInterrupt
        done.append(folder.name)
        return real(folder, **how)

    monkeypatch.setattr(series_module, "train", counted)
    output = tmp_path / "defects"
    with pytest.raises(KeyboardInterrupt):
        measure_defects(output, **settings)
    with pytest.raises(RequestError, match="resume=True: seeds was 2 and is now 3"):
        measure_defects(output, resume=True, **{**settings, "seeds": 3})
    found = measure_defects(output, resume=True, **settings)
    facts = found.settings["input"]
    ways = defect_runs(facts)
    assert len(done) == 2 * len(ways) + 1, "each once, and one stop"
    assert {(run.name, run.seed) for run in found.runs} == {
        (name, seed) for way in ways for name in (way.name, *way.scored_with) for seed in (0, 1)
    }
    content = json.loads((output / "defects.json").read_text())
    assert json.loads(json.dumps(Comparison.from_dict(content).to_dict())) == content
    assert facts == {
        "pairs": 30, "texts": 60, "longest_tokens": facts["longest_tokens"], "texts_over_100_tokens": 0,
        "runs_that_draw_the_header_row": 2,
    }  # fmt: skip
    assert unmeasured(found) == ["train_tokens=100", "average=test-only"]
    assert not (output / "inputs").exists()
    assert str(tmp_path) not in json.dumps(content["runs"]), "no path of this computer"
    _check_table(found)


def _check_table(found: Comparison) -> None:
    rows = [row.split(" | ") for row in defects_table(found).splitlines()]
    names = [row[0].strip("| ") for row in rows[2:]]
    assert names[:2] == [f"**{CORRECT}**", "padding=left-assumed"]
    assert len(names) == len(found.names)
    difference = found.difference("negatives=micro", CORRECT)
    assert difference is not None
    assert rows[2 + names.index("negatives=micro")][3].strip(" |") == difference.verdict


def test_the_table_compares_each_switch_with_its_counterpart() -> None:
    def scores(value: float) -> dict[str, Score]:
        return {"dev": Score("v_measure", value, (value,) * 10, ((value,),) * HALVES, 9, "texts")}

    values = {"plain": [0.3, 0.32, 0.31], "other": [0.4, 0.41, 0.42], "negatives=micro": [0.2, 0.21, 0.22]}
    runs = [
        TrainingRun(name, seed, 20, scores(x)) for name, xs in values.items() for seed, x in enumerate(xs)
    ]
    found = Comparison(runs, scores(0.1), {"against": {"negatives=micro": "plain"}}, "switch")
    assert re.sub(r"\[[-+., \d]+\]", "[…]", defects_table(found)).splitlines() == [
        "| training | V-measure | difference [95 %] | with the defect |",
        "| --- | ---: | ---: | --- |",
        "| **plain** | 31.0 ± 0.6 (0.0) |  |  |",
        "| negatives=micro | 21.0 ± 0.6 (0.0) | -10.0 […] | worse |",
        "| **other** | 41.0 ± 0.6 (0.0) |  |  |",
    ]
    assert "accumulation=sum" in unmeasured(found)
    assert "negatives=micro" not in unmeasured(found)


def test_a_tokenizer_that_adds_begin_of_text(tmp_path: Path, llama_folder: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for path in llama_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    definition = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**definition, "post_processor": None}))
    plain = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    changed = module._model_with_bos({"model": str(folder)}, tmp_path)["model"]
    with_bos = Embedder.from_pretrained(changed, dtype="float32", device="cpu")
    tokenizer = with_bos.pipeline.tokenizer
    assert not plain.pipeline.tokenizer.adds_bos
    ids = plain.pipeline.tokenize(["a car"]).ids[0]
    assert with_bos.pipeline.tokenize(["a car"]).ids == [[tokenizer.bos_id, *ids]]


def test_a_model_of_the_hub_gets_such_a_tokenizer_too(
    tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the files of its that the Hub's cache has."""
    cached = tmp_path / "hub" / "models--some--llama"
    shutil.copytree(llama_folder, cached / "snapshots" / ("a" * 40))
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    changed = module._model_with_bos({"model": "some/llama"}, tmp_path)["model"]
    assert Embedder.from_pretrained(changed, device="cpu").pipeline.tokenizer.adds_bos


def test_pairs_are_read_with_their_encoding_and_delimiter(tmp_path: Path, llama_folder: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes("anchor;positive\nÖl;Fett\nBär;Tier\n".encode("cp1252"))
    settings = {"model": str(llama_folder), "pairs": [str(path)], "encoding": "cp1252", "delimiter": ";"}
    assert module._input_facts(settings, 2, "cpu")["pairs"] == 2
    (tmp_path / "prepared").mkdir()
    changed = settings | module._pairs_as_csv(settings, tmp_path / "prepared")
    assert read_pairs(pair_files(train_config(changed))).anchors == ["Öl", "Bär"]


def test_one_seed_has_no_interval(tmp_path: Path, refused: Refused) -> None:
    assert refused(RequestError, measure_defects, tmp_path / "x", seeds=1) == (
        "seeds=1: a difference needs an interval, which takes 2 or more"
    )
