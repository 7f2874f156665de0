"""Score models on a file of the user: the function behind `lastword evaluate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lastword.bundled import LEXICAL, path_of
from lastword.cache import VectorCache
from lastword.cache.encoder import CachedEncoder
from lastword.console import progress, warn
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import description, load_encoder, settings_of, with_batches
from lastword.errors import RequestError, unknown_name
from lastword.evaluation.classification import classification_score
from lastword.evaluation.clustering import cluster_score
from lastword.evaluation.labels import require_labels, require_samples
from lastword.evaluation.retrieval import document_texts, retrieval_score
from lastword.evaluation.sts import sts_score
from lastword.files.cache_folder import cache_folder
from lastword.files.inputs import Collection, LabelledTexts, ScoredPairs, two_columns
from lastword.files.run_folder import require_writable
from lastword.files.sources import Source
from lastword.uncertainty import Difference, Score, compare

TASKS = ("clustering", "classification", "sts", "retrieval")
BUNDLED = ("topics", "products")
Model = str | Path | TextEncoder


@dataclass(frozen=True)
class ModelScore:
    """How one model scores.

    Attributes:
        model: its name.
        template, pooling: of a decoder; None for other models.
        score: with its standard errors and chance.
        seconds: for embedding and scoring.
        against_best: difference from the model with the highest score; None for that model itself.
        against_tfidf: difference from TF-IDF; None for TF-IDF itself, or where it cannot be scored.
    """

    model: str
    template: str | None
    pooling: str | None
    score: Score
    seconds: float
    against_best: Difference | None = None
    against_tfidf: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        differences = {name: getattr(self, name) for name in ("against_best", "against_tfidf")}
        return asdict(self) | {
            "score": self.score.to_dict(),
            **{name: difference and difference.to_dict() for name, difference in differences.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """Models side by side on the same texts.

    Attributes:
        task: "clustering", "classification", "sts" or "retrieval".
        metric: "v_measure", "accuracy", "cosine_spearman" or "ndcg_at_10".
        data: the file, as it was named.
        n: texts, pairs or queries scored.
        models: in the order they were given; TF-IDF is last if it was not among them.
    """

    task: str
    metric: str
    data: str
    n: int
    models: tuple[ModelScore, ...]

    @property
    def best(self) -> ModelScore:
        """The model with the highest score; others may not be distinguishable from it."""
        return max(self.models, key=lambda row: row.score.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return {**vars(self), "models": [row.to_dict() for row in self.models]}


@dataclass(frozen=True)
class LocalTask:
    """Texts that were read, and how to score a model on them.

    Attributes:
        task: as for `evaluate`.
        data: the file, as it was named.
        learned_from: texts that TF-IDF is fitted to before it encodes some of them.
        measure: scores an encoder.
    """

    task: str
    data: str
    learned_from: Sequence[str]
    measure: Callable[[TextEncoder], Score]

    def score(self, encoder: TextEncoder) -> Score:
        """Score an encoder; scores of one task compare."""
        if isinstance(encoder, TfidfEncoder):
            encoder.fit(self.learned_from)
        return self.measure(encoder)


def evaluate(
    models: Model | Sequence[Model],
    data: Source,
    *,
    text_column: str | None = None,
    label_column: str = "label",
    score_column: str = "score",
    split: str | None = None,
    task: str = "clustering",
    template: str | None = None,
    pooling: str | None = None,
    long_texts: str | None = None,
    train_split: str = "train",
    samples_per_label: int = 8,
    batch_tokens: int | None = None,
    max_texts: int | None = None,
    seed: int = 0,
    drop_empty: bool = False,
    cache: str | Path | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> Evaluation:
    """Score models on your own texts by the protocols of MTEB, beside TF-IDF.

    Args:
        models: one or several: a decoder's name or folder, "tfidf", "sentence-transformers:NAME_OR_FOLDER", or an
            object with `encode` and `identity`, such as an `Embedder`.
        data: a file or `TableFile`, or the bundled "topics" or "products"; for a retrieval a folder in the layout
            of BEIR (corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv).
        text_column: column of the texts; None is "text", and "sentence1,sentence2" for sts.
        label_column: column of the labels.
        score_column: column of the scores of pairs.
        split: keep the rows whose column `split` has this value. None takes all rows for a clustering or
            sts, the split "test" for a classification or retrieval.
        task: "clustering" (V-measure), "classification" (accuracy), "sts" (Spearman's correlation of
            cosine and score) or "retrieval" (nDCG@10).
        template: of the decoders among the models; None takes the folder's own, or none.
        pooling: of the decoders; None takes the folder's own, or mean.
        long_texts: of the decoders, what they do with long texts; see `embed_corpus`.
        train_split: split that a classification draws its training texts from.
        samples_per_label: training texts of each label in a classification.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        max_texts: score a fixed sample of at most so many texts or pairs.
        seed: of that sample; the protocol itself keeps mteb's seed.
        drop_empty: leave out rows without text or label instead of refusing the file.
        cache: folder of vectors that are kept from call to call; None keeps none.
        dtype: precision of the models; None is the default of each.
        device: None is the best available.

    Returns:
        A row for each model and one for TF-IDF, with paired differences.

    Raises:
        MissingFileError, TableError, ModelError, RequestError: see the message.
    """
    require_cache(cache)
    local_task = read_task(
        data, task=task, text_column=text_column, label_column=label_column, score_column=score_column, split=split,
        train_split=train_split, samples_per_label=samples_per_label, max_texts=max_texts, seed=seed,
        drop_empty=drop_empty,
    )  # fmt: skip
    chosen = [models] if isinstance(models, str | Path) or not isinstance(models, Sequence) else list(models)
    settings = _settings(
        chosen, template=template, pooling=pooling, long_texts=long_texts, dtype=dtype, device=device
    )
    rows = []
    with progress("models", len(chosen) + 1, step=1) as advance:
        for model, how in zip(chosen, settings, strict=True):
            rows.append(_score(load_encoder(model, **how), local_task, batch_tokens, cache))
            advance(1)
        if not any(row.model == TfidfEncoder.name for row in rows):
            rows += _tfidf(local_task)
    return _compared(local_task, rows)


def read_task(
    data: Source,
    *,
    task: str = "clustering",
    text_column: str | None = None,
    label_column: str = "label",
    score_column: str = "score",
    split: str | None = None,
    train_split: str = "train",
    samples_per_label: int = 8,
    max_texts: int | None = None,
    seed: int = 0,
    drop_empty: bool = False,
) -> LocalTask:
    """Read a file once to score several models on it; arguments as for `evaluate`.

    Raises:
        MissingFileError, TableError, RequestError: see the message.
    """
    if task not in TASKS:
        raise RequestError(unknown_name("task", task, TASKS))
    source = path_of(str(data)) if str(data) in BUNDLED else data
    columns = (text_column or "text", label_column)
    texts: list[str]
    measure: Callable[[TextEncoder], Score]
    if task == "sts":
        sides = two_columns(text_column or "sentence1,sentence2")
        pairs = ScoredPairs.read(source, sides, score_column, split, drop_empty).sample(max_texts, seed)
        texts, measure = [*pairs.first, *pairs.second], partial(sts_score, pairs=pairs)
    elif task == "retrieval":
        if max_texts is not None:
            raise RequestError(f"max_texts={max_texts}: a retrieval needs all documents; leave it out")
        collection = Collection.read(source, split or "test")
        texts, measure = document_texts(collection), partial(retrieval_score, collection=collection)
    elif task == "clustering":
        test = LabelledTexts.read(source, columns, split, drop_empty).sample(max_texts, seed)
        require_labels(test.labels, "clustering", test.where)
        texts = list(dict.fromkeys(test.texts))
        measure = partial(cluster_score, texts=test.texts, labels=test.labels)
    else:
        test_split = split or "test"
        train = _read_train(source, columns, train_split, test_split, samples_per_label, drop_empty)
        test = LabelledTexts.read(source, columns, test_split, drop_empty).sample(max_texts, seed)
        texts = train.texts  # all of them, and not only the few that are drawn
        measure = partial(
            classification_score, train_texts=train.texts, train_labels=train.labels, test_texts=test.texts,
            test_labels=test.labels, samples_per_label=samples_per_label,
        )  # fmt: skip
    return LocalTask(task, str(data), texts, measure)


def _settings(models: Sequence[Model], **settings: str | None) -> list[dict[str, str | None]]:
    """The settings of each model; of several models, one without a template needs none.

    Raises:
        RequestError: no model, or a setting that none of them takes.
    """
    if not models:
        raise RequestError("no model: give one or more")
    taken = [settings_of(model) for model in models]
    return [
        {
            name: value if name in names or not any(name in others for others in taken) else None
            for name, value in settings.items()
        }
        for names in taken
    ]


def _score(
    encoder: TextEncoder, task: LocalTask, batch_tokens: int | None, cache: str | Path | None
) -> ModelScore:
    started = time.perf_counter()
    score = task.score(cached(with_batches(encoder, batch_tokens), cache))
    seconds = round(time.perf_counter() - started, 3)
    return ModelScore(*description(encoder), score, seconds)


def cached(encoder: TextEncoder, cache: str | Path | bool | None) -> TextEncoder:
    """Put a vector cache in front of an encoder whose vectors depend on nothing but the text.

    Args:
        encoder: of any kind.
        cache: folder of the cache; True is the user's cache folder, False or None is none.
    """
    wide = (
        str(getattr(encoder, "name", "")).partition(":")[0] in LEXICAL
    )  # as many numbers as there are tokens
    fixed = not (isinstance(encoder, TfidfEncoder) or wide or getattr(encoder, "batch_dependent", False))
    if cache is None or cache is False or not fixed:
        return encoder
    return CachedEncoder(encoder, VectorCache(None if cache is True else cache))


def require_cache(cache: str | Path | bool | None) -> None:
    """Refuse a cache folder that cannot be written, before a model is loaded; `cache` is as for `cached`.

    Raises:
        RequestError: see the message.
    """
    if cache is not None and cache is not False:
        require_writable((cache_folder("vectors") if cache is True else Path(cache)) / "file")


def _tfidf(task: LocalTask) -> list[ModelScore]:
    """The baseline; no row where the texts have no words."""
    try:
        return [_score(TfidfEncoder(), task, None, None)]
    except RequestError as error:
        warn(f"TF-IDF is not in the table: {error}")
        return []


def _compared(task: LocalTask, rows: Sequence[ModelScore]) -> Evaluation:
    best = max(rows, key=lambda row: row.score.value)
    tfidf = next((row for row in rows if row.model == TfidfEncoder.name), None)

    def against(row: ModelScore, other: ModelScore | None) -> Difference | None:
        return compare(row.score, other.score) if other and row is not other else None

    first = rows[0].score
    models = [
        replace(row, against_best=against(row, best), against_tfidf=against(row, tfidf)) for row in rows
    ]
    return Evaluation(task.task, first.metric, task.data, first.n, tuple(models))


def _read_train(
    source: Source,
    columns: tuple[str, str],
    train_split: str,
    test_split: str,
    samples_per_label: int,
    drop_empty: bool,
) -> LabelledTexts:
    if train_split == test_split:
        raise RequestError(f"split and train_split are both {train_split!r}: give two different splits")
    train = LabelledTexts.read(source, columns, train_split, drop_empty)
    require_labels(train.labels, "classification", train.where)
    require_samples(train.labels, samples_per_label, train.where)
    return train
