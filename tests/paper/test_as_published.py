"""What each switch changes in a training run, against plain computations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.paper.as_published import WORDINGS, AsPublished, apart, summed
from lastword.training import LastStep, train
from lastword.training.losses import Targets, info_nce
from lastword.training.objectives import Standard, step_rows
from lastword.training.pairs import read_pairs
from tests.training.conftest import pair_columns

Load = Callable[..., Embedder]
Refused = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path, llama_folder: Path) -> dict[str, Any]:
    columns = pair_columns(30)
    rows = zip(columns["anchor"], columns["positive"], strict=True)
    path = tmp_path / "pairs.csv"
    path.write_text("anchor,positive\n" + "".join(f'"{a}","{p}"\n' for a, p in rows))
    return {
        "model": str(llama_folder), "pairs": [str(path)], "max_tokens": 64, "steps": 1, "batch_pairs": 30,
        "rank": 4, "dtype": "float32", "device": "cpu", "trackers": "none", "scorer": LastStep(), "dropout": 0.0,
    }  # fmt: skip


def first_step(out: Path) -> dict[str, float]:
    line: dict[str, float] = json.loads((out / "training" / "log.jsonl").read_text().splitlines()[0])
    return line


@given(st.integers(2, 40), st.integers(0, 5), st.integers(0, 3))
def test_micro_batches_are_losses_of_their_own(n: int, hard: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    owners = [*range(n), *sorted(torch.randint(0, n, (hard,), generator=generator).tolist())]
    anchors = torch.randn(n, 8, generator=generator)
    candidates = torch.randn(len(owners), 8, generator=generator)
    losses = []
    for start in range(0, n, 12):
        rows = range(start, min(start + 12, n))
        hard = [i for i in range(n, len(owners)) if owners[i] in rows]
        loss = info_nce(anchors[list(rows)], candidates[[*rows, *hard]], Targets(0.1))
        losses.append(float(loss) * len(rows))
    together = info_nce(anchors, candidates, Targets(0.1, apart(owners, n)))
    assert float(together) == pytest.approx(sum(losses) / n, abs=1e-4)


def test_a_step_has_the_loss_of_its_micro_batches(tmp_path: Path, settings: dict[str, Any]) -> None:
    result = train(tmp_path / "out", variant=AsPublished(("negatives=micro",)), **settings)
    assert result.plan.negatives_per_anchor == 11
    embedder = Embedder.from_pretrained(
        settings["model"], template="ccw", pooling="lasttoken", max_tokens=64, dtype="float32", device="cpu"
    )
    pairs = read_pairs(settings["pairs"])
    rows = step_rows(30, 30, 0, seed=0)
    anchors = torch.from_numpy(embedder.encode([pairs.anchors[row] for row in rows]))
    positives = torch.from_numpy(embedder.encode([pairs.positives[row] for row in rows]))
    parts = [(0, 12), (12, 24), (24, 30)]
    losses = [float(info_nce(anchors[a:b], positives[a:b], Targets(0.05))) * (b - a) for a, b in parts]
    assert result.losses[0] == pytest.approx(sum(losses) / 30, abs=1e-3)
    assert result.losses[0] < train(tmp_path / "full", **settings).losses[0]


@given(st.integers(2, 40), st.integers(0, 5), st.booleans())
def test_a_sum_has_the_mean_of_each_micro_batch_whole(n: int, hard: int, alone: bool) -> None:
    """Also of the last one, which has fewer pairs."""
    generator = torch.Generator().manual_seed(n)
    owners = [*range(n), *sorted(torch.randint(0, n, (hard,), generator=generator).tolist())]
    anchors = torch.randn(n, 8, generator=generator)
    candidates = torch.randn(len(owners), 8, generator=generator)
    scores = anchors @ candidates.T / anchors.norm(dim=1)[:, None] / candidates.norm(dim=1)[None] / 0.1
    excluded = apart(owners, n) if alone else torch.zeros(n, len(owners), dtype=torch.bool)
    each = -scores.masked_fill(excluded, float("-inf")).log_softmax(1)[range(n), range(n)]
    expected = sum(float(each[start : start + 12].mean()) for start in range(0, n, 12))
    assert float(summed(info_nce)(anchors, candidates, Targets(0.1, excluded))) == pytest.approx(
        expected, abs=1e-4
    )


def test_sums_are_as_many_times_larger_as_there_are_micro_batches(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    settings["batch_pairs"] = 24
    train(tmp_path / "mean", **settings)
    train(tmp_path / "sum", variant=AsPublished(("accumulation=sum",)), **settings)
    mean, total = first_step(tmp_path / "mean"), first_step(tmp_path / "sum")
    assert total["loss"] == pytest.approx(2 * mean["loss"], rel=1e-5)
    assert total["grad_norm"] == pytest.approx(2 * mean["grad_norm"], rel=1e-4)


def ids(embedder: Embedder, text: str = "the river") -> list[int]:
    return embedder.pipeline.tokenize([text]).ids[0]


def test_without_switches_only_the_length_differs(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    used, trained = Standard().views(embedder, 40)
    assert ids(used) == ids(trained) == ids(embedder)
    assert (used.pipeline.max_tokens, trained.pipeline.max_tokens) == (embedder.pipeline.max_tokens, 40)
    assert used.backbone is trained.backbone is embedder.backbone
    assert Standard().views(embedder, 10**6)[1].pipeline.max_tokens == embedder.pipeline.max_tokens


def test_the_begin_of_text_token_is_seen_in_evaluation_only(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    used, trained = AsPublished(("bos=eval-only",)).views(embedder, 64)
    assert ids(used) == ids(embedder) == [embedder.pipeline.tokenizer.bos_id, *ids(trained)]


def test_a_space_stands_before_the_end_of_text_in_evaluation_only(load: Load) -> None:
    embedder = load(template="ccw", pooling="eos")
    used, trained = AsPublished(("eos=space",)).views(embedder, 64)
    space, eos = embedder.pipeline.tokenizer.part_ids(" "), embedder.pipeline.tokenizer.eos_id
    assert ids(trained) == ids(embedder)
    assert ids(used) == [*ids(embedder)[:-1], *space, eos]
    last = load(template="ccw", pooling="lasttoken")
    assert ids(AsPublished(("eos=space",)).views(last, 64)[0]) == ids(last), "no token, no space"


@pytest.mark.parametrize("name", WORDINGS)
def test_training_and_evaluation_have_their_own_wordings(load: Load, name: str) -> None:
    embedder = load(template=name, pooling="lasttoken")
    used, trained = AsPublished(("template=split",)).views(embedder, 64)
    assert (trained.spec.template.text, used.spec.template.text) == WORDINGS[name]
    worded = used.spec.template
    assert worded == replace(
        embedder.spec.template, name=worded.name, prefix=worded.prefix, suffix=worded.suffix
    )
    assert (used.spec.template.name == name) == (used.spec.template.text == embedder.spec.template.text)


@pytest.mark.parametrize("template", ["question", "About {text}:"])
def test_a_template_of_one_wording(load: Load, refused: Refused, template: str) -> None:
    embedder = load(template=template)
    shown = template if "{" not in template else "custom"
    assert refused(RequestError, AsPublished(("template=split",)).views, embedder, 64) == (
        f"as_published='template=split': the paper's code has no two wordings of template {shown!r}; "
        "it has them of none, eol, pcot, sum, ccw, ccp, classify"
    )


def test_a_hundred_tokens_of_the_text_are_trained_on(load: Load) -> None:
    embedder = load(template="ccp", pooling="lasttoken", max_tokens=127)
    _, trained = AsPublished(("train_tokens=100",)).views(embedder, 16)
    long = "river " * 200
    assert trained.pipeline.tokenize([long]).spans[0] == (
        embedder.pipeline.compiled.length,
        embedder.pipeline.compiled.length + 100,
    )
    eos = load(template="ccp", pooling="eos", max_tokens=126)
    _, trained = AsPublished(("train_tokens=100",)).views(eos, 16)
    start, end = trained.pipeline.tokenize([long]).spans[0]
    assert end - start == 100


def test_the_header_row_is_a_pair(tmp_path: Path, settings: dict[str, Any]) -> None:
    kept, dropped = read_pairs(settings["pairs"], header_rows=True), read_pairs(settings["pairs"])
    assert (kept.anchors[0], kept.positives[0], kept.negatives[0]) == ("anchor", "positive", [])
    assert kept.anchors[1:] == dropped.anchors
    assert len(kept) == 31
    path = tmp_path / "hard.tsv"
    path.write_text("anchor\tpositive\tnegative\na\tb\tc\nd\te\tf\n")
    assert read_pairs([path], header_rows=True).negatives == [[], ["c"], ["f"]]
    assert len(read_pairs(["pairs"], header_rows=True)) == len(read_pairs(["pairs"])), (
        "Parquet has no such row"
    )
    result = train(tmp_path / "out", variant=AsPublished(("header_row=keep",)), **settings)
    assert result.plan.pairs == 31


def test_the_folder_has_the_template_of_the_evaluation(tmp_path: Path, settings: dict[str, Any]) -> None:
    train(tmp_path / "out", template="pcot", variant=AsPublished(("all",)), **settings)
    card = json.loads((tmp_path / "out" / "lastword.json").read_text())
    assert card["template"]["suffix"] == '" means in one word'
    assert card["recipe"]["as_published"] == ["all"]
    assert Embedder.from_pretrained(tmp_path / "out").spec.template.text == WORDINGS["pcot"][1]
