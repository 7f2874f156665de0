"""Scores at checkpoints, the choice among them, and the early stop: it is where it should be and survives a kill."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.files.run_folder import RunFolder
from lastword.training import HeldOutPairs, LastStep, train
from lastword.training.pairs import Pairs
from lastword.training.selection import CheckpointScores, Selection, checkpoints_since_better
from lastword.uncertainty import Score, compare, halves
from tests.processes import before, run_killed
from tests.training.conftest import made_score, pair_columns

Settings = dict[str, Any]
Refused = Callable[..., str]


class AdapterSize:
    """Grows with every step; the value depends on the weights alone.

    Attributes:
        spread: of the replicates, uncorrelated from call to call.
        stop_at: call that is interrupted.
    """

    criterion = "size of the adapter"
    inputs: ClassVar[dict[str, str]] = {}

    def __init__(self, spread: float, stop_at: int | None = None) -> None:
        self.spread, self.stop_at, self.calls = spread, stop_at, 0

    def __call__(self, embedder: Embedder) -> Score:
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        weights = [p for name, p in embedder.backbone.model.named_parameters() if "lora_B" in name]
        size = float(sum(weight.detach().abs().sum() for weight in weights))
        return made_score(size, self.spread, self.calls)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.1)), min_size=1, max_size=12))
def test_checkpoints_are_counted_from_the_last_better_one(values: list[tuple[float, float]]) -> None:
    scores = [made_score(value, spread, i) for i, (value, spread) in enumerate(values)]
    better = [0]
    for i, score in enumerate(scores):
        if i and compare(score, scores[better[-1]]).low > 0:
            better.append(i)
    assert checkpoints_since_better(scores) == len(scores) - 1 - better[-1]


def test_a_slow_rise_counts_once_its_sum_is_distinguishable() -> None:
    rise = [made_score(0.30 + 0.01 * i, 0.0083, i) for i in range(7)]
    assert 0.02 < compare(rise[1], rise[0]).high - 0.01 < 0.03, "half the width of an interval"
    assert [checkpoints_since_better(rise[:n]) for n in range(1, 8)] == [0, 1, 2, 0, 1, 2, 0]


def test_what_both_checkpoints_share_is_no_error() -> None:
    """Paired: the same halves are easy or hard for both."""
    rise = [made_score(0.30 + 0.01 * i, 0.1, pattern=3) for i in range(3)]
    assert [checkpoints_since_better(rise[:n]) for n in range(1, 4)] == [0, 0, 0]


def test_the_highest_is_kept_and_the_indistinguishable_are_named() -> None:
    values = {0: 0.2, 10: 0.3, 20: 0.395, 30: 0.4, 40: 0.39}
    scores = {step: made_score(value, 0.01, step) for step, value in values.items()}
    assert Selection("made", 30, scores).indistinguishable == [20, 40]
    assert Selection("last step", 40, {}).indistinguishable == []


def test_what_training_masks_does_not_compete(load: Callable[..., Embedder]) -> None:
    """A perfect score where all others are copies of the positive or of the anchor."""
    embedder = load(template="none", pooling="mean")
    texts = ["a car", "the river was low", "she sold the house", "a cat"]
    same, chained = Pairs(texts, ["it ends"] * 4, [[]] * 4), Pairs(texts[:2], texts[1::-1], [[]] * 2)
    assert HeldOutPairs(same)(embedder).value == HeldOutPairs(chained)(embedder).value == 1


def test_a_choice_as_plain_values() -> None:
    scores = {step: made_score(value, 0.01, step) for step, value in {0: 0.2, 10: 0.4, 20: 0.395}.items()}
    choice = Selection("made", 10, scores, stopped=20)
    assert choice.score == 0.4
    assert choice.gain == compare(scores[10], scores[0])
    values = choice.to_dict()
    assert values.pop("gain") == choice.gain.to_dict()
    assert values == {
        "criterion": "made",
        "step": 10,
        "score": 0.4,
        "indistinguishable": [20],
        "scores": {"0": 0.2, "10": 0.4, "20": 0.395},
        "draw_se": {"0": 0.0, "10": 0.0, "20": 0.0},
        "text_se": {str(step): score.text_se for step, score in scores.items()},
        "stopped": 20,
    }
    last = Selection("last step", 40, {})
    assert math.isnan(last.score)
    assert last.gain is None
    assert (last.to_dict()["score"], last.to_dict()["gain"], last.to_dict()["stopped"]) == (None, None, None)


def test_a_choice_is_read_from_the_folder_of_a_run(tmp_path: Path) -> None:
    scores = CheckpointScores(AdapterSize(0), None, tmp_path / "scores.json")
    scores.by_step = {
        step: made_score(value, 0.1, step) for step, value in {0: 0.2, 10: 0.4, 20: 0.3}.items()
    }
    choice = scores.select([10, 20], 30)
    scores.save()
    (tmp_path / "choice.json").write_text(json.dumps(choice.to_dict()), encoding="utf-8")
    assert (
        Selection.read(tmp_path) == choice == Selection("size of the adapter", 10, scores.by_step, stopped=20)
    )
    (tmp_path / "scores.json").unlink()
    last = Selection("last step", 40, {})
    (tmp_path / "choice.json").write_text(json.dumps(last.to_dict()), encoding="utf-8")
    assert Selection.read(tmp_path) == last


def test_the_highest_checkpoint_is_chosen_and_the_earliest_of_equal_ones(tmp_path: Path) -> None:
    scores = CheckpointScores(AdapterSize(0), None, tmp_path / "scores.json")
    assert scores.select([10, 20, 30], 30) == Selection("size of the adapter", 30, {})
    scores.by_step = {step: made_score(value) for step, value in {0: 0.9, 10: 0.3, 20: 0.4, 30: 0.4}.items()}
    assert scores.select([10, 20, 30], 30) == Selection("size of the adapter", 20, scores.by_step)
    assert scores.select([10, 20, 30], 31).stopped == 30


def test_patience_counts_checkpoints_in_the_order_of_their_steps(tmp_path: Path) -> None:
    scores = CheckpointScores(AdapterSize(0), 2, tmp_path / "scores.json")
    scores.by_step = {step: made_score(0.5) for step in (20, 0, 10)}
    assert scores.stalled
    scores.by_step[20] = made_score(0.6)
    assert not scores.stalled
    scores.by_step = {0: made_score(0.5), 10: made_score(0.5)}
    assert not scores.stalled
    scores.patience = None
    assert not scores.stalled


def test_scores_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    scores = CheckpointScores(AdapterSize(0), None, path)
    scores.load()
    assert scores.by_step == {}
    scores.by_step = {0: made_score(0.2, 0.1), 10: made_score(0.3, 0.1)}
    scores.save()
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
    assert path.read_text(encoding="utf-8").endswith("}\n")
    again = CheckpointScores(AdapterSize(0), None, path)
    again.load()
    assert again.by_step == scores.by_step


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_scored_as_it_is_loaded_and_then_goes_on_as_before(
    tmp_path: Path, load: Any, training: bool
) -> None:
    embedder = load()
    embedder.backbone.model.train(training)
    seen = []

    class Looks(AdapterSize):
        def __call__(self, embedder: Embedder) -> Score:
            seen.append(
                (embedder.backbone.model.training, embedder.backbone.model.config._attn_implementation)
            )
            return super().__call__(embedder)

    scores = CheckpointScores(Looks(0), None, tmp_path / "s")
    assert scores.seconds == 0
    with embedder.backbone.attention("eager"):
        assert scores.measure(embedder) == made_score(0.0, 0.0, 1)
    assert (seen, embedder.backbone.model.training) == ([(False, "sdpa")], training)
    assert 0 < scores.seconds < 60
    assert CheckpointScores(LastStep(), None, tmp_path / "s").measure(embedder) is None


def test_a_flat_score_stops_the_training_and_is_written_down(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "steps": 150, "patience": 2}
    stopped = train(tmp_path / "flat", scorer=AdapterSize(spread=1e9), **settings)
    assert stopped.selection.stopped == 20
    assert list(stopped.selection.scores) == [0, 10, 20]
    assert len(stopped.losses) == 20
    card = json.loads((tmp_path / "flat" / "lastword.json").read_text())
    assert card["selection"]["stopped"] == 20
    assert card["selection"]["text_se"]["20"] == pytest.approx(1e9, rel=0.05)
    assert card["selection"]["gain"]["verdict"] == "not distinguishable"
    assert card["recipe"]["patience"] == 2
    choice = json.loads((tmp_path / "flat" / "training" / "choice.json").read_text())
    assert choice == card["selection"]
    stored = json.loads((tmp_path / "flat" / "training" / "scores.json").read_text())["scores"]
    assert {int(step): Score.from_dict(score) for step, score in stored.items()} == stopped.selection.scores


def test_a_rising_score_stops_nothing(tmp_path: Path, settings: Settings) -> None:
    result = train(tmp_path / "out", scorer=AdapterSize(spread=0), **{**settings, "steps": 25, "patience": 1})
    assert result.selection.stopped is None
    assert result.selection.step == 25


def test_a_killed_run_stops_where_it_would_have(tmp_path: Path, settings: Settings) -> None:
    pairs = tmp_path / "hundred.parquet"
    pq.write_table(pa.table(pair_columns(100)), pairs)
    settings = {
        **settings, "pairs": [str(pairs)], "steps": 200, "patience": 3, "dropout": 0.1, "learning_rate": 1e-7,
    }  # fmt: skip
    whole = train(tmp_path / "whole", **settings)
    assert whole.selection.criterion == "mean reciprocal rank on 10 held-out pairs"
    assert whole.selection.stopped == 40
    out = tmp_path / "killed"
    run_killed(before("lastword.training.loop.Loop.step", 24), train, out, **settings)
    assert not out.exists()
    resumed = train(out, resume=True, **settings)
    assert resumed.selection == whole.selection
    assert resumed.losses == whole.losses
    weights = [load_file(folder / "model.safetensors") for folder in (tmp_path / "whole", out)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_checkpoint_without_its_score_gets_it_on_resume(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "steps": 45, "patience": 2}
    whole = train(tmp_path / "whole", scorer=AdapterSize(spread=0), **settings)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        train(out, scorer=AdapterSize(spread=0, stop_at=3), **settings)
    assert sorted(path.name for path in (tmp_path / "stopped.partial" / "checkpoints").glob("step-*")) == [
        "step-000010",
        "step-000020",
    ]
    again = AdapterSize(spread=0)
    resumed = train(out, scorer=again, resume=True, **settings)
    assert resumed.selection == whole.selection
    assert again.calls == 3, "steps 20, 40 and 45; what was scored before is read"


def test_a_run_that_had_stopped_goes_no_further_on_resume(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, finish = {**settings, "steps": 45, "patience": 1}, RunFolder.finish
    monkeypatch.setattr(RunFolder, "finish", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "out", scorer=AdapterSize(spread=1e9), **settings)
    monkeypatch.setattr(RunFolder, "finish", finish)
    result = train(tmp_path / "out", scorer=AdapterSize(spread=1e9), resume=True, **settings)
    assert (result.selection.stopped, len(result.losses)) == (10, 10)


def test_a_resumed_run_chooses_by_the_same_score(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    settings, out = {**settings, "steps": 45}, tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        train(out, scorer=AdapterSize(spread=0, stop_at=3), **settings)
    other = AdapterSize(spread=0)
    other.criterion = "something else"
    assert refused(RequestError, train, out, scorer=other, resume=True, **settings) == (
        "resume=True: the checkpoints were scored by size of the adapter, not by something else; repeat the settings "
        "of the interrupted run, or restart it with overwrite=True"
    )


def test_patience_without_a_score(tmp_path: Path, settings: Settings, refused: Refused) -> None:
    message = (
        "patience=2 needs a development score: give labelled development texts or more pairs, "
        "or leave patience out"
    )
    for scorer in (None, LastStep()):
        assert (
            refused(RequestError, train, tmp_path / "out", scorer=scorer, **{**settings, "patience": 2})
            == message
        )
    assert not list(tmp_path.glob("out*"))


def test_the_last_step_is_kept_where_nothing_is_scored(tmp_path: Path, settings: Settings) -> None:
    result = train(tmp_path / "out", scorer=LastStep("all get the same"), **settings)
    assert (result.selection.step, result.selection.criterion) == (12, "all get the same")
    assert result.selection.scores == {}


def test_scoring_in_the_middle_changes_nothing(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "dropout": 0.2, "noise": "delete"}
    scored = train(tmp_path / "scored", scorer=AdapterSize(spread=0), **settings)
    blind = train(tmp_path / "blind", scorer=LastStep(), **settings)
    assert scored.losses == blind.losses


def test_held_out_pairs_are_the_replicates(load: Any) -> None:
    columns = pair_columns(20)
    pairs = Pairs(columns["anchor"], columns["positive"], [[]] * 20)
    embedder = load(template="ccw", pooling="lasttoken")
    scorer = HeldOutPairs(pairs)
    assert scorer.criterion == "mean reciprocal rank on 20 held-out pairs"
    score = scorer(embedder)
    assert (score.metric, score.draws, score.n) == ("mrr", (), 20)
    anchors, positives = embedder.encode(pairs.anchors), embedder.encode(pairs.positives)
    reciprocal = []
    for i in range(20):
        similarity = [float(anchors[i] @ positives[j]) for j in range(20)]
        reciprocal.append(1 / sum(value >= similarity[i] for value in similarity))
    mean = sum(reciprocal) / 20
    assert score.value == pytest.approx(mean, abs=1e-6)
    for rows, (value,) in zip(halves(20), score.resamples, strict=True):
        assert value == pytest.approx(sum(reciprocal[row] for row in rows) / 10, abs=1e-5)
    assert scorer(load(template="ccw", pooling="lasttoken", normalize=False)) == score
    other = HeldOutPairs(pairs)(load(template="none", pooling="mean"))
    assert compare(other, score).value == pytest.approx(other.value - score.value)
    reordered = Pairs(pairs.anchors[::-1], pairs.positives[::-1], pairs.negatives)
    swapped = Pairs(pairs.anchors, pairs.positives[::-1], pairs.negatives)
    inputs = [HeldOutPairs(some).inputs for some in (pairs, reordered, swapped)]
    assert [list(some) for some in inputs] == [["the held-out pairs"]] * 3
    assert len({some["the held-out pairs"] for some in inputs}) == 3
    with pytest.raises(RequestError, match="scores of different texts"):
        compare(HeldOutPairs(reordered)(embedder), score)
