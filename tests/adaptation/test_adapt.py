"""The whole way at small size: two steps, few texts; with labels and without, killed at each stage and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import lastword
from lastword import AdaptResult, Store, adapt_corpus
from lastword.adaptation import adapt as module
from lastword.adaptation.findings import certainty, summary, verdict
from lastword.bundled import path_of
from lastword.errors import ExistingOutputError, RequestError, WorkError
from tests.browser import browser_page

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


@pytest.fixture(scope="module", autouse=True)
def few_repetitions() -> Iterator[None]:
    """Fewer bootstraps and halves in each score, fewer settings, and no timing of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lastword.evaluation.clustering._BOOTSTRAPS", 2)
        patch.setattr("lastword.evaluation.clustering.STARTS", 2)
        patch.setattr("lastword.evaluation.development._BOOTSTRAP_SIZE", 256)
        patch.setattr("lastword.uncertainty.HALVES", 4)
        patch.setattr("lastword.adaptation.choosing.TEMPLATES", ("none",))
        patch.setattr("lastword.planning.training._ROUNDS", 1)
        yield


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled products with a column of prices, and a few rows without a text."""
    file = tmp_path_factory.mktemp("corpus") / "products.parquet"
    table = pq.read_table(path_of("products"), columns=["text", "label"]).slice(0, 400)
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
    return adapt_corpus(corpus, output, label_column="label", **settings)


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
    assert len(store) == 400
    found = lastword.search(store, "a lamp", top=3)  # the model is where the store says
    assert len(found.queries[0].matches) == 3
    table = pq.read_table(folder / "groups" / "texts.parquet")
    assert {"price", "group", "group_name"} <= set(table.column_names)


def test_training_sees_training_texts_only(labelled: AdaptResult) -> None:
    """All pairs are made of training texts, and labels of no other text are used."""
    pairs = pq.read_table(labelled.output / "pairs" / "labels.parquet")
    sides = (
        set(pairs["anchor"].to_pylist())
        | set(pairs["positive"].to_pylist())
        | set(pairs["negative"].to_pylist())
    )
    assert len(sides) <= labelled.training
    assert labelled.training + labelled.development + labelled.test == 400
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
    result = adapt_corpus(corpus, tmp_path / "out", sources={"noise": 1, "words": 2}, **settings)
    assert result.measure == "stability"
    assert result.label_column is None
    assert not any("v_measure" in row.scores for row in result.models)
    assert "There are no labels." in certainty(result)[0]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "There are no labels." in page
    assert "http" not in page.replace("http-equiv", "")
    assert [source.name for source in result.sources] == ["noise", "words"]
    assert "The model before training was kept." in page
    kept = lastword.Embedder.from_pretrained(tmp_path / "out" / "model", device="cpu")
    base = lastword.Embedder.from_pretrained("mini", device="cpu", **vars(result.choice.best))
    texts = ["a lamp", "a table"]
    assert np.abs(kept.encode(texts) - base.encode(texts)).max() < 1e-4


STAGES = ("write_sample", "choose", "train", "render")


def test_a_run_that_is_stopped_at_every_stage_ends_the_same(
    corpus: Path,
    settings: dict[str, Any],
    labelled: AdaptResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on where it was stopped, and does no finished stage again."""
    calls = []
    originals = {name: getattr(module, name) for name in STAGES}
    for name in STAGES:

        def stopped(*args: Any, name: str = name, **kwargs: Any) -> Any:
            calls.append(name)
            result = originals[name](*args, **kwargs)
            if calls.count(name) == 1:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(module, name, stopped)
    request = {"label_column": "label", **settings}
    for number in range(len(STAGES)):
        with pytest.raises(KeyboardInterrupt):
            adapt_corpus(corpus, tmp_path / "out", resume=number > 0, **request)
    with pytest.raises(ExistingOutputError, match="interrupted adaptation"):
        adapt_corpus(corpus, tmp_path / "out", **request)
    with pytest.raises(RequestError, match=r"max_texts was 10000 and is now 300"):
        adapt_corpus(corpus, tmp_path / "out", resume=True, max_texts=300, **request)
    result = adapt_corpus(corpus, tmp_path / "out", resume=True, **request)
    assert [row.scores for row in result.models] == [row.scores for row in labelled.models]
    assert result.sources == labelled.sources
    assert [name for name in STAGES if calls.count(name) > 1] == [
        "choose",
        "render",
    ]  # their results were lost


def test_an_input_that_changes_meanwhile_is_noticed(
    corpus: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "texts.parquet"
    pq.write_table(pq.read_table(corpus), file)
    original = module.train

    def train(*args: Any, **kwargs: Any) -> Any:
        pq.write_table(pq.read_table(corpus).slice(10), file)
        return original(*args, **kwargs)

    monkeypatch.setattr(module, "train", train)
    with pytest.raises(WorkError, match=r"texts.parquet was changed during the run"):
        adapt_corpus(file, tmp_path / "out", sources=["noise"], **settings)
    assert not (tmp_path / "out").exists()
