"""Settings at their limits, and texts and models that cannot be trained on, end in one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.errors import DivergenceError, RequestError, TableError
from lastword.training import LastStep, Standard, train
from lastword.training.objectives import Objective, PairObjective, PairStep
from lastword.training.pairs import Pairs, read_pairs
from tests.training.conftest import pair_columns

Settings = dict[str, Any]
Refused = Callable[..., str]
ADVICE = "lower learning_rate or use dtype float32; the checkpoints so far are kept"


def write_pairs(path: Path, **changes: list[str]) -> None:
    pq.write_table(pa.table({**pair_columns(), **changes}), path)


@pytest.mark.parametrize(
    "columns",
    [
        {"anchor": ["one anchor"] * 30},
        {"positive": ["one positive"] * 30},
        {"anchor": ["one anchor"] * 30, "positive": ["one positive"] * 30},
        {"anchor": ["one text"] * 30, "positive": ["one text"] * 30, "negative": ["one text"] * 30},
        {"anchor": [f"a {i % 2}" for i in range(30)], "positive": [f"a {(i + 1) % 2}" for i in range(30)]},
    ],
    ids=["anchors", "positives", "duplicates", "negatives too", "each other's positives"],
)
def test_pairs_that_leave_no_negatives_are_refused_before_the_model_is_loaded(
    columns: dict[str, list[str]], tmp_path: Path, settings: Settings, pairs_file: Path, refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write_pairs(pairs_file, **columns)
    monkeypatch.setattr(
        Embedder, "from_pretrained", lambda *args, **settings: pytest.fail("the model is loaded")
    )
    message = refused(TableError, train, tmp_path / "out", scorer=LastStep(), **settings)
    assert message == (
        "the pairs leave no negatives: all pairs of a step have the same anchor or the same positive, such as "
        f"{columns.get('positive', pair_columns()['positive'])[0]!r}; give pairs of more different texts, or hard "
        "negatives in a column negative"
    )


def test_a_first_step_without_negatives_is_no_fault_of_the_adapter(
    tmp_path: Path, settings: Settings, pairs_file: Path
) -> None:
    write_pairs(pairs_file, anchor=["one anchor"] * 20 + [f"anchor {i}" for i in range(10)])
    settings |= {"batch_pairs": 2, "steps": 4}
    pairs = read_pairs([pairs_file])

    def objective(seed: int) -> PairObjective:
        config = {name: settings[name] for name in ("batch_pairs", "steps")}
        return PairObjective(pairs, train_config({**config, "seed": seed}))

    seed = next(seed for seed in range(99) if not objective(seed).step(0).negatives)
    assert train(tmp_path / "out", scorer=LastStep(), seed=seed, **settings).losses[0] == 0


def test_a_tracker_that_is_not_installed_is_refused(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    settings["trackers"] = "clearml"
    message = refused(RequestError, train, tmp_path / "out", scorer=LastStep(), **settings)
    assert message.startswith(
        "trackers='clearml' is not installed, or unknown to accelerate; usable: none, all, tensorboard"
    )


class Steep(Standard):
    """A loss whose gradient overflows."""

    def objective(self, pairs: Pairs, config: Any) -> Objective:
        class Step(PairStep):
            def loss_of(self, vectors: Tensor) -> Tensor:
                return (vectors.sum() - vectors.sum().detach()) * 3e38

        class Steps(PairObjective):
            def step(self, number: int) -> PairStep:
                return Step(**vars(super().step(number)))

        return Steps(pairs, config)


def test_a_gradient_that_is_not_finite_changes_no_weight(
    tmp_path: Path, settings: Settings, refused: Refused
) -> None:
    message = refused(
        DivergenceError, train, tmp_path / "out", scorer=LastStep(), variant=Steep(), **settings
    )
    assert message in (f"the gradient is inf at step 1: {ADVICE}", f"the gradient is nan at step 1: {ADVICE}")


def test_the_largest_steps_end_in_one_line(tmp_path: Path, settings: Settings, refused: Refused) -> None:
    settings |= {"learning_rate": 1.0, "alpha": 10_000.0, "rank": 1, "temperature": 0.001, "clip_norm": 1e6}
    message = refused(DivergenceError, train, tmp_path / "out", scorer=LastStep(), **settings)
    assert message == (
        "the model gives zero vectors after step-000012: lower learning_rate or alpha; the checkpoints so far are kept"
    )


@pytest.mark.parametrize(
    "limits",
    [
        {"warmup_steps": 1_000_000},
        {"graph_gib": 0.0, "batch_tokens": 1},
        {"temperature": 10.0, "learning_rate": 1e-9, "weight_decay": 1.0},
        {"batch_pairs": 65_536, "dropout": 0.99, "rank": 4096},
    ],
)
def test_settings_at_their_limits_train(limits: Settings, tmp_path: Path, settings: Settings) -> None:
    result = train(tmp_path / "out", scorer=LastStep(), **settings | {"steps": 2} | limits)
    assert len(result.losses) == 2


@pytest.fixture
def broken(llama_folder: Path, tmp_path: Path) -> Embedder:
    """A model with an infinite embedding of the token of "29"."""
    folder = Path(shutil.copytree(llama_folder, tmp_path / "broken"))
    token = Embedder.from_pretrained(folder, bos=False).pipeline.tokenize(["29"]).ids[0][-1]
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = float("inf")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return Embedder.from_pretrained(folder, dtype="float32", device="cpu")


@pytest.mark.parametrize(
    "encode",
    [
        lambda embedder, texts: embedder.encode(texts),
        lambda embedder, texts: list(embedder.encode_stream(iter(texts))),
        lambda embedder, texts: embedder.encode_poolings(texts, ["mean", "eos"]),
        lambda embedder, texts: embedder.encode_grid(texts, templates=["ccw"], poolings=["mean"], layers=[2]),
    ],
    ids=["encode", "encode_stream", "encode_poolings", "encode_grid"],
)
def test_a_vector_that_is_not_finite_is_named_with_its_text(
    encode: Callable[[Embedder, list[str]], Any], broken: Embedder, refused: Refused
) -> None:
    message = refused(DivergenceError, encode, broken, ["a river", "the car 29", "a house"])
    assert message == (
        f"{broken.name} gives no finite vector for 'the car 29': use dtype='float32', or another model or checkpoint"
    )


def test_the_log_is_json(tmp_path: Path, settings: Settings) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    train(tmp_path / "out", scorer=LastStep(), **settings)
    for file in (tmp_path / "out").rglob("*.json*"):
        for text in file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]:
            json.loads(text, parse_constant=refuse)
