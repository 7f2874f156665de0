"""Texts become groups with names, and a table; what cannot work is refused before anything is embedded."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword import Store, cluster_corpus, embed_corpus, search
from lastword.corpus import cluster as module
from lastword.corpus import texts as texts_module
from lastword.corpus.clustering import partition
from lastword.corpus.clustering.result import as_text
from lastword.embedding import Embedder
from lastword.encoders.stored import check_stored, is_stored
from lastword.errors import (
    ExistingOutputError,
    LastwordError,
    MissingExtraError,
    MissingFileError,
    ModelError,
    RequestError,
    TableError,
)
from lastword.files.sources import TableFile
from tests.corpus.topical import TOPICS, TopicEncoder, topical_texts

EACH = 20
clustered = partial(cluster_corpus, map="none")  # the map has tests of its own


@pytest.fixture
def file(tmp_path: Path) -> Path:
    texts, topics = topical_texts(EACH)
    table = pa.table({"id": range(len(texts)), "text": texts, "topic": topics})
    pq.write_table(table, tmp_path / "texts.parquet")
    return tmp_path / "texts.parquet"


@pytest.fixture
def store(file: Path, tmp_path: Path) -> Path:
    embed_corpus(file, tmp_path / "store", TopicEncoder())
    return tmp_path / "store"


def group_of(folder: Path) -> dict[str, Any]:
    """Column → cells of the table."""
    cells: dict[str, Any] = pq.read_table(folder / "texts.parquet").to_pydict()
    return cells


def test_texts_become_named_groups(file: Path, tmp_path: Path) -> None:
    result = clustered(file, tmp_path / "out", TopicEncoder(), label_column="topic", hierarchy=True)
    assert [group.size for group in result.groups] == [EACH] * 4
    assert result.reason.startswith("4 groups: ")
    assert result.labels is not None
    assert (result.labels.v_measure, result.labels.ami, result.labels.purity) == pytest.approx((1, 1, 1))
    assert 0 < result.labels.chance < 0.2
    for group in result.groups:
        words = TOPICS[str(group.label)].split()
        assert set(" ".join(group.words.terms[:4]).split()) <= set(words)
        assert group.name == ", ".join(group.words.terms[:3])
        assert group.stability == pytest.approx(1)
        assert len({text.text for text in group.typical}) == len(group.typical) == len(group.outliers) == 3
        assert group.family in range(len(result.families))
        assert re.search(rf"\b{group.name} +{result.families[group.family]}$", as_text(result), re.MULTILINE)
    assert " family" not in as_text(replace(result, families=[]))
    table = group_of(tmp_path / "out")
    original = pq.read_table(file).to_pydict()
    assert {name: table[name] for name in original} == original
    names = {group.group: group.name for group in result.groups}
    assert [names[group] for group in table["group"]] == table["group_name"]
    assert all(0.3 < confidence <= 1 for confidence in table["group_confidence"])
    for group in result.groups:
        for text in (*group.typical, *group.outliers):
            assert table["text"][text.row] == text.text
            assert table["group"][text.row] == group.group
    assert json.loads((tmp_path / "out" / "clusters.json").read_text()) == json.loads(
        json.dumps(result.to_dict())
    )
    assert len(Store.open(tmp_path / "out" / "vectors")) == 4 * EACH
    assert not (tmp_path / "out.partial").exists()


def test_a_store_gives_the_groups_of_its_texts(store: Path, file: Path, tmp_path: Path) -> None:
    clustered(file, tmp_path / "a", TopicEncoder(), groups=3)
    clustered(store, tmp_path / "b", groups=3)
    assert group_of(tmp_path / "a") == group_of(tmp_path / "b")
    assert not (tmp_path / "b" / "vectors").exists()


def test_groups_found_on_a_sample_are_those_of_all(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many shards, and groups found on half of the texts."""
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 7)
    monkeypatch.setitem(partition.FIT_TEXTS, "k-means", 2 * EACH)
    result = clustered(file, tmp_path / "out", TopicEncoder(), label_column="topic", groups=4)
    assert result.fitted == 2 * EACH
    assert result.labels is not None
    assert result.labels.v_measure == 1


def test_density_says_what_is_in_no_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "_DENSITY_DIMS", 8)  # so that UMAP is not needed
    texts, _ = topical_texts(EACH)
    odd = ["rocket soup", "goal guitar orbit", "bread", "referee album oven", "nothing at all"]
    (tmp_path / "texts.txt").write_text("\n".join(texts + odd))
    result = clustered(
        tmp_path / "texts.txt", tmp_path / "out", TopicEncoder(), method="density", least_size=8
    )
    assert [group.group for group in result.groups] == [0, 1, 2, 3, -1]
    assert result.groups[-1].name == "unclustered"
    table = group_of(tmp_path / "out")
    assert sum(group == -1 for group in table["group"][-5:]) >= 2
    assert all(
        group >= 0 or c == 0 for group, c in zip(table["group"], table["group_confidence"], strict=True)
    )


def test_no_dense_region_leaves_all_unclustered(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(partition, "_DENSITY_DIMS", 8)
    result = clustered(store, tmp_path / "out", method="density", least_size=60)
    assert [(group.group, group.size) for group in result.groups] == [(-1, 4 * EACH)]
    assert "no region is dense enough for a group" in caplog.text


def test_a_decoder_names_groups(load: Callable[..., Embedder], tmp_path: Path) -> None:
    """The words are those of the head after the template, best by how far they exceed the other groups."""
    texts = ["a man is driving a car", "a man is driving the car", "the river was low", "a river was low"] * 3
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    result = clustered(tmp_path / "texts.txt", tmp_path / "out", load(), groups=2, naming="head")
    assert result.naming == "head"
    for group in result.groups:
        assert group.words.head is not None
        assert group.name == ", ".join(group.words.head[:3]) or group.name.startswith("group")
        assert all(len(word) >= 3 and word.isalpha() for word in group.words.head)
        assert group.words.joined[0] in (*group.words.head[:1], *group.words.terms[:1])


def test_a_chat_model_names_groups(store: Path, tmp_path: Path) -> None:
    def chat(prompts: Any) -> list[str]:
        return ["About rockets" if "rocket" in prompt else "" for prompt in prompts]

    result = clustered(store, tmp_path / "out", groups=4, chat=chat)
    names = [group.name for group in result.groups]
    assert names.count("About rockets") == 1
    assert sum(", " in name for name in names) == 3
    assert result.naming == "chat"


def test_missing_labels_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts, topics = topical_texts(5)
    rows = [
        {"text": t, "topic": None if i < 4 else s} for i, (t, s) in enumerate(zip(texts, topics, strict=True))
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = clustered(
        tmp_path / "in.jsonl", tmp_path / "out", TopicEncoder(), groups=4, label_column="topic"
    )
    assert result.labels is not None
    assert (result.labels.labelled, result.labels.unlabelled) == (16, 4)
    assert "4 texts have no label in 'topic'" in caplog.text


def test_rows_of_several_lines_are_counted_once(tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "in.csv").write_text('text\n"two\nlines"\n"three\nmore\nlines"\n')
    message = refused(
        RequestError, clustered, tmp_path / "in.csv", tmp_path / "out", TopicEncoder(), groups=6
    )
    assert message == "groups=6: there are 2 texts; give 2 … 2"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"groups": 81}, RequestError, "groups=81: there are 80 texts; give 2 … 80"),
        ({"groups": 1}, RequestError, "groups=1: give 2 or more"),
        ({"method": "ward"}, RequestError, "unknown method 'ward'"),
        ({"naming": "words"}, RequestError, "unknown naming 'words'"),
        ({"least_size": 5}, RequestError, "least_size=5 is for method='density'"),
        ({"method": "density", "groups": 5}, RequestError, "groups=5 is for method='k-means'"),
        ({"label_column": "body"}, TableError, "body"),
        ({"group_column": "topic"}, TableError, "has a column 'topic': name that of the groups otherwise"),
        ({"label_column": "same"}, TableError, "column 'same' has 1 different labels"),
        ({"label_column": "none"}, TableError, "column 'none' has 0 different labels"),
    ],
)
@pytest.mark.parametrize("kind", ["file", "store"])
def test_what_cannot_work_is_refused(
    kind: str, file: Path, tmp_path: Path, change: dict[str, Any], error: type[LastwordError], message: str
) -> None:
    table = pq.read_table(file)
    table = table.append_column("same", pa.array(["x"] * len(table)))
    pq.write_table(table.append_column("none", pa.nulls(len(table), pa.string())), file)
    embed_corpus(file, tmp_path / "store", TopicEncoder())
    with pytest.raises(error) as raised:
        clustered(tmp_path / "store" if kind == "store" else file, tmp_path / "out", TopicEncoder(), **change)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_equal_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "same.txt").write_text("a rocket\n" * 9)
    with pytest.raises(RequestError, match=r"same\.txt: all texts are equal, so there is nothing to group"):
        clustered(tmp_path / "same.txt", tmp_path / "out", TopicEncoder())
    (tmp_path / "few.txt").write_text("a rocket\nbread\nbread\n" * 9)
    with pytest.raises(RequestError, match=r"groups=3: few.txt has 2 different texts; give 2 … 2"):
        clustered(tmp_path / "few.txt", tmp_path / "out", TopicEncoder(), groups=3, overwrite=True)


def test_messages_name_no_unfinished_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="lastword")
    (tmp_path / "texts.jsonl").write_text(
        "".join(f'{{"text": "{text}"}}\n' for text in ("soup", "goal", "", "song"))
    )
    clustered(tmp_path / "texts.jsonl", tmp_path / "out", TopicEncoder(), groups=2)
    listed = tmp_path / "out" / "vectors" / "_rejected.jsonl"
    assert any(str(listed) in message for message in caplog.messages)
    assert listed.exists()
    assert not any(".partial" in message for message in caplog.messages)


def test_equal_vectors_name_the_input(tmp_path: Path) -> None:
    encoder = TopicEncoder()
    encoder.encode = lambda texts: np.ones((len(texts), 4), np.float32)  # type: ignore[method-assign,misc,assignment]
    (tmp_path / "texts.txt").write_text("soup\ngoal\n")
    with pytest.raises(RequestError, match=r"^texts\.txt: all 2 texts have the same vector"):
        clustered(tmp_path / "texts.txt", tmp_path / "out", encoder)


@pytest.mark.parametrize(
    "texts", ["a rocket\nbread\n", "a rocket\nbread\nthe goal\n", "a rocket\nbread\ngoal\nmelody\nsoup"]
)
def test_very_few_texts_make_two_groups(tmp_path: Path, texts: str) -> None:
    (tmp_path / "few.txt").write_text(texts)
    result = clustered(tmp_path / "few.txt", tmp_path / "out", TopicEncoder())
    assert len(result.groups) == 2


def test_a_store_of_another_model_is_refused(
    store: Path, tmp_path: Path, load: Callable[..., Embedder]
) -> None:
    with pytest.raises(ModelError, match="has vectors of topical"):
        clustered(store, tmp_path / "out", load())
    with pytest.raises(RequestError, match="naming='head' needs the model that made"):
        clustered(store, tmp_path / "out", naming="head")
    with pytest.raises(MissingFileError):
        clustered(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(RequestError, match="is a store, which is clustered alone"):
        clustered([store, store], tmp_path / "out")
    with pytest.raises(RequestError, match="is inside the output"):
        clustered(store, tmp_path, overwrite=True)
    with pytest.raises(RequestError, match="which is a store of vectors: choose another output"):
        clustered(store, store / "groups")


def test_an_empty_store_is_refused(store: Path, tmp_path: Path) -> None:
    manifest = json.loads((store / "_manifest.json").read_text())
    (store / "_manifest.json").write_text(json.dumps(manifest | {"rows": 0, "shards": []}))
    with pytest.raises(TableError, match="has no vectors"):
        clustered(store, tmp_path / "out")


def test_existing_output_stays(store: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ExistingOutputError):
        clustered(store, tmp_path / "out")
    clustered(store, tmp_path / "out", groups=2, overwrite=True)
    assert (tmp_path / "out" / "clusters.json").exists()


def test_vectors_of_an_interrupted_run_are_reused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run stops after embedding; the next one asks, and embeds nothing again."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "find_groups", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            clustered(file, tmp_path / "out", TopicEncoder())
    assert not (tmp_path / "out").exists()
    with pytest.raises(ExistingOutputError, match="has an interrupted run: pass resume=True"):
        clustered(file, tmp_path / "out", TopicEncoder())
    encoder, asked = TopicEncoder(), list[str]()
    monkeypatch.setattr(encoder, "encode", lambda texts: asked.extend(texts) or TopicEncoder().encode(texts))
    clustered(file, tmp_path / "out", encoder, groups=4, resume=True)
    assert asked == []
    assert np.allclose(
        Store.open(tmp_path / "out" / "vectors").matrix(), TopicEncoder().encode(topical_texts(EACH)[0])
    )


def test_the_vectors_of_a_clustered_file_can_be_searched(tmp_path: Path) -> None:
    cluster_corpus(
        "topics", tmp_path / "out", "mini", groups=3, map="none", template="ccw", pooling="lasttoken"
    )
    store = tmp_path / "out" / "vectors"
    assert Store.open(store).manifest["model"]["loading"]["template"] == "ccw"
    (answers,) = search(store, "a volcano erupts", top=2).queries
    assert len(answers.matches) == 2


def test_what_cluster_wrote_is_a_store_of_its_texts(file: Path, tmp_path: Path) -> None:
    first = clustered(file, tmp_path / "groups", TopicEncoder())
    assert Store.open(tmp_path / "groups").folder == tmp_path / "groups" / "vectors"
    found = search(tmp_path / "groups", "about", model=TopicEncoder(), top=1)
    assert len(found.queries[0].matches) == 1
    again = clustered(tmp_path / "groups", tmp_path / "again", groups=len(first.groups))
    assert [group.size for group in again.groups] == [group.size for group in first.groups]
    assert is_stored(tmp_path / "groups")
    check_stored(tmp_path / "groups")
    with pytest.raises(RequestError, match="is inside the output"):
        clustered(tmp_path / "groups", tmp_path / "groups", overwrite=True)


@pytest.mark.parametrize(
    ("ignored", "shown"),
    [
        ({"text_column": "topic"}, "text_column='topic'"),
        ({"template": "ccw"}, "template='ccw'"),
        ({"batch_tokens": 9}, "batch_tokens=9"),
        ({"device": "cpu"}, "device='cpu'"),
    ],
)
def test_settings_that_a_store_ignores_are_refused(
    store: Path, tmp_path: Path, ignored: dict[str, Any], shown: str
) -> None:
    with pytest.raises(RequestError) as error:
        clustered(store, tmp_path / "out", **ignored)
    assert str(error.value) == f"{shown} has no effect: {store} has its texts and vectors; leave it out"
    with pytest.raises(RequestError, match="encoding='latin-1' has no effect"):
        clustered([TableFile(store, encoding="latin-1")], tmp_path / "out")


@pytest.mark.parametrize("kind", ["store", "texts"])
def test_density_without_its_library_is_refused_before_embedding(
    kind: str, store: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "_DENSITY_DIMS", 1)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match="method='density' needs umap"):
        clustered(store if kind == "store" else file, tmp_path / "out", method="density")
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": "3"}, "groups='3': give a whole number"),
        ({"groups": 2.5}, "groups=2.5: give a whole number"),
        ({"seed": -1}, "seed=-1: give a whole number, 0 or more"),
        ({"seed": "x"}, "seed='x': give a whole number, 0 or more"),
        ({"map_texts": 0}, "map_texts=0: give a whole number, 1 or more"),
        ({"group_column": ""}, "group_column='': give the name of a column"),
        ({"group_column": 3}, "group_column=3: give the name of a column"),
    ],
)
def test_arguments_of_another_kind(store: Path, tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as error:
        clustered(store, tmp_path / "out", **wrong)
    assert str(error.value) == message
    assert not list(tmp_path.glob("out*"))
