"""What a run reads: pairs, those held out of them, and the fingerprints that a resumed run compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lastword.bundled import PATHS, SELF, path_of
from lastword.config import TrainConfig
from lastword.errors import RequestError, TableError
from lastword.files.run_folder import fingerprint
from lastword.training import LastStep, Standard
from lastword.training.data import inputs_of, read_data, require_negatives
from lastword.training.pairs import Pairs
from lastword.training.selection import HeldOutGrades, HeldOutPairs

Refused = Callable[..., str]


def _csv(path: Path, count: int, **writing: Any) -> str:
    path.write_text("anchor_positive\n" + "".join(f"text {i}_a text {i}\n" for i in range(count)), **writing)
    return str(path)


def test_files_of_pairs_are_read_as_the_settings_say(tmp_path: Path) -> None:
    file = _csv(tmp_path / "pairs.csv", 12, encoding="cp037")  # not to be guessed, nor the delimiter
    config = TrainConfig(pairs=(file,), encoding="cp037", delimiter="_", batch_pairs=4)
    pairs, scorer = read_data(config, Standard(), None, False)
    assert (pairs.anchors[3], pairs.positives[3]) == ("text 3", "a text 3")
    assert (len(pairs), scorer) == (12, LastStep("last step (too few pairs to hold any out)"))


def test_a_tenth_of_the_pairs_is_held_out_for_the_score(tmp_path: Path, refused: Refused) -> None:
    config = TrainConfig(pairs=(_csv(tmp_path / "pairs.csv", 80),), delimiter="_", batch_pairs=4)
    pairs, scorer = read_data(config, Standard(), None, False)
    assert isinstance(scorer, HeldOutPairs)
    assert (len(pairs), len(scorer.pairs)) == (72, 8)
    assert not set(pairs.anchors) & set(scorer.pairs.anchors)
    for seed, same in ((0, True), (1, False)):
        _, other = read_data(replace(config, seed=seed), Standard(), None, False)
        assert isinstance(other, HeldOutPairs)
        assert (other.pairs == scorer.pairs) is same
    given = LastStep()
    pairs, scorer = read_data(config, Standard(), given, False)
    assert (len(pairs), scorer) == (80, given)
    message = refused(RequestError, read_data, replace(config, patience=2), Standard(), given, False)
    assert message.startswith("patience=2 needs a development score: ")


def test_scores_that_a_loss_does_not_use_are_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "graded.csv"
    file.write_text("anchor,positive,score\n" + "".join(f"text {i},a text {i},{i % 5}\n" for i in range(80)))
    config = TrainConfig(pairs=(str(file), "pairs"), batch_pairs=4)
    read_data(replace(config, pairs=(str(file),), loss="angle"), Standard(), None, False)
    assert caplog.messages == []
    read_data(config, Standard(), None, False)
    assert caplog.messages == [
        f"{file} has scores, which loss=info_nce does not use: each of its pairs counts as two texts that mean the "
        "same; loss=cosent or loss=angle learns from scores"
    ]


def test_graded_pairs_are_held_out_with_their_scores(tmp_path: Path) -> None:
    rows = "".join(f"text {i},a text {i},{i % 5}\n" for i in range(80))
    (tmp_path / "graded.csv").write_text("anchor,positive,score\n" + rows)
    config = TrainConfig(pairs=(str(tmp_path / "graded.csv"),), loss="cosent", batch_pairs=4)
    pairs, scorer = read_data(config, Standard(), None, False)
    assert isinstance(scorer, HeldOutGrades)
    assert (len(pairs.scores), len(scorer.pairs.scores)) == (72, 8)


def test_pairs_with_an_empty_side_are_left_out_if_asked(tmp_path: Path, refused: Refused) -> None:
    file = Path(_csv(tmp_path / "pairs.csv", 6))
    file.write_text(file.read_text() + "a car_\n")
    config = TrainConfig(pairs=(str(file),), delimiter="_", batch_pairs=4)
    assert "drop_empty" in refused(TableError, read_data, config, Standard(), None, False)
    assert len(read_data(config, Standard(), None, True)[0]) == 6


def test_steps_that_take_all_pairs_are_reported(tmp_path: Path, said: list[str]) -> None:
    config = TrainConfig(pairs=(_csv(tmp_path / "pairs.csv", 5),), delimiter="_", batch_pairs=6)
    read_data(config, Standard(), LastStep(), False)
    assert said == ["batch_pairs=6, but there are 5 pairs: each step takes them all"]
    read_data(replace(config, batch_pairs=5), Standard(), LastStep(), False)
    assert len(said) == 1


def test_a_resumed_run_must_read_the_same(tmp_path: Path) -> None:
    file = _csv(tmp_path / "pairs.csv", 5)
    config, pairs = TrainConfig(pairs=("pairs", file)), Pairs(["a"], ["b"], [[]])
    inputs = inputs_of(config, pairs, LastStep(inputs={"the texts": "1"}))
    assert inputs["the file of pairs pairs"] == fingerprint(PATHS["pairs"])
    assert inputs[f"the file of pairs {file}"] == fingerprint(file)
    assert inputs["the texts"] == "1"
    others = [Pairs(["x"], ["b"], [[]]), Pairs(["a"], ["x"], [[]]), Pairs(["a"], ["b"], [["x"]])]
    others += [Pairs(["a"], ["b"], [[]], scores=[score]) for score in (1.0, 2.0)]
    hashes = {inputs_of(config, some, LastStep())["the pairs read"] for some in (pairs, *others)}
    assert len(hashes) == 6


def test_a_resumed_run_must_read_the_same_examples(tmp_path: Path) -> None:
    pairs, shots, hashes = Pairs(["a"], ["b"], [[]]), tmp_path / "shots.csv", set()
    for answer in ("Animal", "Vehicle"):
        shots.write_text(f"text,answer\na horse,{answer}\n")
        inputs = inputs_of(TrainConfig(template=f"eol@{shots}"), pairs, LastStep())
        hashes.add(inputs["the examples in the template"])
    assert len(hashes) == 2
    assert "the examples in the template" not in inputs_of(TrainConfig(), pairs, LastStep())


@pytest.mark.parametrize("role", ["guide", "teacher"])
def test_a_resumed_run_must_have_the_same_guide_and_teacher(tmp_path: Path, role: str) -> None:
    folder, pairs = tmp_path / "model", Pairs(["a"], ["b"], [[]])
    folder.mkdir()

    def inputs(model: str | None) -> dict[str, str]:
        changes: dict[str, Any] = {role: model}
        return inputs_of(replace(TrainConfig(), **changes), pairs, LastStep())

    plain = inputs(None)
    assert inputs(SELF) == plain, "the model is an input of its own"
    for name in (str(folder), f"sentence-transformers:{folder}"):
        seen = []
        for content in ("{}", "[]"):
            (folder / "config.json").write_text(content)
            assert inputs(name).keys() - plain.keys() == {f"the {role} {name}"}
            seen.append(inputs(name)[f"the {role} {name}"])
        assert seen[0] != seen[1], name
    assert inputs("mini")[f"the {role} mini"] == fingerprint(path_of("mini"))


def test_without_negatives_the_message_says_what_to_change(refused: Refused) -> None:
    config = TrainConfig(steps=4, guide="tfidf", guide_margin=0.5)
    plain, graded = Pairs(["a"], ["b"], [[]]), Pairs(["a"], ["b"], [[]], scores=[1.0])

    def objective(*negatives: int) -> Any:
        return SimpleNamespace(step=lambda number: SimpleNamespace(negatives=negatives[number]))

    none = objective(0, 0, 0, 0, 1)
    assert "such as 'b'; give pairs" in refused(TableError, require_negatives, none, plain, config)
    assert "a larger batch_pairs" in refused(TableError, require_negatives, none, graded, config)
    message = refused(RequestError, require_negatives, none, plain, config, guided=True)
    assert message.startswith("guide='tfidf' with guide_margin=0.5 leaves no negatives: ")
    require_negatives(objective(0, 0, 0, 1), plain, config)
