"""Models and a file in, a table of scores out; each invalid request has its message."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from lastword.encoders.baselines import TfidfEncoder
from lastword.errors import MissingFileError, RequestError, TableError
from lastword.evaluation import (
    Evaluation,
    ModelScore,
    classification_score,
    cluster_score,
    evaluate,
    read_task,
)
from lastword.uncertainty import compare
from tests.samples import WORDS, TableEncoder, topic_texts

pytestmark = pytest.mark.usefixtures("few_repetitions")


def test_clustering_takes_every_row(labelled_file):
    evaluation = evaluate("tfidf", labelled_file)
    (row,) = evaluation.models
    assert row.seconds > 0
    assert row == ModelScore("tfidf", None, None, cluster_score(TfidfEncoder(), *_all_texts()), row.seconds)
    assert evaluation == Evaluation("clustering", "v_measure", str(labelled_file), 66, (row,))


def word_vectors(noise, texts=None):
    """A bag of words with noise: the less, the better."""
    rng = np.random.default_rng(0)
    words = {word: rng.standard_normal(6) for group in WORDS.values() for word in group}
    texts = texts or _all_texts()[0]
    return {
        text: np.array(
            sum(words[word] for word in text.split()[1:]) + rng.standard_normal(6) * noise, np.float32
        )
        for text in texts
    }


def test_several_models_and_tfidf_with_paired_differences(labelled_file):
    good, bad = TableEncoder(word_vectors(0.0)), TableEncoder(word_vectors(20.0))
    evaluation = evaluate([bad, good], labelled_file)
    texts = _all_texts()
    scores = [cluster_score(encoder, *texts) for encoder in (bad, good, TfidfEncoder())]
    assert [row.score for row in evaluation.models] == scores
    assert evaluation.models[2].model == "tfidf"
    assert evaluation.best is max(evaluation.models, key=lambda row: row.score.value)
    for row, score in zip(evaluation.models, scores, strict=True):
        assert row.against_tfidf == (None if row.model == "tfidf" else compare(score, scores[2]))
        best = evaluation.best
        assert row.against_best == (None if row is best else compare(score, best.score))
    assert evaluation.models[0].against_best.verdict == "worse"
    content = json.loads(json.dumps(evaluation.to_dict()))
    assert content["models"][0]["against_best"]["verdict"] == "worse"
    assert content["models"][2]["against_tfidf"] is None
    assert content["models"][1]["score"]["draws"] == list(scores[1].draws)
    assert content["models"][1]["score"]["chance"] == scores[1].chance


def test_tfidf_is_not_repeated(labelled_file):
    encoder = TableEncoder(word_vectors(0.0))
    for models, names in ((["tfidf", encoder], ["tfidf", "table-66"]), ([encoder], ["table-66", "tfidf"])):
        assert [row.model for row in evaluate(models, labelled_file).models] == names


def test_texts_without_words_have_no_tfidf(tmp_path, said):
    path = tmp_path / "signs.csv"
    signs = [f"{'+-'[number % 2]} {number}" for number in range(9)]
    path.write_text("text,label\n" + "".join(f"{sign},{sign[0]}\n" for sign in signs))
    encoder = TableEncoder({sign: np.array([number, 1.0]) for number, sign in enumerate(signs)})
    (row,) = evaluate(encoder, path).models
    assert (row.model, row.against_tfidf) == ("table-9", None)
    assert said == [
        "TF-IDF is not in the table: TF-IDF finds no word of two letters or more in 9 texts: use another model"
    ]


def test_a_file_is_read_once_for_several_calls(labelled_file):
    task = read_task(labelled_file, split="test")
    assert (task.task, task.data) == ("clustering", str(labelled_file))
    fitted_before = TfidfEncoder().fit(["other words"])
    assert task.score(fitted_before) == evaluate("tfidf", labelled_file, split="test").models[0].score


def test_clustering_of_one_split(labelled_file):
    evaluation = evaluate("tfidf", labelled_file, split="test")
    assert evaluation.n == 30
    assert evaluation.models[0].score == cluster_score(TfidfEncoder(), *topic_texts(10, seed=2))


def test_classification_learns_from_one_split_and_is_tested_on_the_other(labelled_file):
    evaluation = evaluate("tfidf", labelled_file, task="classification", samples_per_label=1)
    train, test = topic_texts(12, seed=1), topic_texts(10, seed=2)
    by_hand = classification_score(TfidfEncoder().fit(train[0]), *train, *test, samples_per_label=1)
    assert (evaluation.metric, evaluation.n, evaluation.models[0].score) == ("accuracy", 30, by_hand)
    turned = evaluate("tfidf", labelled_file, task="classification", split="train", train_split="test")
    assert turned.n == 36


def test_columns_by_name(tmp_path):
    path = tmp_path / "shop.csv"
    texts, labels = topic_texts(per_label=4)
    path.write_text("title,kind\n" + "".join(f"{t},{lab}\n" for t, lab in zip(texts, labels, strict=True)))
    assert evaluate("tfidf", path, text_column="title", label_column="kind").n == 12


def test_max_texts_draws_a_sample_that_the_seed_fixes(labelled_file):
    texts = topic_texts(12, seed=1)[0] + topic_texts(10, seed=2)[0]
    rng = np.random.default_rng(0)
    table = {text: rng.standard_normal(4).astype(np.float32) for text in texts}

    def drawn(seed):
        encoder = TableEncoder(table)
        assert evaluate(encoder, labelled_file, max_texts=20, seed=seed).n == 20
        return encoder.asked

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert drawn(0) == sorted(drawn(0), key=texts.index)
    assert evaluate(TableEncoder(table), labelled_file, max_texts=1000).n == 66


def test_rows_without_text_are_refused_or_dropped(tmp_path):
    path = tmp_path / "holes.jsonl"
    texts, labels = topic_texts(per_label=4)
    texts[5] = " "
    path.write_text(
        "".join(json.dumps({"text": t, "label": lab}) + "\n" for t, lab in zip(texts, labels, strict=True))
    )
    with pytest.raises(
        TableError, match=r"1 of 12 rows have empty or non-text cells \(empty in 'text'; rows 5"
    ):
        evaluate("tfidf", path)
    assert evaluate("tfidf", path, drop_empty=True).n == 11


def test_bundled_texts_by_name():
    evaluation = evaluate("tfidf", "products", split="dev", max_texts=100)
    assert (evaluation.n, evaluation.data) == (100, "products")


def test_an_encoder_object(labelled_file):
    texts = topic_texts(10, seed=2)[0]
    encoder = TableEncoder(dict(zip(texts, np.eye(30, dtype=np.float32), strict=True)))
    row = evaluate(encoder, labelled_file, split="test", batch_tokens=100).models[0]
    assert (row.model, row.template, row.pooling) == ("table-30", None, None)


def test_a_decoder_by_folder_and_as_an_object(labelled_file, decoder_folder):
    from lastword.embedding import Embedder

    by_folder = evaluate(
        decoder_folder,
        labelled_file,
        template="The {text} means",
        pooling="lasttoken",
        dtype="float32",
        device="cpu",
    ).models[0]
    embedder = Embedder.from_pretrained(
        decoder_folder, template="The {text} means", pooling="lasttoken", dtype="float32", device="cpu"
    )
    by_object = evaluate(embedder, labelled_file, batch_tokens=64).models[0]
    assert by_folder.score == by_object.score == cluster_score(embedder, *_all_texts())
    assert (by_folder.model, by_folder.template, by_folder.pooling) == (
        str(decoder_folder), "custom", "lasttoken",
    )  # fmt: skip
    assert evaluate(embedder.variant(template="none"), labelled_file).models[0].score != by_object.score


def _all_texts():
    train, test = topic_texts(12, seed=1), topic_texts(10, seed=2)
    return train[0] + test[0], train[1] + test[1]


def test_a_sentence_transformers_folder(labelled_file, sentence_folder):
    evaluation = evaluate(f"sentence-transformers:{sentence_folder}", labelled_file, device="cpu")
    row = evaluation.models[0]
    assert (row.model, row.template, evaluation.n) == (str(sentence_folder), None, 66)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"task": "clusterin"},
            "unknown task 'clusterin': did you mean 'clustering'? Known: clustering, classification, sts, retrieval",
        ),
        ({"max_texts": 0}, "max_texts=0: give a whole number, 1 or more"),
        ({"max_texts": "5"}, "max_texts='5': give a whole number, 1 or more"),
        ({"max_texts": 2.5}, "max_texts=2.5: give a whole number, 1 or more"),
        *[
            (
                {"model": model},
                f"model is {kind}: give a name, a folder, or an object with encode and identity",
            )
            for model, kind in [(3, "int"), (None, "NoneType"), (["tfidf", {}], "dict"), ([b"x"], "bytes")]
        ],
        ({"template": "eol"}, "template='eol': tfidf takes no template; leave it out"),
        ({"model": []}, "no model: give one or more"),
        *[
            (
                {"model": f"{kind}:mini", "long_texts": "windows:16"},
                f"long_texts='windows:16': a model with {kind}: before its name takes no long_texts; leave it out",
            )
            for kind in ("sparse", "expanded", "hybrid")
        ],
        (
            {"model": ["tfidf", "sentence-transformers:x"], "pooling": "mean"},
            "pooling='mean': tfidf takes no pooling; leave it out",
        ),
        ({"pooling": "mean"}, "pooling='mean': tfidf takes no pooling; leave it out"),
        ({"device": "cpu"}, "device='cpu': tfidf takes no device; leave it out"),
        (
            {"model": "sentence-transformers:x", "pooling": "mean"},
            "pooling='mean': a sentence-transformers model takes no pooling; leave it out",
        ),
        (
            {"model": TableEncoder({}), "dtype": "float32"},
            "dtype='float32': a loaded model takes no dtype; leave it out",
        ),
        (
            {"model": "sentence-transformers:"},
            "sentence-transformers: has no model name: "
            "write sentence-transformers:FOLDER or sentence-transformers:NAME_ON_THE_HUB",
        ),
        (
            {"task": "classification", "train_split": "test"},
            "split and train_split are both 'test': give two different splits",
        ),
    ],
)
def test_invalid_requests(labelled_file, settings, message):
    with pytest.raises(RequestError) as caught:
        evaluate(**{"models": settings.pop("model", "tfidf"), "data": labelled_file, **settings})
    assert str(caught.value) == message


def test_texts_with_a_single_label(tmp_path):
    path = tmp_path / "single.csv"
    path.write_text("text,label,split\nfirst text,x,test\nsecond text,x,test\nthird text,y,train\n")
    with pytest.raises(RequestError) as caught:
        evaluate("tfidf", path, split="test")
    assert (
        str(caught.value) == f"{path} (split 'test') has one label only ('x'): clustering needs at least two"
    )
    with pytest.raises(RequestError) as caught:
        evaluate("tfidf", path, task="classification")
    assert (
        str(caught.value)
        == f"{path} (split 'train') has one label only ('y'): classification needs at least two"
    )
    with pytest.raises(RequestError) as caught:
        evaluate("tfidf", path, max_texts=1)
    assert str(caught.value) == (
        f"the sample of 1 texts from {path} has one label only ('x'): clustering needs at least two"
    )


def test_too_few_training_texts_of_a_label(labelled_file):
    with pytest.raises(RequestError) as caught:
        evaluate(
            "tfidf",
            labelled_file,
            task="classification",
            split="train",
            train_split="test",
            samples_per_label=11,
        )
    assert str(caught.value) == (
        f"{labelled_file} (split 'test'): label 'court' has only 10 of samples_per_label=11; "
        "add texts or ask for at most 10"
    )


def test_missing_splits(labelled_file, tmp_path):
    with pytest.raises(TableError) as caught:
        evaluate("tfidf", labelled_file, split="dev")
    assert (
        str(caught.value)
        == f"{labelled_file} has no row with split = 'dev'; the values there are: test, train"
    )
    path = tmp_path / "plain.csv"
    path.write_text("text,label\nfirst text,x\nsecond text,y\n")
    with pytest.raises(TableError) as caught:
        evaluate("tfidf", path, task="classification")
    assert str(caught.value) == f"{path} has no column 'split'; its columns are: text, label"
    with pytest.raises(MissingFileError, match=r"no file nowhere\.csv"):
        evaluate("tfidf", "nowhere.csv")


def test_tfidf_needs_neither_torch_nor_mteb_and_logs_nothing(labelled_file):
    """In a new process, since this one has imported everything."""
    code = (
        "import sys; from lastword.evaluation import evaluate\n"
        "assert not {'torch', 'mteb', 'sklearn', 'transformers'} & set(sys.modules)\n"
        f"print(evaluate('tfidf', {str(labelled_file)!r}).n)\n"
        f"evaluate('tfidf', {str(labelled_file)!r}, task='classification')\n"
        "assert not {'torch', 'mteb', 'datasets', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "66\n", "")
