"""Similarity and retrieval: values equal plain computations and mteb's own; invalid files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from lastword.errors import MissingFileError, RequestError, TableError
from lastword.evaluation import evaluate, retrieval_score, sts_score
from lastword.files.inputs import Collection, ScoredPairs
from lastword.files.sources import TableFile
from lastword.uncertainty import halves
from tests.samples import WordEncoder, topic_texts


def pairs() -> ScoredPairs:
    first, second = topic_texts(20, seed=1)[0], topic_texts(20, seed=2)[0][::-1]
    scores = [
        len({*a.split()} & {*b.split()}) + number / 100
        for number, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    return ScoredPairs(first, second, scores, "here")


def row_of(evaluation):
    return evaluation.models[0]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sts_is_spearmans_correlation_of_cosine_and_score():
    scored = pairs()
    encoder = WordEncoder()
    cosines = (unit(encoder.encode(scored.first)) * unit(encoder.encode(scored.second))).sum(axis=1)
    score = sts_score(encoder, scored)
    assert score.value == pytest.approx(spearmanr(cosines, scored.scores)[0], abs=1e-9)
    assert (score.metric, score.n, score.draws, score.chance) == ("cosine_spearman", 60, (), 0.0)
    by_hand = [spearmanr(cosines[rows], np.array(scored.scores)[rows])[0] for rows in halves(60)]
    assert score.text_se == pytest.approx(np.std(by_hand, ddof=1), abs=2e-6)


def test_mteb_itself_gives_the_same_correlation_to_the_last_digit():
    from .mteb_tasks import Similarity, mtebs_value

    assert sts_score(WordEncoder(), pairs()).value == mtebs_value(Similarity(pairs()), WordEncoder())


def test_pairs_with_equal_scores_are_refused():
    scored = pairs()
    flat = ScoredPairs(scored.first, scored.second, [1.0] * 60, "here")
    with pytest.raises(RequestError) as caught:
        sts_score(WordEncoder(), flat)
    assert str(caught.value) == "here: all pairs have one score; give pairs that are more and less alike"


@pytest.fixture
def beir(tmp_path):
    """60 documents of three topics, a query for each of nine; grades 1 and 2, and a query without answers."""
    folder = tmp_path / "collection"
    (folder / "qrels").mkdir(parents=True)
    documents, topics = topic_texts(20, seed=3)
    documents = [f"{text} number{number}" for number, text in enumerate(documents)]
    queries, query_topics = topic_texts(3, seed=4)
    corpus = [{"_id": f"d{n}", "title": "the", "text": text} for n, text in enumerate(documents)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    rows = [{"_id": f"q{n}", "text": text} for n, text in enumerate([*queries, "no answer"])]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [
        f"q{q}\td{d}\t{1 + d % 2}"
        for q, query_topic in enumerate(query_topics)
        for d, topic in enumerate(topics)
        if topic == query_topic and d % 4 == q % 4
    ]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return folder


def slow_ndcg(ranking, grades):
    gain = sum(grades.get(d, 0) / np.log2(place + 2) for place, d in enumerate(ranking[:10]))
    best = sum(g / np.log2(place + 2) for place, g in enumerate(sorted(grades.values(), reverse=True)[:10]))
    return gain / best


def test_retrieval_is_ndcg_of_ranking_by_cosine(beir):
    collection = Collection.read(beir, "test")
    assert len(collection.queries) == 9
    encoder = WordEncoder()
    ids = list(collection.documents)
    documents = unit(encoder.encode([f"{t} {x}" for t, x in collection.documents.values()]))
    values = []
    for query, text in collection.queries.items():
        cosines = documents @ unit(encoder.encode([text]))[0]
        ranking = [ids[place] for place in np.argsort(-cosines, kind="stable")]
        values.append(slow_ndcg(ranking, collection.relevant[query]))
    score = retrieval_score(encoder, collection)
    assert score.value == round(np.mean(values), 5)  # as mteb rounds
    assert (score.metric, score.n, score.draws) == ("ndcg_at_10", 9, ())
    assert 0 < score.text_se < 0.2


def test_mteb_itself_gives_the_same_ranking_score_to_the_last_digit(beir):
    from .mteb_tasks import Retrieval, mtebs_value

    collection = Collection.read(beir, "test")
    assert retrieval_score(WordEncoder(), collection).value == mtebs_value(
        Retrieval(collection), WordEncoder()
    )


def test_documents_of_equal_cosine_are_ranked_as_trec_eval_does(beir):
    from .mteb_tasks import Retrieval, mtebs_value

    class Same(WordEncoder):
        def encode(self, texts):
            return np.ones((len(texts), 3), np.float32)

    collection = Collection.read(beir, "test")
    assert retrieval_score(Same(), collection).value == mtebs_value(Retrieval(collection), Same())


def test_chance_is_the_mean_over_random_rankings(beir):
    collection = Collection.read(beir, "test")
    rng, ids = np.random.default_rng(0), list(collection.documents)
    values = [
        slow_ndcg(rng.permutation(ids), grades) for grades in collection.relevant.values() for _ in range(300)
    ]
    assert retrieval_score(WordEncoder(), collection).chance == pytest.approx(np.mean(values), abs=0.02)


def test_queries_and_documents_are_embedded_by_their_own_methods(beir):
    class Asymmetric(WordEncoder):
        def encode_query(self, texts):
            self.queries = list(texts)
            return self.encode(texts)

        def encode_document(self, texts):
            self.documents = list(texts)
            return -self.encode(texts)

    collection, encoder = Collection.read(beir, "test"), Asymmetric()
    score = retrieval_score(encoder, collection)
    assert encoder.queries == list(collection.queries.values())
    assert encoder.documents == [f"{title} {text}" for title, text in collection.documents.values()]
    assert score.value < retrieval_score(WordEncoder(), collection).value


def test_a_file_of_pairs_and_a_folder_of_documents(beir, tmp_path):
    scored = pairs()
    path = tmp_path / "pairs.jsonl"
    rows = [
        {"a": a, "b": b, "alike": s, "split": "test" if n % 2 else "dev"}
        for n, (a, b, s) in enumerate(zip(scored.first, scored.second, scored.scores, strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"task": "sts", "text_column": "a, b", "score_column": "alike"}
    report = row_of(evaluate(WordEncoder(), path, **columns, split="test"))
    odd = ScoredPairs(scored.first[1::2], scored.second[1::2], scored.scores[1::2], "")
    assert report.score == sts_score(WordEncoder(), odd)
    assert evaluate("tfidf", path, **columns).n == 60
    assert evaluate(WordEncoder(), path, **columns, max_texts=12).n == 12

    evaluation = evaluate(WordEncoder(), beir, task="retrieval")
    assert (evaluation.metric, evaluation.n, evaluation.data) == ("ndcg_at_10", 9, str(beir))
    assert evaluation.models[1].score.value > 0.2


def test_judged_documents_that_are_missing_are_never_found(beir, said):
    whole = retrieval_score(WordEncoder(), Collection.read(beir, "test"))
    path = beir / "qrels" / "test.tsv"
    path.write_text(path.read_text() + "".join(f"q{query}\tx9\t2\n" for query in range(9)))
    poorer = retrieval_score(WordEncoder(), Collection.read(beir, "test"))
    assert poorer.value < whole.value
    assert said == [
        f"1 of 46 documents in {path} are not in the corpus (such as 'x9'): they count as never found"
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_collections_in_other_encodings(beir, encoding):
    """Without a header a byte order mark would be part of the first query's name."""
    expected = Collection.read(beir, "test")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        text = (beir / name).read_text().removeprefix("query-id\tcorpus-id\tscore\n")
        (beir / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert Collection.read(beir, "test") == expected
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        (beir / name).write_bytes((beir / name).read_bytes().decode(encoding).encode("cp500"))
    assert Collection.read(TableFile(beir, "cp500"), "test").documents == expected.documents


def test_vectors_are_cached_on_request(beir, tmp_path):
    encoders = [WordEncoder(), WordEncoder()]
    scores = [
        row_of(evaluate(encoder, beir, task="retrieval", cache=tmp_path / "cache")).score
        for encoder in encoders
    ]
    assert scores[0] == scores[1]
    assert len(encoders[0].asked) == 69
    assert encoders[1].asked == []


NOTHING = "{} has no query of queries.jsonl with a relevant document of corpus.jsonl"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("corpus.jsonl", None, "no file {}: retrieval needs corpus.jsonl, queries.jsonl and qrels"),
        (
            "queries.jsonl",
            "{\n",
            "{} is not a readable .jsonl file: line 1: Expecting property name enclosed in double quotes",
        ),
        ("qrels/test.tsv", None, "no file {}: choose another split; there are: none"),
        ("qrels/test.tsv", "q1\td1\n", "{}, line 1: give query-id, corpus-id and an integer score"),
        ("qrels/test.tsv", "q1\tx9\t1\n", NOTHING),
        ("qrels/test.tsv", "q1\td1\t0\n", NOTHING),
        ("qrels/test.tsv", "x1\td1\t1\n", NOTHING),
    ],
)
def test_invalid_collections(beir, file, content, message):
    path = beir / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises((MissingFileError, TableError)) as caught:
        evaluate("tfidf", beir, task="retrieval")
    assert str(caught.value) == message.format(path)


def test_invalid_requests(beir, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2,score\none text,other text,1.5\none text,third text,many\n")
    for settings, message in (
        (
            {"data": path},
            f"{path}: 1 of 2 rows have cells that are not numbers (not a number in 'score'; rows 1, counted from 0); "
            "fix them or pass drop_empty=True",
        ),
        (
            {"data": path, "text_column": "sentence1"},
            "text_column='sentence1': give the two columns of a pair, such as sentence1,sentence2",
        ),
        (
            {"data": tmp_path / "no", "task": "retrieval"},
            f"no folder {tmp_path / 'no'}: retrieval needs one with corpus.jsonl, queries.jsonl and qrels/test.tsv",
        ),
        (
            {"data": beir, "task": "retrieval", "max_texts": 5},
            "max_texts=5: a retrieval needs all documents; leave it out",
        ),
    ):
        with pytest.raises(RequestError) as caught:
            evaluate("tfidf", **{"task": "sts", **settings})
        assert str(caught.value) == message
