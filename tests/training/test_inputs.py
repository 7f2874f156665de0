"""A resumed run reads the same files, development texts and model as the interrupted one, or is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.evaluation import ClusterScorer
from lastword.files.locks import FileLock
from lastword.files.run_folder import RunFolder
from lastword.training import LastStep, train
from lastword.uncertainty import Score
from tests.training.conftest import made_score, pair_columns

Settings = dict[str, Any]
Refused = Callable[..., str]
SETS = {"topics": (["a river", "a car", "a house"], ["x", "y", "x"])}


class StopsError(Exception):
    pass


class Scorer(ClusterScorer):
    """Development texts whose scores are made by hand; the run stops at one of them."""

    def __init__(self, sets: Any = SETS, stop_at: int = 2) -> None:
        super().__init__(sets)
        self.calls, self.stop_at = 0, stop_at

    def __call__(self, embedder: Any) -> Score:
        self.calls += 1
        if self.calls == self.stop_at:
            raise StopsError
        return made_score(0.5, 0.01)


@pytest.fixture
def own_model(tmp_path: Path, settings: Settings) -> Path:
    folder = tmp_path / "base"
    shutil.copytree(settings["model"], folder)
    settings["model"] = str(folder)
    return folder


def interrupted(out: Path, settings: Settings, stop_at: int = 2) -> None:
    with pytest.raises(StopsError):
        train(out, scorer=Scorer(stop_at=stop_at), **settings)


def test_a_replaced_input_is_not_resumed(
    tmp_path: Path, settings: Settings, own_model: Path, pairs_file: Path, refused: Refused
) -> None:
    out = tmp_path / "out"
    interrupted(out, settings)
    advice = "restore its inputs, or pass overwrite=True to start over"
    changed = f"has changed since the interrupted run; {advice}"

    def resumed(sets: Any = SETS) -> str:
        return refused(RequestError, train, out, scorer=Scorer(sets, 3), resume=True, **settings)

    other = {"topics": (["a river", "a car", "a mouse"], ["x", "y", "x"])}
    assert resumed(other) == f"resume=True: the development set topics {changed}"

    before = pairs_file.read_bytes()
    columns = pair_columns()
    columns["anchor"][7] = columns["anchor"][7].replace("the", "tha")
    pq.write_table(pa.table(columns), pairs_file)
    assert resumed() == f"resume=True: the file of pairs {pairs_file} {changed}"
    pairs_file.write_bytes(before)

    edits = {"config.json": {"rms_norm_eps": 1e-3}, "tokenizer.json": {"normalizer": {"type": "Lowercase"}}}
    for file, edit in edits.items():
        whole = (own_model / file).read_text()
        (own_model / file).write_text(json.dumps({**json.loads(whole), **edit}))
        assert resumed() == f"resume=True: the model {own_model} {changed}", file
        (own_model / file).write_text(whole)


def test_unchanged_inputs_are_resumed(tmp_path: Path, settings: Settings) -> None:
    interrupted(tmp_path / "out", settings)
    assert train(tmp_path / "out", scorer=Scorer(stop_at=9), resume=True, **settings).selection.step == 10


def test_a_score_of_another_input_is_not_used_by_a_run_without_checkpoints(
    tmp_path: Path, settings: Settings
) -> None:
    interrupted(tmp_path / "out", settings, stop_at=2)
    for checkpoint in (tmp_path / "out.partial" / "checkpoints").glob("step-*"):
        shutil.rmtree(checkpoint)  # as a run that was killed after the score of the base model
    scorer = Scorer({"topics": (["a river", "a bus"], ["x", "y"])}, stop_at=9)
    train(tmp_path / "out", scorer=scorer, resume=True, **settings)
    assert scorer.calls == 3, "the score before training is by the texts of the other run"


def test_the_folder_is_locked_before_the_model_is_loaded(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: Any, **settings: Any) -> Any:
        assert FileLock(RunFolder(tmp_path / "made" / "out").partial).holder()
        raise StopsError

    monkeypatch.setattr(Embedder, "from_pretrained", load)
    with pytest.raises(StopsError):
        train(tmp_path / "made" / "out", scorer=LastStep(), **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.parquet"]
