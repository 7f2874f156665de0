"""The demo from end to end, at small size: two steps, few texts, two seeds."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword.bundled import path_of
from lastword.config import read_recipe, train_config
from lastword.demonstration import DemoResult, demo
from lastword.demonstration.findings import demo_summary
from lastword.demonstration.flat_map import flat_map
from lastword.demonstration.report import render
from lastword.demonstration.result import ScoreRow
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError
from lastword.evaluation import vectors_cluster_score
from lastword.files.inputs import LabelledTexts, sample_rows
from lastword.files.tables import read_texts
from lastword.training.run import load_base
from lastword.uncertainty import compare

MODEL = path_of("mini") / "model.safetensors"
pytestmark = [
    pytest.mark.skipif(not MODEL.is_file(), reason=f"the bundled model does not exist: {MODEL}"),
    pytest.mark.usefixtures("few_repetitions"),
]
RECIPE = """\
model = "mini"
pairs = ["pairs"]
template = "ccw"
pooling = "lasttoken"
layer = 3
max_tokens = 32
steps = 2
batch_pairs = 8
warmup_steps = 1
rank = 4
alpha = 8.0
"""
TEXTS = 24


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "small"


@pytest.fixture(scope="module")
def result(output: Path, few_repetitions: None) -> DemoResult:
    recipe = output.with_name("small.toml")
    recipe.write_text(RECIPE)
    return demo(output, seeds=2, recipe=recipe, max_texts=TEXTS)


def test_every_setting_is_scored_on_both_sets(result: DemoResult) -> None:
    settings = {(row.dataset, row.model, row.template, row.pooling, row.layer): row for row in result.scores}
    assert len(settings) == len(result.scores)
    assert set(settings) == {
        (dataset, *setting)
        for dataset in ("topics", "products")
        for setting in [
            *(
                ("zero-shot", template, pooling, layer)
                for template in ("none", "ccw")
                for pooling in ("mean", "lasttoken", "eos")
                for layer in (None, 3)
            ),
            ("adapted", "ccw", "mean", 3),
            ("adapted", "ccw", "lasttoken", 3),
            ("tfidf", None, None, None),
        ]
    }
    assert {row.scores[0].n for row in result.scores} == {TEXTS}
    assert [len(row.scores) for row in result.scores if row.model == "adapted"] == [2] * 4
    assert all(row.summary.chance and row.summary.chance > 0 for row in result.scores)


def test_the_scores_of_an_adapted_row_are_those_of_the_seeds(result: DemoResult, output: Path) -> None:
    columns = read_texts(path_of("topics"), ["text", "label"], where={"split": "test"})
    rows = sample_rows(len(columns["text"]), TEXTS, seed=0)
    texts, labels = ([columns[name][row] for row in rows] for name in ("text", "label"))
    (row,) = (
        row
        for row in result.scores
        if (row.dataset, row.model, row.pooling) == ("topics", "adapted", "lasttoken")
    )
    vectors = Embedder.from_pretrained(output / "model").encode(texts)
    assert vectors_cluster_score(vectors, labels).value == pytest.approx(row.scores[0].value, abs=1e-6)
    assert row.scores[0].draws != row.scores[1].draws


def test_scores_can_be_recomputed_from_the_file(result: DemoResult, output: Path) -> None:
    content = json.loads((output / "scores.json").read_text())
    assert content == json.loads(json.dumps(result.to_dict()))
    rows = [ScoreRow.from_dict(row) for row in content["scores"]]
    assert rows == list(result.scores)
    for row, stored in zip(rows, content["scores"], strict=True):
        assert stored["v_measure"] == np.mean([seed["value"] for seed in stored["seeds"]])
        assert row.summary.value == stored["v_measure"]
    by_setting = {(row.dataset, row.model, row.template, row.pooling, row.layer): row for row in rows}
    assert len(content["comparisons"]) == 4
    for comparison in content["comparisons"]:
        first, second = (
            by_setting[
                comparison["dataset"],
                *(comparison[side][key] for key in ("model", "template", "pooling", "layer")),
            ]
            for side in ("first", "second")
        )
        difference = compare(first.scores, second.scores).to_dict()
        assert {name: comparison[name] for name in difference} == pytest.approx(difference)
    assert [run["seed"] for run in content["runs"]] == [0, 1]
    assert all(len(run["losses"]) == 2 for run in content["runs"])


def test_the_output_has_the_report_the_scores_and_the_model(result: DemoResult, output: Path) -> None:
    assert sorted(path.name for path in output.iterdir()) == ["model", "report.html", "scores.json"]
    assert (output / "model" / "lastword.json").is_file()
    assert (output / "report.html").read_text(encoding="utf-8") == render(result)
    assert not list(output.parent.glob("*.partial"))
    assert result.output == output
    assert result.text_map
    assert result.text_map.before.shape == result.text_map.after.shape == (TEXTS, 2)
    assert result.attention
    assert result.attention.before != result.attention.after


def test_an_interrupted_demo_repeats_nothing(
    result: DemoResult, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"seeds": 1, "recipe": output.with_name("small.toml"), "max_texts": TEXTS}
    module = importlib.import_module("lastword.demonstration.demo")
    with monkeypatch.context() as patch:
        patch.setattr(module, "flat_map", interrupt)
        with pytest.raises(KeyboardInterrupt):
            demo(tmp_path / "demo", **settings)
    with pytest.raises(ExistingOutputError, match="resume=True"):
        demo(tmp_path / "demo", **settings)
    monkeypatch.setattr(module, "train", interrupt)
    monkeypatch.setattr(module, "zero_shot_rows", interrupt)
    resumed = demo(tmp_path / "demo", **settings, resume=True)
    assert [run.losses for run in resumed.runs] == [result.runs[0].losses]
    assert [row.to_dict() for row in resumed.scores if row.model != "adapted"] == [
        row.to_dict() for row in result.scores if row.model != "adapted"
    ]


def test_what_is_scored_is_what_is_trained(tmp_path: Path) -> None:
    """With the recipe's attention and pooling, on pairs in the encoding and between the delimiters that it names."""
    pairs, recipe = tmp_path / "pairs.csv", tmp_path / "eos.toml"
    rows = [f"the river was low at {n}_at {n} there was not much water" for n in range(12)]
    pairs.write_text("\n".join(["anchor_positive", *rows]) + "\n", encoding="cp037")
    changes = 'attention = "bidirectional"\nencoding = "cp037"\ndelimiter = "_"\n'
    content = (
        RECIPE.replace('"lasttoken"', '"eos"')
        .replace('"pairs"', f'"{pairs}"')
        .replace("layer = 3\n", changes)
    )
    recipe.write_text(content)
    result = demo(tmp_path / "demo", seeds=1, recipe=recipe, max_texts=10)
    assert result.pairs == len(rows)
    assert [comparison.first.pooling for comparison in result.comparisons] == ["eos"] * 4
    data = LabelledTexts.read(path_of("topics"), ("text", "label"), "test", drop_empty=False).sample(
        10, seed=0
    )
    causal, both = (
        Embedder.from_pretrained("mini", template="ccw", pooling="eos", attention=attention).encode(
            data.texts
        )
        for attention in ("causal", "bidirectional")
    )
    (row,) = (
        row
        for row in result.scores
        if (row.dataset, row.model, row.template, row.pooling) == ("topics", "zero-shot", "ccw", "eos")
    )
    assert row.scores[0].value == vectors_cluster_score(both, data.labels).value
    assert row.scores[0].value != vectors_cluster_score(causal, data.labels).value
    assert result.text_map is not None
    before = load_base(train_config(read_recipe(recipe))).encode(result.text_map.texts)
    assert np.array_equal(result.text_map.before, flat_map(before))


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_summary_names_every_setting_and_the_files(result: DemoResult, output: Path) -> None:
    text = demo_summary(result)
    titles = "  model      template  pooling    layer  V-measure  ± draws  ± texts  chance   AMI"
    assert text.splitlines()[:2] == ["topics, test split", titles]
    assert text.count("zero-shot  none") == 12
    assert "On topics the adapted model is" in text
    assert text.endswith(f"{output}: report.html, scores.json and the adapted model in model/")


def test_invalid_requests_are_refused(tmp_path: Path) -> None:
    for arguments, message in (
        ({"seeds": 0}, "seeds=0: give 1 or more"),
        ({"max_texts": 0}, "max_texts=0: give a whole number, 1 or more"),
    ):
        with pytest.raises(RequestError, match=message):
            demo(tmp_path / "out", **arguments)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with pytest.raises(ExistingOutputError, match=r"out exists: choose another path or pass overwrite=True"):
        demo(tmp_path / "out")
