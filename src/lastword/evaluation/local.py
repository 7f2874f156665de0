"""Score a model on a file of the user: the function behind `lastword evaluate --data`."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lastword.bundled import path_of
from lastword.cache import VectorCache
from lastword.cache.encoder import CachedEncoder
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import description, load_encoder, with_batches
from lastword.errors import RequestError, unknown_name
from lastword.evaluation.pair_scores import retrieval_score, sts_score
from lastword.evaluation.scores import (
    Score,
    classification_score,
    cluster_score,
    require_labels,
    require_samples,
)
from lastword.files.inputs import Collection, LabelledTexts, ScoredPairs, two_columns

TASKS = ("clustering", "classification", "sts", "retrieval")
BUNDLED = ("topics", "products")
Scorer = Callable[[TextEncoder], Score]


def evaluate(
    model: str | Path | TextEncoder,
    data: str | Path,
    *,
    text_column: str | None = None,
    label_column: str = "label",
    score_column: str = "score",
    split: str | None = None,
    task: str = "clustering",
    template: str | None = None,
    pooling: str | None = None,
    train_split: str = "train",
    samples_per_label: int = 8,
    batch_tokens: int | None = None,
    max_texts: int | None = None,
    seed: int = 0,
    drop_empty: bool = False,
    cache: str | Path | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Score a model on texts of one's own, by the protocols of MTEB.

    Args:
        model: a decoder's name or folder, "tfidf", "sentence-transformers:NAME_OR_FOLDER", or an object with
            `encode` and `identity`, such as an `Embedder`.
        data: a file, or the bundled "topics" or "products"; for a retrieval a folder in the layout of BEIR
            (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv).
        text_column: column of the texts; None is "text", and "sentence1,sentence2" for sts.
        label_column: column of the labels.
        score_column: column of the scores of pairs.
        split: keep the rows whose column `split` has this value. None takes all rows for a clustering or
            sts, the split "test" for a classification or retrieval.
        task: "clustering" (V-measure), "classification" (accuracy), "sts" (Spearman's correlation of
            cosine and score) or "retrieval" (nDCG@10).
        template: of a decoder; None takes the folder's own, or none.
        pooling: of a decoder; None takes the folder's own, or mean.
        train_split: split that a classification draws its training texts from.
        samples_per_label: training texts of each label in a classification.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        max_texts: score a fixed sample of at most so many texts or pairs.
        seed: of that sample; the protocol itself keeps mteb's seed.
        drop_empty: leave out rows without text or label instead of refusing the file.
        cache: folder of vectors that are kept from call to call; None keeps none.
        dtype: precision of the model; None is what its kind does by default.
        device: None is the best there is.

    Returns:
        task, metric, score and std (0 … 1), n texts, pairs or queries scored, model, template and pooling
        (None where the model has none), seconds for embedding and scoring, data.

    Raises:
        MissingFileError, TableError, ModelError, RequestError: see the message.
    """
    if task not in TASKS:
        raise RequestError(unknown_name("task", task, TASKS))
    path = path_of(str(data)) if str(data) in BUNDLED else Path(data)
    if task == "sts":
        scorer = _sts(path, text_column, score_column, split, max_texts, seed)
    elif task == "retrieval":
        scorer = _retrieval(path, split or "test", max_texts)
    else:
        columns = (text_column or "text", label_column)
        test_split = split or ("test" if task == "classification" else None)
        train: LabelledTexts | None = None
        if task == "classification":
            train = _read_train(path, columns, train_split, test_split, samples_per_label, drop_empty)
        test = LabelledTexts.read(path, columns, test_split, drop_empty).sample(max_texts, seed)
        scorer = _clustering(test) if train is None else _classification(train, test, samples_per_label)
    encoder = load_encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
    importlib.import_module("lastword.evaluation.pair_tasks")  # seconds that are not the model's
    started = time.perf_counter()
    score = scorer(_kept(with_batches(encoder, batch_tokens), cache))
    return {
        "task": score.task,
        "metric": score.metric,
        "score": score.score,
        "std": score.std,
        "n": score.n,
        **description(encoder),
        "seconds": round(time.perf_counter() - started, 3),
        "data": str(data),
    }


def _kept(encoder: TextEncoder, cache: str | Path | None) -> TextEncoder:
    if cache is None or isinstance(encoder, TfidfEncoder) or getattr(encoder, "batch_dependent", False):
        return encoder
    return CachedEncoder(encoder, VectorCache(cache))


def _clustering(test: LabelledTexts) -> Scorer:
    require_labels(test.labels, "clustering", test.where)
    return lambda encoder: cluster_score(encoder, test.texts, test.labels)


def _classification(train: LabelledTexts, test: LabelledTexts, samples_per_label: int) -> Scorer:
    def score(encoder: TextEncoder) -> Score:
        _fit(encoder, train.texts)  # all of them, and not only the few that are drawn
        return classification_score(
            encoder, train.texts, train.labels, test.texts, test.labels, samples_per_label=samples_per_label
        )

    return score


def _sts(
    path: Path, text_column: str | None, score_column: str, split: str | None, most: int | None, seed: int
) -> Scorer:
    columns = two_columns(text_column or "sentence1,sentence2")
    pairs = ScoredPairs.read(path, columns, score_column, split).sample(most, seed)

    def score(encoder: TextEncoder) -> Score:
        _fit(encoder, [*pairs.first, *pairs.second])
        return sts_score(encoder, pairs)

    return score


def _retrieval(folder: Path, split: str, most: int | None) -> Scorer:
    if most is not None:
        raise RequestError(f"max_texts={most}: a retrieval needs all documents; leave it out")
    collection = Collection.read(folder, split)

    def score(encoder: TextEncoder) -> Score:
        _fit(encoder, [f"{title} {text}".strip() for title, text in collection.documents.values()])
        return retrieval_score(encoder, collection)

    return score


def _fit(encoder: TextEncoder, texts: list[str]) -> None:
    """Let word counts know the texts before they are asked for one."""
    if isinstance(encoder, TfidfEncoder):
        encoder.fit(texts)


def _read_train(
    path: Path,
    columns: tuple[str, str],
    train_split: str,
    test_split: str | None,
    samples_per_label: int,
    drop_empty: bool,
) -> LabelledTexts:
    if train_split == test_split:
        raise RequestError(f"split and train_split are both {train_split!r}: give two different splits")
    train = LabelledTexts.read(path, columns, train_split, drop_empty)
    require_labels(train.labels, "classification", train.where)
    require_samples(train.labels, samples_per_label, train.where)
    return train
