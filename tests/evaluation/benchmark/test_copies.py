"""Local copies give mteb's own tasks their texts, which are compared with mteb's statistics."""

from __future__ import annotations

import json

import pytest

from lastword.evaluation.benchmark.copies import TABLES, hash_copy, local_copy
from lastword.evaluation.benchmark.hub import MissingDataError
from lastword.evaluation.benchmark.scoring import Texts, make_task
from lastword.evaluation.benchmark.statistics import EQUAL

from .conftest import EMOTION, MASAKHA, SIB, write

# Three copies have lost the white space around some texts, and one of them a text that was empty.
REAL = {
    "SIB200ClusteringS2S": EQUAL,
    "MasakhaNEWSClusteringS2S": EQUAL,
    "EmotionClassification": EQUAL,
    "Banking77Classification": (
        "test: 166,900 characters, mteb has 167,036; test: 3,079 distinct texts, mteb has 3,080; "
        "train: 594,295 characters, mteb has 594,916; train: 9,999 distinct texts, mteb has 10,003"
    ),
    "TweetSentimentExtractionClassification": (
        "test: 236,439 characters, mteb has 239,476; test: 3,533 distinct texts, mteb has 3,534; "
        "train: 27,480 texts, mteb has 27,481"
    ),
    "AmazonCounterfactualClassification": (
        "en, validation: 36,575 characters, mteb has 36,583; en, test: 71,087 characters, mteb has 71,118; "
        "en, train: 430,911 characters, mteb has 431,133"
    ),
}


@pytest.mark.parametrize(("name", "verdict"), REAL.items())
def test_public_copies_are_mtebs_texts(data_folder, name, verdict):
    assert Texts(data_folder).load(make_task(name, 42)) == verdict


def test_every_form_is_tried_on_public_copies():
    assert set(TABLES) == set(REAL)


def test_a_table_gives_the_data_of_the_hub(copies):
    sib, masakha, emotion = (
        make_task(name, 42)
        for name in ("SIB200ClusteringS2S", "MasakhaNEWSClusteringS2S", "EmotionClassification")
    )
    texts = Texts(copies)
    texts.load(sib)
    assert sib.dataset["eng_Latn"]["test"]["sentences"][:] == [text for text, _, _ in SIB]
    assert sib.dataset["eng_Latn"]["test"]["labels"][:3] == [0, 1, 2]
    texts.load(masakha)
    sets = masakha.dataset["eng"]["test"]
    assert [text for cell in sets["sentences"] for text in cell] == [t for t, _, s in MASAKHA if s == "test"]
    assert [len(cell) for cell in sets["sentences"]] == [20] * 5
    assert sets["labels"][0][:4] == [0, 2, 3, 5]
    texts.load(emotion)
    assert emotion.dataset["train"]["text"][:] == [t for t, _, s in EMOTION if s == "train"]
    assert emotion.dataset["test"]["label"][:6] == [0, 1, 2, 3, 4, 5]


def test_the_verdict_lists_the_differences(copies):
    assert Texts(copies).load(make_task("EmotionClassification", 42)) == (
        "test: 60 texts, mteb has 2,000; train: 180 texts, mteb has 16,000"
    )
    sib = make_task("SIB200ClusteringS2S", 42)
    assert Texts(copies).load(sib) == (
        "eng_Latn, test: 105 texts, mteb has 1,004; "
        f"eng_Latn, test: {sum(len(t) for t, _, _ in SIB):,} characters, mteb has 129,477; "
        "eng_Latn, test: 105 distinct texts, mteb has 1,004; eng_Latn, test: 3 labels, mteb has 7"
    )


def test_a_changed_letter_and_a_changed_label_are_noticed(data_folder, tmp_path):
    import pyarrow.parquet as pq

    table = pq.read_table(data_folder / "clustering" / "sib200_eng.parquet").to_pylist()

    def verdict():
        write(tmp_path / "sib200_eng.jsonl", [(row["text"], row["label"], row["split"]) for row in table])
        return Texts(tmp_path).load(make_task("SIB200ClusteringS2S", 42))

    table[5]["text"] += "!"
    assert verdict() == "eng_Latn, test: 129,478 characters, mteb has 129,477"
    table[5]["text"] = table[5]["text"][:-1]
    table[5]["label"] = "health" if table[5]["label"] != "health" else "travel"
    assert verdict() == "eng_Latn, test: the labels have other numbers of texts than in mteb"


def test_a_copy_of_one_subset_leaves_the_others_out(copies):
    task = make_task("AmazonCounterfactualClassification", 42)
    assert set(task.hf_subsets) == {"en", "en-ext"}
    Texts(copies).load(task)
    assert task.hf_subsets == ["en"]


def test_paths_of_copies(copies):
    def path_of(name):
        path = local_copy(make_task(name, 42), copies)
        return path and str(path.relative_to(copies))

    assert path_of("SIB200ClusteringS2S") == "SIB200ClusteringS2S.jsonl"
    assert path_of("MasakhaNEWSClusteringS2S") == "clustering/masakhanews_eng.jsonl"
    assert path_of("EmotionClassification") == "emotion.jsonl"
    assert path_of("Banking77Classification") is None
    (copies / "mteb" / "banking77").mkdir(parents=True)
    assert path_of("Banking77Classification") == "mteb/banking77"
    (copies / "mteb" / "sib200").mkdir()
    assert path_of("SIB200ClusteringS2S") == "mteb/sib200"


def test_a_downloaded_folder_is_read_like_the_hub(copies):
    """Banking77 has no table here; its folder is what `hf download` makes."""
    folder = copies / "mteb" / "banking77"
    folder.mkdir(parents=True)
    for split, count in (("train", 20), ("test", 10)):
        lines = [
            json.dumps({"text": f"{split} text {n}", "label": n % 2, "label_text": "x"}) for n in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    task = make_task("Banking77Classification", 42)
    Texts(copies).load(task)
    assert task.dataset["test"]["text"][:2] == ["test text 0", "test text 1"]
    assert task.metadata.dataset["path"] == "mteb/banking77"


def test_a_hash_changes_with_its_copy(copies):
    path = copies / "emotion.jsonl"
    before, folder_before = hash_copy(path), hash_copy(copies / "clustering")
    write(path, EMOTION[:-1])
    assert hash_copy(path) != before
    assert hash_copy(copies / "clustering") == folder_before
    write(copies / "clustering" / "masakhanews_eng.jsonl", MASAKHA[:-1])
    assert hash_copy(copies / "clustering") != folder_before


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('{"text": "a", "label": "b"}\n', "has no column 'split'; its columns are: text, label"),
        (
            '{"text": "a", "label": "rage", "split": "test"}\n',
            "has the label 'rage'; known are: sadness, joy, love, anger, fear, surprise",
        ),
        ('{"text": null, "label": "joy", "split": "test"}\n', "has a row whose text or split is not text"),
    ],
)
def test_invalid_tables(copies, table, reason):
    path = copies / "emotion.jsonl"
    path.write_text(table)
    with pytest.raises(MissingDataError) as caught:
        Texts(copies).load(make_task("EmotionClassification", 42))
    assert str(caught.value) == f"{path} cannot be used ({path} {reason})"
