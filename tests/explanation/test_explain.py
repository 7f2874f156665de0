"""`explain` from a file and models to numbers, a picture and a page, with a real training run of the tiny model."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.training.conftest import pair_columns

from lastword import explain, geometry, train
from lastword.embedding import Embedder
from lastword.embedding.adapters import attach_adapter
from lastword.errors import (
    ExistingOutputError,
    MissingFileError,
    ModelError,
    NoRowsError,
    RequestError,
    WorkError,
)
from lastword.explanation import Explanation, token_attention
from lastword.explanation.models import find_checkpoints
from lastword.explanation.page import render_page
from lastword.explanation.picture import render_picture
from lastword.explanation.shares import KINDS, attention_shares
from lastword.explanation.table import explanation_table
from lastword.report.table import shortened_name
from lastword.stopwords import english_stop_words

Load = Callable[..., Embedder]
EVIL = '<script>alert("x")</script> & a car'
TINY = {"dtype": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, llama_folder: Path) -> Path:
    """The output of `train`: a folder with the checkpoints of steps 10 and 12."""
    folder = tmp_path_factory.mktemp("explained")
    pq.write_table(pa.table(pair_columns()), folder / "pairs.parquet")
    train(folder / "adapted", model=str(llama_folder), pairs=[str(folder / "pairs.parquet")], max_tokens=64,
          steps=12, batch_pairs=8, learning_rate=1e-2, warmup_steps=2, rank=4, alpha=8.0, trackers="none",
          **TINY)  # fmt: skip
    return folder / "adapted"


@pytest.fixture
def texts_file(tmp_path: Path) -> Path:
    texts = [f"the {noun} number {i} was low" for i in range(8) for noun in ("river", "price")]
    columns = {"text": texts, "positive": texts[1:] + texts[:1], "label": ["water", "money"] * 8}
    pq.write_table(pa.table(columns), tmp_path / "texts.parquet")
    return tmp_path / "texts.parquet"


@pytest.fixture
def explanation(adapted: Path, texts_file: Path, llama_folder: Path, tmp_path: Path) -> Explanation:
    return explain(
        texts_file,
        [llama_folder, adapted],
        checkpoints=adapted,
        texts=[EVIL, "a man is driving a car"],
        positive_column="positive",
        clusters=2,
        words=3,
        output=tmp_path / "explained",
        **TINY,
    )


def test_models_and_checkpoints_are_listed_in_order(
    explanation: Explanation, llama_folder: Path, adapted: Path
) -> None:
    assert [(model.name, model.step) for model in explanation.models] == [
        (str(llama_folder), 0), (str(adapted), None), ("step 10", 10), ("step 12", 12),
    ]  # fmt: skip
    assert {(model.template, model.pooling) for model in explanation.models} == {("ccw", "lasttoken")}
    assert explanation.reference is explanation.models[0]
    assert (explanation.texts, explanation.texts_in_file) == (16, 16)


def test_numbers_equal_those_of_each_model_alone(
    explanation: Explanation, texts_file: Path, adapted: Path, llama_folder: Path, load: Load
) -> None:
    columns = pq.read_table(texts_file).to_pydict()
    for model in explanation.models:
        embedder = load(llama_folder, template="ccw", pooling="lasttoken")
        if model.step:
            attach_adapter(embedder.backbone.model, adapted / "training" / f"step-{model.step:06d}")
        elif model.step is None:
            embedder = load(adapted)
        shares = attention_shares(embedder, columns["text"], english_stop_words())
        assert model.shares.kinds == pytest.approx(shares.kinds, abs=1e-6)
        assert model.shares.content == pytest.approx(shares.content, abs=1e-6)
        vectors = embedder.encode(columns["text"])
        assert model.geometry["mean_cosine"] == pytest.approx(geometry.mean_cosine(vectors), abs=1e-5)
        assert model.geometry["effective_rank"] == pytest.approx(geometry.effective_rank(vectors), rel=1e-3)
        assert model.geometry["uniformity"] == pytest.approx(geometry.uniformity(vectors), abs=1e-4)
        positives = embedder.encode(columns["positive"])
        assert model.geometry["alignment"] == pytest.approx(geometry.alignment(vectors, positives), abs=1e-5)
        tokens = token_attention(embedder, "a man is driving a car")
        assert [token.token for token in model.details[1].tokens] == [token.token for token in tokens]
        assert [token.weight for token in model.details[1].tokens] == pytest.approx(
            [token.weight for token in tokens], abs=1e-6
        )
    base, adapted_model = (model.shares.content for model in explanation.models[:2])
    assert np.abs(base - adapted_model).max() > 1e-3


def test_the_selected_checkpoint_is_the_adapted_model(explanation: Explanation, adapted: Path) -> None:
    selected = json.loads((adapted / "training" / "choice.json").read_text())["step"]
    checkpoint = next(model for model in explanation.models if model.step == selected)
    assert checkpoint.shares.content == pytest.approx(explanation.models[1].shares.content, abs=1e-4)


def test_tokens_of_content_words_are_marked(explanation: Explanation) -> None:
    tokens = explanation.models[0].details[1].tokens
    joined = "".join(token.token for token in tokens if token.content)
    assert joined.replace(" ", "") == "mandrivingcar"
    assert all(token.part == "text" for token in tokens if token.content)
    assert sum(token.weight for token in tokens) == pytest.approx(1)


def test_the_gain_is_paired_by_text(explanation: Explanation) -> None:
    base, model = explanation.models[0], explanation.models[2]
    gain = model.gain(base)
    assert gain.mean == pytest.approx(model.content.mean - base.content.mean)
    assert gain.low <= gain.mean <= gain.high
    assert base.gain(base).mean == base.gain(base).high == 0


def test_json_has_all_numbers_and_no_nan(explanation: Explanation, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "explained" / "explain.json").read_text())
    assert content == json.loads(json.dumps(explanation.to_dict()))
    assert content.keys() == {
        "data", "texts", "texts_in_file", "seed", "intervals", "kinds", "reference", "models",
    }  # fmt: skip
    for model in content["models"]:
        assert model.keys() == {
            "name", "step", "template", "pooling", "content", "uniform", "balance", "kinds", "layers", "heads",
            "geometry", "texts", "groups", "gain",
        }  # fmt: skip
        assert np.shape(model["heads"]) == (2, 4, len(KINDS))
        assert np.sum(model["heads"], axis=-1) == pytest.approx(np.ones((2, 4)))
        assert sum(share["mean"] for share in model["kinds"].values()) == pytest.approx(1)
        assert [layer.keys() for layer in model["layers"]] == [{"content", "balance", "kinds"}] * 2
        assert model["layers"][-1]["content"] == model["content"]
        assert model["content"].keys() == {"mean", "low", "high", "n"}
        assert [len(text["words"]) for text in model["texts"]] == [3, 3]
        assert sum(group["size"] for group in model["groups"]) == 16


def test_what_is_not_defined_is_null(tmp_path: Path, llama_folder: Path) -> None:
    (tmp_path / "one.txt").write_text("it is what it is\n")
    explanation = explain(tmp_path / "one.txt", llama_folder, **TINY)
    (model,) = explanation.to_dict()["models"]
    assert model["content"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert model["uniform"] is None
    assert set(model["geometry"].values()) == {None}
    assert model["texts"][0]["distinctive"] == []
    assert "–" in explanation_table(explanation)
    assert "NaN" not in json.dumps(explanation.to_dict())
    for drawn in (render_page(explanation), render_picture(explanation)):
        assert "nan" not in drawn.replace("wonan", "").lower()


class Page(HTMLParser):
    """Fails if tags do not close in order; collects tags and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_well_formed_and_escapes_texts(explanation: Explanation, tmp_path: Path) -> None:
    written = (tmp_path / "explained" / "explain.html").read_text()
    assert written == render_page(explanation)
    page = Page(written)
    assert "script" not in page.tags
    assert EVIL in page.text
    assert "img" not in page.tags
    assert re.findall(r"https?://[^\"]+", written) == ["http://www.w3.org/2000/svg"]
    for title in (
        "Content words",
        "Layers and heads",
        "Token by token",
        "Geometry of the vectors",
        "Nearest words",
    ):
        assert title in page.text
    assert page.text.count("step 10") >= 5


def test_the_picture_is_xml_with_a_bar_for_each_model(explanation: Explanation, tmp_path: Path) -> None:
    root = ElementTree.fromstring((tmp_path / "explained" / "attention.svg").read_text())
    space = "{http://www.w3.org/2000/svg}"
    bars = [
        float(rect.get("width", 0))
        for rect in root.iter(f"{space}rect")
        if rect.find(f"{space}title") is not None
    ]
    assert len(bars) == len(explanation.models) * len(KINDS)
    assert sum(bars) == pytest.approx(len(explanation.models) * 430, abs=0.5)
    texts = {text.text for text in root.iter(f"{space}text")}
    names = {shortened_name(model.name, 22) for model in explanation.models}
    assert {"step 10", "step 12", "content words"} < names | {"content words"} <= texts
    assert {model.name for model in explanation.models} <= {
        title.text for title in root.iter(f"{space}title")
    }


def test_the_table_names_models_kinds_and_words(explanation: Explanation) -> None:
    table = explanation_table(explanation)
    for name in (
        "content words",
        "last token itself",
        "mean cosine",
        "alignment",
        "step 12",
        "groups of step 10",
    ):
        assert name in table
    row = next(line for line in table.splitlines() if line.startswith("  step 10"))
    shares = [float(cell) for cell in row.split()[2:]]
    assert sum(shares) == pytest.approx(100, abs=0.4)


def test_one_model_has_no_gain(explanation: Explanation) -> None:
    alone = dataclasses.replace(explanation, models=explanation.models[:1])
    gain = f"gain over {alone.reference.name}"
    for one, several in ((explanation_table(alone), explanation_table(explanation)),
                         (render_page(alone).casefold(), render_page(explanation).casefold())):  # fmt: skip
        assert gain.casefold() not in one.casefold()
        assert gain.casefold() in several.casefold()


def test_the_result_does_not_depend_on_the_batches(texts_file: Path, llama_folder: Path) -> None:
    small, large = (
        explain(texts_file, llama_folder, batch_tokens=size, label_column="label", **TINY)
        for size in (1, 4096)
    )
    (first,), (second,) = small.to_dict()["models"], large.to_dict()["models"]
    assert [group["distinctive"] for group in first["groups"]] == [
        group["distinctive"] for group in second["groups"]
    ]
    assert first["content"] == pytest.approx(second["content"], abs=1e-6)


def test_a_sample_depends_only_on_the_seed(texts_file: Path, llama_folder: Path) -> None:
    first, second, third = (
        explain(texts_file, llama_folder, max_texts=5, seed=seed, **TINY) for seed in (3, 3, 4)
    )
    assert (first.texts, first.texts_in_file) == (5, 16)
    assert first.to_dict() == second.to_dict()
    assert first.to_dict()["models"][0]["texts"] != third.to_dict()["models"][0]["texts"]


def test_checkpoints_alone_include_their_base_model(
    adapted: Path, texts_file: Path, llama_folder: Path
) -> None:
    explanation = explain(texts_file, checkpoints=adapted, **TINY)
    assert [(model.name, model.step) for model in explanation.models] == [
        (f"{llama_folder} (step 0)", 0), ("step 10", 10), ("step 12", 12),
    ]  # fmt: skip


def test_checkpoints_of_an_unfinished_run(adapted: Path, tmp_path: Path) -> None:
    partial = tmp_path / "adapted.partial"
    shutil.copytree(adapted / "training", partial / "checkpoints")
    shutil.move(partial / "checkpoints" / "recipe.json", partial / "recipe.json")
    (partial / "checkpoints" / ".step-000013.partial").mkdir()
    run = find_checkpoints(partial)
    assert [step for step, _ in run.steps] == [10, 12]
    assert run.stored
    assert run.stored.spec.template.name == "ccw"
    assert run.base == find_checkpoints(adapted).base == find_checkpoints(adapted / "training").base


def test_a_base_model_gets_the_settings_of_the_others(
    texts_file: Path, llama_folder: Path, load: Load, tmp_path: Path
) -> None:
    folder = load(template="eol", pooling="lasttoken").save(tmp_path / "eol")
    explanation = explain(texts_file, [llama_folder, folder], max_texts=2, **TINY)
    assert [model.template for model in explanation.models] == ["eol"]  # the same model then, and shown once
    other = explain(texts_file, [llama_folder], template="sum", pooling="mean", max_texts=2, **TINY)
    assert [(model.template, model.pooling) for model in other.models] == [("sum", "mean")]


def test_poolings_that_read_more_tokens_cause_a_warning(
    texts_file: Path, llama_folder: Path, said: list[str]
) -> None:
    explain(texts_file, llama_folder, pooling="mean", max_texts=2, **TINY)
    assert (
        f"{llama_folder} uses mean pooling, which reads more tokens than the last: "
        "the attention shown is only the last token's"
    ) in said


def test_checkpoints_do_not_repeat_a_warning(adapted: Path, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "long.txt").write_text("the river " * 100 + "\nthe house was low\n")
    explain(tmp_path / "long.txt", checkpoints=adapted, **TINY)
    assert (
        said.count("1 of 2 texts are longer than 127 tokens and lost their end") <= 2
    )  # the sample, and what is shown


def test_loaded_embedders_are_used_unchanged(texts_file: Path, load: Load) -> None:
    embedder = load(template="eol", pooling="lasttoken")
    explanation = explain(texts_file, embedder, max_texts=3)
    assert explanation.models[0].template == "eol"
    assert dataclasses.asdict(explanation)["texts"] == 3


# Errors and their messages.


def test_models_with_another_tokenizer_are_refused(
    texts_file: Path, llama_folder: Path, load: Load, refused: Callable[..., str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(llama_folder, other)
    definition = json.loads((other / "tokenizer.json").read_text())
    definition["model"]["merges"] = definition["model"]["merges"][:20]
    (other / "tokenizer.json").write_text(json.dumps(definition))
    assert refused(
        RequestError, explain, texts_file, [llama_folder, other], max_texts=2, pooling="mean", **TINY
    ) == (
        f"{other} and {llama_folder} tokenize the texts differently: attention can only be compared between models "
        "with the same tokenizer; explain them separately"
    )


def test_folders_without_checkpoints_are_refused(
    texts_file: Path, llama_folder: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    assert refused(MissingFileError, explain, texts_file, checkpoints=tmp_path / "no") == (
        f"no folder {tmp_path / 'no'}: give one that lastword train wrote, or its OUTPUT.partial"
    )
    assert refused(RequestError, explain, texts_file, checkpoints=llama_folder) == (
        f"{llama_folder} has no checkpoints (step-000010 and so on): give a folder that lastword train or adapt "
        "wrote, or its OUTPUT.partial"
    )


def test_a_broken_checkpoint_is_an_error_and_nothing_is_written(
    adapted: Path, texts_file: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(adapted / "training", broken)
    path = broken / "step-000012" / "adapter_model.safetensors"
    path.write_bytes(b"\0" * 100)
    output = tmp_path / "out"
    message = refused(WorkError, explain, texts_file, checkpoints=broken, max_texts=2, output=output, **TINY)
    assert message.startswith(f"{path} is damaged: ")
    assert not output.exists()
    assert not list(tmp_path.glob(".out*"))
    (broken / "recipe.json").write_text("{")
    assert refused(ModelError, explain, texts_file, checkpoints=broken).startswith(
        f"{broken / 'recipe.json'} is damaged: "
    )


def test_invalid_requests_are_refused(
    texts_file: Path, llama_folder: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    assert refused(RequestError, explain, texts_file) == (
        "nothing to explain: give a model, or the folder of a training run as checkpoints"
    )
    assert refused(RequestError, explain, texts_file, llama_folder, max_texts=0) == (
        "max_texts=0: give a whole number, 1 or more"
    )
    assert refused(RequestError, explain, texts_file, llama_folder, words=0) == "words=0: give 1 or more"
    (tmp_path / "empty.csv").write_text("")
    assert refused(NoRowsError, explain, tmp_path / "empty.csv", llama_folder) == (
        f"{tmp_path / 'empty.csv'} is empty: it needs at least one row"
    )
    (tmp_path / "there").mkdir()
    assert refused(ExistingOutputError, explain, texts_file, llama_folder, output=tmp_path / "there") == (
        f"{tmp_path / 'there'} exists: choose another path or pass overwrite=True"
    )
    message = refused(MissingFileError, explain, texts_file, "nowhere")
    assert message.startswith(
        "no model 'nowhere': give 'mini', 'smollm2', 'smollm2-adapted', a folder or GGUF file that exists, or"
    )


def test_overwrite_replaces_the_folder(texts_file: Path, llama_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("explain.json", "old"):
        (tmp_path / "out" / name).write_text("old")
    explain(texts_file, llama_folder, max_texts=2, output=tmp_path / "out", overwrite=True, **TINY)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "attention.svg", "explain.html", "explain.json",
    ]  # fmt: skip
