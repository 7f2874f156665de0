"""Long work lies beside its place until it is done, goes on with the same settings, and appears at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lastword.errors import ExistingOutputError, RequestError
from lastword.files.run_folder import RunFolder, replace


def unfinished(out: Path) -> RunFolder:
    place = RunFolder(out, "survey")
    place.open({"seed": 1})
    place.once("part", lambda: {"score": 0.5})
    return place


def test_what_is_finished_stands_alone(tmp_path):
    place = unfinished(tmp_path / "out")
    assert not place.out.exists()
    place.finish(place.partial)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert json.loads((place.out / "part.json").read_text()) == {"score": 0.5}


def test_a_part_is_done_once_and_read_afterwards(tmp_path):
    place = unfinished(tmp_path / "out")
    place = RunFolder(place.out, "survey", resume=True)
    place.open({"seed": 1})
    assert place.once("part", lambda: pytest.fail("it is there")) == {"score": 0.5}


def test_interrupted_work_is_neither_lost_nor_mixed(tmp_path):
    place = unfinished(tmp_path / "out")
    with pytest.raises(ExistingOutputError) as told:
        RunFolder(place.out, "survey").open({"seed": 1})
    assert str(told.value) == (
        f"{place.out}.partial holds an interrupted survey: go on with --resume or start over with --overwrite"
    )
    with pytest.raises(RequestError) as told:
        RunFolder(place.out, "survey", resume=True).open({"seed": 2})
    assert str(told.value) == (
        "--resume: seed was 1 and is now 2; "
        "repeat the settings of the interrupted survey or start over with --overwrite"
    )
    RunFolder(place.out, "survey", overwrite=True).open({"seed": 2})
    assert [path.name for path in place.partial.iterdir()] == ["settings.json"]


def test_where_nothing_was_done_there_is_nothing_to_lose(tmp_path):
    for seed in (1, 2):
        place = RunFolder(tmp_path / "out", evidence="part-*.json")
        place.open({"seed": seed})
    assert json.loads((place.partial / "settings.json").read_text()) == {"seed": 2}


def test_what_exists_is_replaced_only_if_asked_for(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ExistingOutputError, match="out exists: give another place or --overwrite"):
        RunFolder(tmp_path / "out").check()
    place = RunFolder(tmp_path / "out", overwrite=True)
    place.open({})
    place.finish(place.partial)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["settings.json"]


def test_the_old_stays_where_the_new_cannot_stand(tmp_path):
    (tmp_path / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace(tmp_path / "missing", tmp_path / "old")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old", "old")]
