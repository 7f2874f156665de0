"""LLM embeddings beside traditional ones: 16 languages, similarity of sentences, retrieval in a special field.

    pip install gensim
    python tools/results/scenarios.py                           # writes results/scenarios.json; half an hour
    python tools/results/scenarios.py --only "mini;LSA"         # these models alone; the others are kept
    python tools/results/scenarios.py --scenarios Wikipedia,code   # these tasks alone; the others are kept

Languages: SIB-200, 204 test sentences each: V-measure of 7 topics, and the share of sentences whose nearest English
sentence is their translation. Similarity: STS-B and SICK, Spearman. Retrieval: Cranfield (aerodynamics), nDCG@10;
Wikipedia: titles against the beginnings of 2,000 articles, which no training here reads. Code: the first lines of
docstrings against the functions of Python's standard library without them, nDCG@10. Mathematics: titles of arXiv's
fields of mathematics, V-measure.
Word vectors are trained by gensim on the texts that are scored and, for languages, on the other sentences of the
language: what a user without a pretrained model has. Texts: LASTWORD_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sysconfig
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from real_texts import ROOT, Known, data_folder, minilm_folder
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from lastword.corpus.rerank import Reranker
from lastword.embedding import Embedder
from lastword.encoder import encode_distinct
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation import cluster_score
from lastword.evaluation.local import LocalTask, read_task
from lastword.evaluation.retrieval import document_texts, ndcg, retrieval_score
from lastword.files.inputs import Collection, sample_rows
from lastword.files.run_folder import write_json
from lastword.geometry import unit
from lastword.uncertainty import mean_interval

RESULTS = ROOT / "results" / "scenarios.json"
QUERY = "Question about aerodynamics, to be answered by an abstract: "
RERANKED, RERANKED_QUERIES = 20, 60
FUNCTIONS = 1200
_WORD = re.compile(r"\w+")


class Lsa:
    """TF-IDF reduced to 100 dimensions; learned from the texts.

    Source: Deerwester et al. 1990, "Indexing by Latent Semantic Analysis".
    """

    identity = name = "lsa"

    def fit(self, texts: Sequence[str]) -> Lsa:
        self.words = TfidfVectorizer(token_pattern=r"(?u)\w+").fit(texts)
        matrix = self.words.transform(texts)
        self.axes = TruncatedSVD(min(100, min(matrix.shape) - 1), random_state=0).fit(matrix)
        return self

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return unit(self.axes.transform(self.words.transform(texts)).astype(np.float32))


class WordVectors:
    """Means of skip-gram word vectors, learned from the texts.

    Source: Mikolov et al. 2013, arXiv:1301.3781.
    """

    identity = name = "word2vec"

    def fit(self, texts: Sequence[str]) -> WordVectors:
        from gensim.models import Word2Vec

        sentences = [_WORD.findall(text.lower()) for text in texts]
        self.vectors = Word2Vec(
            sentences, vector_size=100, sg=1, min_count=2, epochs=20, seed=0, workers=1
        ).wv
        return self

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        rows = [
            np.mean([self.vectors[word] for word in _WORD.findall(text.lower()) if word in self.vectors] or
                    [np.zeros(self.vectors.vector_size, np.float32)], axis=0)
            for text in texts
        ]  # fmt: skip
        return unit(np.array(rows, np.float32))


ADAPTED = "smollm2-adapted"
LEARNED = (TfidfEncoder, Lsa, WordVectors)


def models() -> dict[str, Callable[[], Any]]:
    """Name → how to load it."""
    small = partial(Embedder.from_pretrained, "smollm2", layer=28, dtype="bfloat16")
    adapted = partial(Embedder.from_pretrained, "smollm2-adapted", dtype="bfloat16")
    found: dict[str, Callable[[], Any]] = {
        "TF-IDF": TfidfEncoder, "LSA": Lsa, "word vectors": WordVectors,
        "mini": partial(Embedder.from_pretrained, "mini", template="ccw", pooling="lasttoken", dtype="float32"),
        "SmolLM2": partial(small, template="none", pooling="mean"),
        "SmolLM2, ccw": partial(small, template="ccw", pooling="lasttoken"),
        ADAPTED: adapted,
        f"{ADAPTED}, query prompt": partial(adapted, prompts={"query": QUERY}),
    }  # fmt: skip
    if folder := minilm_folder():
        found["all-MiniLM-L6-v2"] = partial(SentenceTransformerEncoder, folder)
    return found


def titles_and_leads(documents: int, queries: int, part: str = "test") -> Collection:
    """Titles of Wikipedia articles and their beginnings: the last ones of the file, or those before them."""
    rows = pq.read_table(data_folder() / "pairs" / "wiki_title_lead.parquet").to_pylist()
    end = len(rows) - (5000 if part == "development" else 0)
    chosen = rows[end - documents : end]
    texts = {f"d{number}": ("", row["lead"]) for number, row in enumerate(chosen)}
    asked = {f"q{number}": chosen[number]["title"] for number in range(queries)}
    return Collection(texts, asked, {key: {f"d{key[1:]}": 1} for key in asked}, f"Wikipedia, {part}")


def functions() -> Collection:
    """Functions of Python's standard library, without their docstrings, and the first lines of these."""
    documents, queries, seen = dict[str, tuple[str, str]](), dict[str, str](), set[str]()
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.FunctionDef):
                continue
            docstring = ast.get_docstring(node)
            if docstring is None or len(node.body) < 3 or len(docstring.split("\n")[0].split()) < 5:
                continue
            query, key = docstring.split("\n")[0], f"{len(documents)}"
            node.body = node.body[1:]
            if query not in seen:
                seen.add(query)
                documents[key], queries[key] = ("", ast.unparse(node)), query
    kept = sample_rows(len(documents), FUNCTIONS, 0)
    names = [list(documents)[row] for row in kept]
    asked = {f"q{name}": queries[name] for name in names[::4]}
    relevant = {key: {key[1:]: 1} for key in asked}
    return Collection({name: documents[name] for name in names}, asked, relevant, "Python")


def retrieval(collection: Collection) -> LocalTask:
    """Scored as a folder with the same documents and queries."""
    texts = [*document_texts(collection), *collection.queries.values()]
    return LocalTask("retrieval", collection.where, texts, partial(retrieval_score, collection=collection))


def mathematics() -> LocalTask:
    """Titles of arXiv whose label is a field of mathematics."""
    rows = pq.read_table(data_folder() / "clustering" / "arxiv_s2s.parquet").to_pylist()
    chosen = [row for row in rows if row["label"].startswith("math.")]
    kept = [chosen[row] for row in sample_rows(len(chosen), 1000, 0)]
    texts, labels = [row["text"] for row in kept], [row["label"] for row in kept]
    return LocalTask("clustering", "arXiv", texts, partial(cluster_score, texts=texts, labels=labels))


def measured(encoder: Any, tasks: dict[str, LocalTask], of_languages: bool) -> dict[str, Any]:
    """Task → its score with the standard error of the texts, then figures for each language."""
    found: dict[str, Any] = {}
    for name, task in tasks.items():
        if isinstance(encoder, LEARNED):
            encoder.fit(task.learned_from)
        score = task.score(encoder)
        found[name] = {"value": score.value, "text_se": score.text_se}
        print(f"  {name} {100 * score.value:.1f}", flush=True)
    return found | ({"languages": languages(encoder)} if of_languages else {})


def reranked(encoder: Any, folder: Path) -> dict[str, Any]:
    """Cranfield's first queries: nDCG@10 by cosine, and with the first 20 documents ordered by SmolLM2's answers."""
    collection = Collection.read(folder, "test")
    texts = dict(zip(collection.documents, document_texts(collection), strict=True))
    ids, queries = list(texts), list(collection.queries.items())[:RERANKED_QUERIES]
    documents = unit(encode_distinct(encoder, list(texts.values()), "document"))
    vectors = unit(encode_distinct(encoder, [text for _, text in queries], "query"))
    reranker, gains, seconds = Reranker("smollm2"), list[tuple[float, float]](), time.perf_counter()
    for (key, query), vector in zip(queries, vectors, strict=True):
        first = [ids[row] for row in np.argsort(-(documents @ vector), kind="stable")[:RERANKED]]
        scores = reranker.scores(query, [texts[name] for name in first])
        again = [first[row] for row in np.argsort(-scores, kind="stable")]
        gains.append((ndcg(first, collection.relevant[key]), ndcg(again, collection.relevant[key])))
    before, after = np.array(gains).T
    return {
        "queries": len(queries), "documents": RERANKED, "by cosine": float(before.mean()),
        "reranked": float(after.mean()), "difference": mean_interval(after - before).to_dict(),
        "seconds_per_query": round((time.perf_counter() - seconds) / len(queries), 2),
    }  # fmt: skip


def languages(encoder: Any) -> dict[str, dict[str, float]]:
    """Language → V-measure of its topics, and the share of nearest English sentences that are translations."""
    path = data_folder() / "multilingual" / "sib200_16langs.parquet"
    rows = pq.read_table(path).to_pylist()
    test: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["split"] == "test":
            test.setdefault(row["lang"], []).append(row)
    english = sorted(test["eng_Latn"], key=lambda row: row["id"])
    vectors, found = {}, {}
    for language, of_language in test.items():
        ordered = sorted(of_language, key=lambda row: row["id"])
        texts = [row["text"] for row in ordered]
        if isinstance(encoder, LEARNED):
            encoder.fit([row["text"] for row in rows if row["lang"] == language])
        vectors[language] = encoder.encode(texts)
        score = cluster_score(Known(texts, vectors[language]), texts, [row["label"] for row in ordered])
        found[language] = {"v_measure": score.value, "ami": score.ami or 0.0}
    for language, own in vectors.items():
        if language != "eng_Latn" and not isinstance(encoder, LEARNED):
            ids = [row["id"] for row in sorted(test[language], key=lambda row: row["id"])]
            nearest = (unit(own) @ unit(vectors["eng_Latn"]).T).argmax(1)
            right = [float(english[at]["id"] == name) for at, name in zip(nearest, ids, strict=True)]
            interval = mean_interval(np.array(right))
            found[language] |= {"translations": interval.mean, "low": interval.low, "high": interval.high}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="models, A;B;…; all by default")
    parser.add_argument("--scenarios", default="", help="tasks, A,B,…, or languages; all by default")
    args = parser.parse_args()
    data, pairs = data_folder(), "pairs"
    tasks = {
        "STS-B": read_task(str(data / pairs / "stsb_en.parquet"), task="sts", max_texts=1000),
        "SICK": read_task(str(data / pairs / "sick.parquet"), task="sts", max_texts=1000),
        "Cranfield": read_task(str(data / "retrieval" / "cranfield"), task="retrieval"),
        "Wikipedia": retrieval(titles_and_leads(2000, 500)),
        "code": retrieval(functions()),
        "mathematics": mathematics(),
    }
    chosen = [name for name in args.scenarios.split(",") if name] or [*tasks, "languages"]
    tasks = {name: task for name, task in tasks.items() if name in chosen}
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for name, load in models().items():
        if not args.only or name in args.only.split(";"):
            print(name, flush=True)
            encoder = load()
            content[name] = content.get(name, {}) | measured(encoder, tasks, "languages" in chosen)
            write_json(RESULTS, content)
            if name in (ADAPTED, "all-MiniLM-L6-v2") and "Cranfield" in chosen:
                content[name]["rerank"] = reranked(encoder, data / "retrieval" / "cranfield")
                write_json(RESULTS, content)


if __name__ == "__main__":
    main()
