"""The cost of each switch: every one beside its own counterpart, on a tiny model; interrupted and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.experiments import series as series_module
from lastword.paper import defect_runs as module
from lastword.paper.defect_runs import FIXED, contestants, measure_defects, unmeasured
from lastword.paper.switches import SWITCHES
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


def test_each_switch_has_a_counterpart_that_differs_by_it_alone() -> None:
    by_name = {one.name: one for one in contestants(FACTS)}
    assert len(by_name) == len(contestants(FACTS))
    for one in by_name.values():
        if one.against is None:
            assert not one.switches
            continue
        other = by_name[one.against]
        assert one.settings == other.settings
        if one.input != "csv":
            assert one.input == other.input
    names = {name for one in by_name.values() for name in (one.name, *one.also)}
    assert set(SWITCHES) - names == {"average=test-only"}


def test_what_cannot_matter_is_not_tried() -> None:
    def names(**facts: int) -> set[str]:
        return {one.name for one in contestants({**FACTS, **facts})}

    assert names() - names(texts_over_100_tokens=0) == {f"{FIXED}, 512 tokens", "train_tokens=100"}
    assert names() - names(runs_that_draw_the_header_row=0) == {"header_row=keep"}


def test_every_switch_is_measured_once(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = series_module._train_and_score, []

    def counted(folder: Path, run: Any, *rest: Any) -> Any:
        if len(done) == 5:
            done.append("stop")
            raise KeyboardInterrupt
        done.append(run.file_name)
        return real(folder, run, *rest)

    monkeypatch.setattr(series_module, "_train_and_score", counted)
    out = tmp_path / "defects"
    with pytest.raises(KeyboardInterrupt):
        measure_defects(out, **settings)
    with pytest.raises(RequestError, match="resume=True: seeds was 2 and is now 3"):
        measure_defects(out, resume=True, **{**settings, "seeds": 3})
    found = measure_defects(out, resume=True, **settings)
    facts, against = found.settings["facts"], found.settings["against"]
    tried = contestants(facts)
    assert len(done) == 2 * len(tried) + 1, "each once, and one stop"
    assert [(run.name, run.seed) for run in found.runs] == [
        (name, seed) for one in tried for seed in (0, 1) for name in (one.name, *one.also)
    ]
    assert against == {name: one.against for one in tried for name in (one.name,)} | {
        name: one.name for one in tried for name in one.also
    }
    assert all(found.difference(name, counterpart) for name, counterpart in against.items() if counterpart)
    assert json.loads((out / "defects.json").read_text()) == json.loads(json.dumps(found.to_dict()))
    assert facts == {
        "pairs": 30, "texts": 60, "longest_tokens": facts["longest_tokens"], "texts_over_100_tokens": 0,
        "runs_that_draw_the_header_row": 2,
    }  # fmt: skip
    assert unmeasured(found) == ["train_tokens=100", "average=test-only"]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [], (
        "neither models nor inputs stay"
    )
    assert str(tmp_path) not in json.dumps([run.to_dict() for run in found.runs]), "no path of this computer"


def test_a_tokenizer_is_made_to_begin_its_sequences(tmp_path: Path, llama_folder: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for path in llama_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    definition = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**definition, "post_processor": None}))
    plain = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    made = module._model_that_begins({"model": str(folder)}, tmp_path)["model"]
    begins = Embedder.from_pretrained(made, dtype="float32", device="cpu")
    assert not plain.pipeline.tokenizer.adds_bos
    (ids,), (plain_ids,) = (embedder.pipeline.tokenize(["a car"]).ids for embedder in (begins, plain))
    assert ids == [begins.pipeline.tokenizer.bos_id, *plain_ids]


def test_one_seed_has_no_error_bar(tmp_path: Path, refused: Refused) -> None:
    assert refused(RequestError, measure_defects, tmp_path / "x", seeds=1) == (
        "seeds=1: the difference of two recipes has an error bar from 2 seeds on"
    )
