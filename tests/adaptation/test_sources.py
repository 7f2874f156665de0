"""The mixture of pairs: what each source gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from lastword.adaptation.request import SOURCES, pair_sources
from lastword.adaptation.sources import MIXTURE, PairMaker, shares
from lastword.adaptation.texts import Part, Sample, write_sample
from lastword.bundled import path_of
from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.errors import RequestError, TableError
from lastword.files.run_folder import RunFolder
from lastword.pairs.generating import Endpoint
from lastword.pairs.generating.engine import Answer, Prompt
from tests.corpus.topical import TopicEncoder, topical_texts
from tests.pairs.generating.server import Behaviour, serving


class Rewriter:
    """A chat model that writes the words of a text in reverse order."""

    def settings(self) -> dict[str, Any]:
        return {"model": "reversing"}

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        return [Answer(" ".join(reversed(prompt.text.split()[-8:]))) for prompt in prompts]


def maker(tmp_path: Path, texts: Sequence[str], rewritten: int = 30) -> PairMaker:
    """A maker of pairs of these training texts."""
    run = RunFolder(tmp_path / "out")
    run.partial.mkdir()
    training = Part(list(texts), [text.split()[1] for text in texts])
    write_sample(Sample(training, Part([], []), Part([], []), len(texts)), run.partial / "sample")
    return PairMaker(run, cast(Embedder, TopicEncoder()), Rewriter(), rewritten, 0, None)


@pytest.mark.parametrize(
    ("available", "weights", "wanted", "counts"),
    [
        ({"a": 900, "b": 900}, {"a": 1, "b": 1}, 100, {"a": 50, "b": 50}),
        ({"a": 900, "b": 900}, {"a": 3, "b": 1}, 100, {"a": 75, "b": 25}),
        ({"a": 10, "b": 900, "c": 900}, {"a": 1, "b": 1, "c": 1}, 100, {"a": 10, "b": 45, "c": 45}),
        ({"a": 10, "b": 20}, {"a": 1, "b": 1}, 100, {"a": 10, "b": 20}),
        ({"a": 0, "b": 200}, {"a": 1, "b": 0.5}, 100, {"a": 0, "b": 100}),
    ],
)
def test_what_a_source_lacks_the_others_give(
    available: dict[str, int], weights: dict[str, float], wanted: int, counts: dict[str, int]
) -> None:
    assert shares(available, weights, wanted) == counts


def test_the_default_is_all_that_the_request_allows() -> None:
    assert list(pair_sources(None, labelled=False, rewriting=False)) == [
        "recipe",
        "crop",
        "noise",
        "neighbours",
    ]
    assert pair_sources(None, labelled=False, rewriting=False)["neighbours"] == 2.0
    assert tuple(pair_sources(None, labelled=True, rewriting=True)) == SOURCES
    assert pair_sources(["noise"], labelled=False, rewriting=False) == {"noise": 1.0}


def test_the_command_line_knows_all_sources() -> None:
    from lastword.cli import adapt

    assert adapt.SOURCES == SOURCES


def test_each_source_has_a_file_and_its_part_of_the_mixture(tmp_path: Path) -> None:
    texts, _ = topical_texts(50)
    made = maker(tmp_path, texts)
    weights = {"crop": 1.0, "noise": 3.0, "neighbours": 1.0, "labels": 1.0, "generate": 1.0}
    reports = {report.name: report for report in made.make(weights, TrainConfig(steps=10, batch_pairs=8))}
    for name, report in reports.items():
        file = made.folder / f"{name}.parquet"
        assert report.pairs == (pq.read_metadata(file).num_rows if file.exists() else 0)
        assert report.drawn <= report.pairs
    assert reports["generate"].pairs == 30
    assert (
        sum(report.drawn for report in reports.values()) == pq.read_metadata(made.folder / MIXTURE).num_rows
    )
    assert reports["noise"].drawn > 2 * reports["labels"].drawn
    near = pq.read_table(made.folder / "neighbours.parquet")
    assert set(near["anchor"].to_pylist()) | set(near["positive"].to_pylist()) <= set(texts)


def test_the_pairs_of_the_recipe_are_a_source(tmp_path: Path) -> None:
    made = maker(tmp_path, topical_texts(50)[0])
    config = TrainConfig(steps=10, batch_pairs=8)
    recipe, _ = made.make({"recipe": 1.0, "noise": 1.0}, config)
    assert recipe.pairs == pq.read_metadata(path_of("pairs")).num_rows
    assert recipe.drawn > 0
    anchors = pq.read_table(path_of("pairs"))["anchor"].to_pylist()
    assert {anchor for anchor, _ in recipe.examples} <= set(anchors)


def test_the_pairs_of_the_recipe_are_read_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    rows = [f"text {n}_another text {n}" for n in range(60)]
    file.write_text("\n".join(["anchor_positive", *rows]), encoding="cp037")
    config = TrainConfig(pairs=(str(file),), encoding="cp037", delimiter="_", steps=10, batch_pairs=8)
    (recipe,) = maker(tmp_path, topical_texts(50)[0]).make({"recipe": 1.0}, config)
    assert recipe.pairs == len(rows)


def test_a_source_without_pairs_is_left_out_with_the_reason(tmp_path: Path) -> None:
    """Titles of four words have no two pieces."""
    texts = [f"{n} b{n} c d" for n in range(300)]
    made = maker(tmp_path, texts)
    crop, noise = made.make({"crop": 1.0, "noise": 1.0}, TrainConfig(steps=10, batch_pairs=8))
    assert (crop.pairs, crop.drawn) == (0, 0)
    assert "too short for two pieces" in next(iter(crop.rejected))
    assert noise.drawn == 300
    assert ".partial" not in str(crop.rejected)


def test_a_failed_chat_model_stops_the_run_and_is_asked_again(tmp_path: Path) -> None:
    """A refused key is no reason to adapt without rewritings from then on."""
    made = maker(tmp_path, topical_texts(50)[0])
    weights, config = {"noise": 1.0, "generate": 1.0}, TrainConfig(steps=10, batch_pairs=8)
    with serving(Behaviour(lambda prompt: " ".join(reversed(prompt.split()[-8:])))) as url:
        with pytest.raises(RequestError, match="refuses the key"):
            replace(made, rewriter=Endpoint("good-model", url, "wrong")).make(weights, config)
        _, generate = replace(made, rewriter=Endpoint("good-model", url, "secret")).make(weights, config)
    assert generate.pairs == 30


def test_too_few_pairs_are_refused(tmp_path: Path) -> None:
    made = maker(tmp_path, [f"{n} b{n}" for n in range(200)])
    with pytest.raises(TableError, match=r"0 pairs in all: adapting needs at least 50 \(crop: .*too short"):
        made.make({"crop": 1.0}, TrainConfig())
