"""Every setting reaches what it is for: whole runs against computations by hand."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from lastword.augment import noisy
from lastword.config import train_config
from lastword.embedding import Embedder
from lastword.embedding.tokens import Batch
from lastword.errors import WorkError
from lastword.training import LastStep, train
from lastword.training.adapter import add_adapter
from lastword.training.guide import make_guide
from lastword.training.loop import Loop
from lastword.training.masked import MaskedTexts
from lastword.training.objectives import PairObjective, step_rows
from lastword.training.pairs import Pairs, read_pairs
from lastword.training.run import make_accelerator
from lastword.training.selection import HeldOutPairs
from lastword.training.teacher import make_teacher
from tests.training.conftest import pair_columns

Settings = dict[str, Any]
Load = Callable[..., Embedder]
ADAPTER = "training/step-{:06d}/adapter_model.safetensors"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """All pairs in one step, two with a hard negative and three with texts that another pair has too."""
    columns = pair_columns(12)
    columns["anchor"][3] = columns["anchor"][0]
    columns["positive"][5] = columns["positive"][4]
    columns["positive"][7] = columns["anchor"][6]
    columns["negative"] = ["", "the cat was far from the river", *[""] * 6, "no dog was near", "", "", ""]
    pq.write_table(pa.table(columns), tmp_path / "wired.parquet")
    return settings | {
        "pairs": [str(tmp_path / "wired.parquet")], "batch_pairs": 12, "steps": 1, "dropout": 0.0, "warmup_steps": 0,
        "scorer": LastStep(),
    }  # fmt: skip


def loss_by_hand(
    embedder: Embedder, pairs: Pairs, positives: list[str], temperature: float, exclude: bool = True
) -> float:
    """InfoNCE, an anchor at a time; by default, repeated texts are no negatives."""
    hard = [text for texts in pairs.negatives for text in texts]
    texts, anchors_of = pairs.positives + hard, pairs.anchors + [""] * len(hard)
    anchors, candidates = embedder.encode(pairs.anchors), embedder.encode(positives + hard)
    losses = []
    for i, anchor in enumerate(pairs.anchors):
        repeated = [
            text in (anchor, pairs.positives[i]) or anchors_of[j] == anchor for j, text in enumerate(texts)
        ]
        scores = [float(anchors[i] @ candidate) / temperature for candidate in candidates]
        counted = [score for j, score in enumerate(scores) if j == i or not (exclude and repeated[j])]
        losses.append(math.log(sum(map(math.exp, counted))) - scores[i])
    return float(np.mean(losses))


def pairs_of_first_step(settings: Settings) -> Pairs:
    pairs = read_pairs(settings["pairs"])
    return pairs.take(step_rows(len(pairs), 12, 0, seed=0))


@pytest.fixture
def base(load: Load) -> Embedder:
    return load(template="ccw", pooling="lasttoken", max_tokens=64)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_hard_negatives_duplicates_and_temperature_are_in_the_loss(
    tmp_path: Path, settings: Settings, base: Embedder, temperature: float
) -> None:
    pairs = pairs_of_first_step(settings)
    result = train(tmp_path / "out", **{**settings, "temperature": temperature})
    expected = loss_by_hand(base, pairs, pairs.positives, temperature)
    assert result.losses == [pytest.approx(expected, abs=2e-4)]
    without = Pairs(pairs.anchors, pairs.positives, [[]] * 12)
    assert abs(loss_by_hand(base, without, pairs.positives, temperature) - expected) > 0.01
    assert abs(loss_by_hand(base, pairs, pairs.positives, temperature, exclude=False) - expected) > 0.01


@pytest.mark.parametrize("shape", ["lists", "columns"])
def test_each_of_several_hard_negatives_is_in_the_loss(
    tmp_path: Path, settings: Settings, base: Embedder, shape: str
) -> None:
    """Rows with fewer negatives add none, not even empty texts."""
    lists = [
        ["no cat sat", "a boat sank", "the sun is hot"],
        [],
        ["one more"],
        *[[]] * 8,
        ["rain fell", "snow fell"],
    ]
    columns: dict[str, Any] = pair_columns(12)
    if shape == "lists":
        columns["negative"] = lists
    else:
        columns |= {
            f"negative_{i + 1}": [texts[i] if len(texts) > i else None for texts in lists] for i in range(3)
        }
    path = tmp_path / "several.parquet"
    pq.write_table(pa.table(columns), path)
    settings = {**settings, "pairs": [str(path)]}
    pairs = pairs_of_first_step(settings)
    assert sorted(map(len, pairs.negatives)) == [0] * 9 + [1, 2, 3]
    result = train(tmp_path / "out", **settings)
    assert result.plan.negatives_per_anchor == 11 + 6
    expected = loss_by_hand(base, pairs, pairs.positives, 0.05)
    assert result.losses == [pytest.approx(expected, abs=2e-4)]
    for row, texts in enumerate(pairs.negatives):  # without any of them the loss is another
        for i in range(len(texts)):
            rest = [*pairs.negatives]
            rest[row] = texts[:i] + texts[i + 1 :]
            other = loss_by_hand(base, Pairs(pairs.anchors, pairs.positives, rest), pairs.positives, 0.05)
            assert abs(other - expected) > 4e-4


def test_noise_damages_the_positives_alone(tmp_path: Path, settings: Settings, base: Embedder) -> None:
    names = ("delete", "characters")
    pairs = pairs_of_first_step(settings)
    damaged = [noisy(text, names, random.Random(f"0/0/{row}")) for row, text in enumerate(pairs.positives)]
    result = train(tmp_path / "out", noise=names, **settings)
    assert result.losses == [pytest.approx(loss_by_hand(base, pairs, damaged, 0.05), abs=2e-4)]
    assert abs(result.losses[0] - loss_by_hand(base, pairs, pairs.positives, 0.05)) > 0.01


def test_guide_teacher_and_widths_are_in_the_loss(tmp_path: Path, settings: Settings, base: Embedder) -> None:
    changes = {
        "guide": "tfidf", "guide_margin": 0.2, "teacher": "self", "teacher_weight": 0.3, "widths": [8],
        "batch_pairs": 12,
    }  # fmt: skip
    pairs, config = read_pairs(settings["pairs"]), train_config(changes)
    result = train(tmp_path / "out", **settings | changes | {"scorer": HeldOutPairs(pairs)})
    guide = make_guide(config, pairs, base, "cpu", tmp_path)
    teacher = make_teacher(config, pairs, base, "cpu", tmp_path)
    losses = []
    for known in ((guide, teacher), (None, teacher), (guide, None)):
        step = PairObjective(pairs, config, *known).step(0)
        losses.append(float(step.loss_of(torch.from_numpy(base.encode(step.texts)))))
    assert result.losses == [pytest.approx(losses[0], abs=2e-4)]
    assert min(abs(loss - losses[0]) for loss in losses[1:]) > 0.01
    assert list(result.widths) == [8, 32]


def test_masked_steps_come_first(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the share of the settings, on as many texts as a step has pairs; a resumed run does not repeat them."""
    settings |= {"attention": "bidirectional", "batch_pairs": 6, "masked_steps": 2, "masked_share": 0.5}
    seen, vectors, step = list[tuple[float, int]](), MaskedTexts.vectors, Loop.step

    def spy(self: MaskedTexts, batch: Batch) -> torch.Tensor:
        seen.append((self.share, len(batch.rows)))
        return vectors(self, batch)

    def killed(self: Loop, number: int) -> dict[str, Any]:
        if not self.stage:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(MaskedTexts, "vectors", spy)
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "out", **settings)
    assert set(seen) == {(0.5, 6)}
    seen.clear()
    result = train(tmp_path / "out", resume=True, **settings)
    assert seen == []
    assert len(result.losses) == 1


def loop_of(load: Load, tmp_path: Path, **settings: Any) -> Loop:
    embedder = load(template="ccw", pooling="lasttoken", max_tokens=64)
    columns = pair_columns(8)
    config = train_config({"batch_pairs": 8, "rank": 4, "dropout": 0.0, **settings})
    objective = PairObjective(Pairs(columns["anchor"], columns["positive"], [[]] * 8), config)
    parameters = add_adapter(embedder.backbone.model, config)
    embedder.backbone.model.train()
    accelerator = make_accelerator(config, embedder, "none", tmp_path)
    return Loop(embedder.pipeline, objective, config, tmp_path, accelerator, parameters)


@pytest.mark.parametrize(
    ("schedule", "number", "factor"),
    [
        ("linear", 0, 1 / 5),
        ("linear", 3, 4 / 5),
        ("linear", 4, 1.0),
        ("linear", 14, 1 / 2),
        ("cosine", 14, 1 / 2),
        ("cosine", 19, (1 + math.cos(math.pi * 3 / 4)) / 2),
        ("constant", 23, 1.0),
    ],
)
def test_the_optimizer_follows_the_schedule(
    tmp_path: Path, load: Load, schedule: str, number: int, factor: float
) -> None:
    """The first update of Adam is as large as the learning rate, and B begins with zeros."""
    loop = loop_of(load, tmp_path, learning_rate=1e-3, warmup_steps=4, steps=24, schedule=schedule)
    facts = loop.step(number)
    weights = dict(loop.pipeline.backbone.model.named_parameters())
    largest = max(float(w.detach().abs().max()) for name, w in weights.items() if "lora_B" in name)
    assert largest == pytest.approx(1e-3 * factor, rel=0.01)
    assert facts["lr"] == pytest.approx(1e-3 * factor)


def test_gradients_are_clipped(tmp_path: Path, load: Load) -> None:
    loop = loop_of(load, tmp_path, clip_norm=1e-3)
    loop.step(0)
    first_moments = [loop.optimizer.state[parameter]["exp_avg"] for parameter in loop.parameters]
    norm = math.sqrt(sum(float((moment / 0.1).square().sum()) for moment in first_moments))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_weights_decay(tmp_path: Path, load: Load) -> None:
    """While B is zero, A has no gradient: all that it loses is the decay."""
    loop = loop_of(load, tmp_path, weight_decay=0.5, learning_rate=1e-2, warmup_steps=0)
    weights = {n: w for n, w in loop.pipeline.backbone.model.named_parameters() if "lora_A" in n}
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    loop.step(0)
    for name, weight in weights.items():
        assert torch.allclose(weight.detach(), before[name] * (1 - 0.5 * 1e-2), atol=1e-7), name


@pytest.mark.parametrize("how", [{}, {"quantize": "nf4"}, {"dtype": "bfloat16"}])
def test_the_product_of_the_adapter_is_multiplied_by_alpha_over_rank(
    tmp_path: Path, settings: Settings, llama_folder: Path, how: Settings
) -> None:
    """It is added to the full weights, also where it was trained over quantised or rounded ones."""
    train(tmp_path / "out", **{**settings, "rank": 4, "alpha": 10.0, **how})
    before, after = (load_file(folder / "model.safetensors") for folder in (llama_folder, tmp_path / "out"))
    adapter = load_file(tmp_path / "out" / ADAPTER.format(1))
    for name in ("layers.0.self_attn.q_proj", "layers.1.mlp.down_proj"):
        a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
        difference = after[f"{name}.weight"] - before[f"model.{name}.weight"]
        assert float((b @ a).abs().max()) > 4e-4
        assert torch.allclose(difference, 10.0 / 4 * b @ a, atol=1e-6), name
    unchanged = [name for name in after if "norm" in name or "embed" in name]
    assert unchanged
    assert all(torch.equal(after[name], before[f"model.{name}"]) for name in unchanged)


def test_dropout_drops_inputs_of_the_adapter(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "steps": 2, "learning_rate": 1e-2}
    plain = train(tmp_path / "plain", **settings).losses
    dropped = train(tmp_path / "dropped", **{**settings, "dropout": 0.5}).losses
    assert dropped[0] == pytest.approx(plain[0], abs=1e-6), "an adapter begins with zeros"
    assert abs(dropped[1] - plain[1]) > 4e-4


def test_the_seed_decides_adapter_and_order(tmp_path: Path, settings: Settings) -> None:
    settings = {**settings, "batch_pairs": 6, "steps": 2}
    runs = [train(tmp_path / f"{i}", **{**settings, "seed": seed}) for i, seed in enumerate((3, 3, 4))]
    assert runs[0].losses == runs[1].losses != runs[2].losses


def test_other_projections_stay_as_they_are(tmp_path: Path, settings: Settings, llama_folder: Path) -> None:
    train(tmp_path / "out", **{**settings, "projections": ["q", "up"]})
    before, after = (load_file(folder / "model.safetensors") for folder in (llama_folder, tmp_path / "out"))
    changed = {name for name in after if not torch.equal(after[name], before[f"model.{name}"])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "up_proj"}


def test_the_folder_describes_the_adapter_and_the_log_every_step(tmp_path: Path, settings: Settings) -> None:
    started = time.perf_counter()
    train(tmp_path / "out", **{**settings, "steps": 2})
    passed = time.perf_counter() - started
    facts = json.loads((tmp_path / "out" / "lastword.json").read_text())["adapter"]
    assert len(facts.pop("sha256")) == 64
    projections = ["q", "v", "o", "gate", "up", "down"]
    modules = {f"{name}_proj": [name] for name in projections}
    settings = {"kind": "lora", "rank": 4, "alpha": 8.0, "adapt_layers": None}
    assert facts == {**settings, "projections": projections, "modules": modules}
    log = [
        json.loads(line) for line in (tmp_path / "out" / "training" / "log.jsonl").read_text().splitlines()
    ]
    assert [line["step"] for line in log] == [1, 2]
    assert all(0 < line["seconds"] < passed for line in log)


@dataclass(frozen=True)
class Flat:
    """A step with a loss that does not depend on the vectors."""

    texts: Sequence[str] = ("a car", "the river")
    negatives: int = 1

    def __len__(self) -> int:
        return 2

    def step(self, number: int) -> Flat:
        return self

    def loss_of(self, vectors: torch.Tensor) -> torch.Tensor:
        return 0 * vectors.sum()


def test_a_first_step_without_a_gradient_is_refused(tmp_path: Path, load: Load) -> None:
    loop = loop_of(load, tmp_path)
    loop.objective = Flat()
    with pytest.raises(WorkError, match="the first step gave no gradient: no adapter is connected"):
        loop.step(0)
    assert loop.step(1)["grad_norm"] == 0
