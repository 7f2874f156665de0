"""The whole way at small size: two steps, few texts; with labels and without, killed at each stage and resumed."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import lastword
from lastword import AdaptResult, Store, adapt_corpus
from lastword.adaptation import adapt as module
from lastword.adaptation.findings import certainty, findings, summary, verdict
from lastword.bundled import path_of
from lastword.console import logger
from lastword.errors import ExistingOutputError, RequestError, WorkError
from tests.adaptation import killed
from tests.browser import browser_page
from tests.processes import run, run_killed

MODEL = path_of("mini") / "model.safetensors"
pytestmark = pytest.mark.skipif(not MODEL.is_file(), reason=f"the bundled model does not exist: {MODEL}")
RECIPE = """\
model = "mini"
template = "ccw"
pooling = "lasttoken"
layer = 2
max_tokens = 32
steps = 2
batch_pairs = 8
warmup_steps = 1
rank = 4
alpha = 8.0
"""
GROUPS = 4
TEXTS = 240


@pytest.fixture(scope="module", autouse=True)
def few_repetitions() -> Iterator[None]:
    """See `killed.SMALL`."""
    with pytest.MonkeyPatch.context() as patch:
        for path, value in killed.SMALL.items():
            patch.setattr(path, value)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled products with a column of prices, and a few rows without a text."""
    file = tmp_path_factory.mktemp("corpus") / "products.parquet"
    table = pq.read_table(path_of("products"), columns=["text", "label"]).slice(0, TEXTS)
    prices = np.arange(len(table))
    pq.write_table(table.append_column("price", [prices]), file)
    return file


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    recipe = tmp_path_factory.mktemp("recipe") / "small.toml"
    recipe.write_text(RECIPE)
    return {"recipe": recipe, "map": "pca", "groups": GROUPS, "device": "cpu"}


@pytest.fixture(scope="module")
def labelled(corpus: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> AdaptResult:
    output = tmp_path_factory.mktemp("labelled") / "adapted"
    handler = logging.FileHandler(output.with_name("messages.txt"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, "handlers", [handler])
        patch.setattr(logger, "level", logging.INFO)
        result = adapt_corpus(corpus, output, label_column="label", **settings)
    handler.close()
    return result


def test_the_folder_has_everything(labelled: AdaptResult) -> None:
    folder = labelled.output
    names = {"model", "groups", "pairs", "report.html", "adapted.json"}
    assert {path.name for path in folder.iterdir()} == names
    assert not folder.with_name("adapted.partial").exists()
    content = json.loads((folder / "adapted.json").read_text())
    assert content == json.loads(json.dumps(labelled.to_dict()))
    assert ".partial" not in json.dumps(content)
    store = Store.open(folder / "groups" / "vectors")
    embedder = lastword.Embedder.from_pretrained(folder / "model", device="cpu")
    store.require_model(embedder)
    assert len(store) == TEXTS
    found = lastword.search(store, "a lamp", top=3)  # the model is where the store says
    assert len(found.queries[0].matches) == 3
    table = pq.read_table(folder / "groups" / "texts.parquet")
    assert {"price", "group", "group_name"} <= set(table.column_names)


def test_messages_name_no_unfinished_folder(labelled: AdaptResult) -> None:
    messages = labelled.output.with_name("messages.txt").read_text()
    assert f"wrote {labelled.output / 'model'} after" in messages
    assert f"{labelled.output / 'pairs' / 'crop.parquet'}" in messages
    assert ".partial" not in messages


def test_training_sees_training_texts_only(labelled: AdaptResult) -> None:
    """All pairs are made of training texts, and labels of no other text are used."""
    pairs = pq.read_table(labelled.output / "pairs" / "labels.parquet")
    sides = (
        set(pairs["anchor"].to_pylist())
        | set(pairs["positive"].to_pylist())
        | set(pairs["negative"].to_pylist())
    )
    assert len(sides) <= labelled.training
    assert labelled.training + labelled.development + labelled.test == TEXTS
    noise = pq.read_table(labelled.output / "pairs" / "noise.parquet")["anchor"].to_pylist()
    assert sides <= set(noise)
    assert len(noise) == labelled.training


def test_models_are_compared_on_the_same_texts(labelled: AdaptResult) -> None:
    kinds = [row.kind for row in labelled.models]
    assert kinds[:2] == ["adapted", "unadapted"]
    assert "tfidf" in kinds
    assert {score.n for row in labelled.models for score in row.scores.values()} == {labelled.test}
    assert labelled.measure == "v_measure"
    assert labelled.gain == labelled.adapted.against(labelled.unadapted, "v_measure")
    text = summary(labelled)
    assert verdict(labelled) in text
    assert "TF-IDF" in text
    assert any("labels of training texts" in sentence for sentence in certainty(labelled))


def test_a_trained_model_is_trained_again_in_its_own_setting(
    labelled: AdaptResult, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With half its learning rate, on neighbours in the corpus and bundled pairs, without crops and noise."""
    monkeypatch.setattr("lastword.adaptation.request._LEAST_STEPS", 2)
    first = json.loads((labelled.output / "model" / "lastword.json").read_text())
    result = adapt_corpus(
        corpus, tmp_path / "again", labelled.output / "model", map="none", groups=GROUPS, device="cpu"
    )
    second = json.loads((result.output / "model" / "lastword.json").read_text())
    names = ("template", "pooling", "max_tokens", "batch_pairs", "rank", "alpha")
    assert {name: second["recipe"][name] for name in names} == {name: first["recipe"][name] for name in names}
    assert second["recipe"]["learning_rate"] == first["recipe"]["learning_rate"] / 2
    assert {source.name: source.weight for source in result.sources} == {"recipe": 1.0, "neighbours": 1.0}
    assert result.choice.again


def test_the_report_is_one_page_that_fits_any_window(labelled: AdaptResult, tmp_path: Path) -> None:
    """Light and dark, it loads nothing else, and the link to the map is one to a file that exists."""
    report = labelled.output / "report.html"
    with browser_page(tmp_path / "profile") as page:
        for width, dark in ((1100, False), (420, True)):
            page.open(report, width=width, dark=dark)
            page.wait("document.querySelector('h1')")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert set(page.requests) == {report.resolve().as_uri()}
        assert page.errors == []
        link = page.evaluate("document.querySelector('#groups ~ p a, section a').getAttribute('href')")
    assert (labelled.output / link).is_file()


def test_without_labels_and_without_success(
    corpus: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says that the score is no proof; where training lowered it, the model before training is kept."""
    monkeypatch.setattr(AdaptResult, "kept", property(lambda result: "unadapted"))
    result = adapt_corpus(corpus, tmp_path / "out", sources={"noise": 1, "neighbours": 2}, **settings)
    assert result.measure == "stability"
    for finding in findings(result):
        assert not re.search("(better|worse) than", finding.text), "stability is not quality"
    assert findings(result)[1].text.endswith("This does not say which of them groups better.")
    assert result.label_column is None
    assert not any("v_measure" in row.scores for row in result.models)
    assert "There are no labels." in certainty(result)[0]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "There are no labels." in page
    assert "http" not in page.replace("http-equiv", "")
    assert [source.name for source in result.sources] == ["noise", "neighbours"]
    assert "The model before training was kept." in page
    assert "It scored lower than the model before training, which was kept." in page
    kept = lastword.Embedder.from_pretrained(tmp_path / "out" / "model", device="cpu")
    base = lastword.Embedder.from_pretrained("mini", device="cpu", **vars(result.choice.best))
    texts = ["a lamp", "a table"]
    assert np.abs(kept.encode(texts) - base.encode(texts)).max() < 1e-4


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([5, 10], id="training and grouping"),
        pytest.param(range(len(killed.KILLS)), id="every stage", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_ends_the_same(
    kills: Sequence[int], corpus: Path, settings: dict[str, Any], labelled: AdaptResult, tmp_path: Path
) -> None:
    """It goes on where it was killed, does no finished stage again, and names no folder of unfinished work."""
    output, calls = tmp_path / "out", tmp_path / "calls.txt"
    request = {"inputs": str(corpus), "output": str(output), "label_column": "label", **settings}
    prepare = [partial(killed.prepare, calls)]
    for kill in kills:
        run_killed(killed.KILLS[kill], adapt_corpus, **request, resume=True, prepare=prepare)
    run(adapt_corpus, **request, resume=True, prepare=prepare)
    ended, expected = (
        json.loads((folder / "adapted.json").read_text()) for folder in (output, labelled.output)
    )
    same = ("choice", "sources", "selection", "losses", "models", "differences", "kept", "groups")
    assert {name: ended[name] for name in same} == {name: expected[name] for name in same}
    again = ["choose"] if 2 in kills else []  # its result was lost
    assert calls.read_text().split() == ["write_sample", "choose", *again, "train", "cluster_corpus"]
    assert "out.partial" not in (output / "groups" / "clusters.json").read_text() + json.dumps(ended)
    lastword.search(Store.open(output / "groups" / "vectors"), "a lamp", top=1)
    assert not output.with_name("out.partial").exists()


def test_an_interrupted_run_is_resumed_with_the_same_settings_only(
    corpus: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "choose", stopped)
    with pytest.raises(KeyboardInterrupt):
        adapt_corpus(corpus, tmp_path / "out", **settings)
    with pytest.raises(ExistingOutputError, match="interrupted adaptation"):
        adapt_corpus(corpus, tmp_path / "out", **settings)
    with pytest.raises(RequestError, match=r"max_texts was 10000 and is now 300"):
        adapt_corpus(corpus, tmp_path / "out", resume=True, max_texts=300, **settings)


def test_an_input_that_changes_meanwhile_is_noticed(
    corpus: Path,
    settings: dict[str, Any],
    labelled: AdaptResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "texts.parquet"
    pq.write_table(pq.read_table(corpus), file)

    def result(work: Any, *args: Any, **kwargs: Any) -> AdaptResult:
        pq.write_table(pq.read_table(corpus).slice(10), file)
        return labelled

    monkeypatch.setattr(module._Adaptation, "result", result)
    with pytest.raises(WorkError, match=r"products.parquet was changed during the run"):
        adapt_corpus(file, tmp_path / "out", sources=["noise"], **settings)
    assert not (tmp_path / "out").exists()
