"""Score a model on a file of labelled texts: the function behind `lastword evaluate`."""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastword.bundled import path_of
from lastword.errors import RequestError, unknown_name
from lastword.evaluation.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.evaluation.encoder import TextEncoder
from lastword.evaluation.scores import (
    Score,
    classification_score,
    cluster_score,
    require_labels,
    require_samples,
)
from lastword.tables import read_texts

if TYPE_CHECKING:
    from lastword.embedding import Embedder

TASKS = ("clustering", "classification")
BUNDLED = ("topics", "products")
_SENTENCE_TRANSFORMERS = "sentence-transformers:"


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, their labels, and the words that tell a person where they are from."""

    texts: list[str]
    labels: list[str]
    where: str

    def sample(self, most: int | None, seed: int) -> LabelledTexts:
        """Draw at most so many, always the same ones, and keep their order."""
        if most is None or most >= len(self.texts):
            return self
        if most < 1:
            raise RequestError(f"max_texts={most}: give 1 or more, or nothing for all")
        rows = sorted(random.Random(seed).sample(range(len(self.texts)), most))
        texts, labels = [self.texts[row] for row in rows], [self.labels[row] for row in rows]
        return LabelledTexts(texts, labels, f"the sample of {most} texts from {self.where}")


def evaluate(
    model: str | Path | TextEncoder,
    data: str | Path,
    *,
    text_column: str = "text",
    label_column: str = "label",
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
    dtype: str | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Score a model on labelled texts, by the protocols of MTEB.

    Args:
        model: a decoder's name or folder, "tfidf", "sentence-transformers:NAME_OR_FOLDER", or an object with
            `encode` and `identity`, such as an `Embedder`.
        data: a file, or the bundled "topics" or "products".
        text_column: column of the texts.
        label_column: column of the labels.
        split: keep the rows whose column `split` has this value. None takes all rows for a clustering, the
            split "test" for a classification.
        task: "clustering" (V-measure) or "classification" (accuracy).
        template: of a decoder; None takes the folder's own, or none.
        pooling: of a decoder; None takes the folder's own, or mean.
        train_split: split that a classification draws its training texts from.
        samples_per_label: training texts of each label in a classification.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        max_texts: score a fixed sample of at most so many texts.
        seed: of that sample; the protocol itself keeps mteb's seed.
        drop_empty: leave out rows without text or label instead of refusing the file.
        dtype: precision of the model; None is what its kind does by default.
        device: None is the best there is.

    Returns:
        task, metric, score and std (0 … 1), n texts scored, model, template and pooling (None where the model
        has none), seconds for embedding and scoring, data.

    Raises:
        MissingFileError, TableError, ModelError, RequestError: see the message.
    """
    if task not in TASKS:
        raise RequestError(unknown_name("task", task, TASKS))
    path = path_of(str(data)) if str(data) in BUNDLED else Path(data)
    columns = (text_column, label_column)
    test_split = split or ("test" if task == "classification" else None)
    train: LabelledTexts | None = None
    if task == "classification":
        train = _read_train(path, columns, train_split, test_split, samples_per_label, drop_empty)
    test = _read(path, columns, test_split, drop_empty).sample(max_texts, seed)
    if train is None:
        require_labels(test.labels, task, test.where)
    encoder = _encoder(model, template=template, pooling=pooling, dtype=dtype, device=device)
    importlib.import_module("lastword.evaluation.tasks")  # seconds that are not the model's
    started = time.perf_counter()
    score = _score(_batched(encoder, batch_tokens), test, train, samples_per_label)
    return {
        "task": score.task,
        "metric": score.metric,
        "score": score.score,
        "std": score.std,
        "n": score.n,
        **_description(encoder),
        "seconds": round(time.perf_counter() - started, 3),
        "data": str(data),
    }


def _score(
    encoder: TextEncoder, test: LabelledTexts, train: LabelledTexts | None, samples_per_label: int
) -> Score:
    if train is None:
        return cluster_score(encoder, test.texts, test.labels)
    if isinstance(encoder, TfidfEncoder):
        encoder.fit(train.texts)  # all of them, and not only the few that are drawn
    return classification_score(
        encoder, train.texts, train.labels, test.texts, test.labels, samples_per_label=samples_per_label
    )


def _read(path: Path, columns: tuple[str, str], split: str | None, drop_empty: bool) -> LabelledTexts:
    where = {"split": split} if split else None
    cells = read_texts(path, columns, where=where, drop_empty=drop_empty)
    place = f"{path} (split {split!r})" if split else str(path)
    return LabelledTexts(cells[columns[0]], cells[columns[1]], place)


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
    train = _read(path, columns, train_split, drop_empty)
    require_labels(train.labels, "classification", train.where)
    require_samples(train.labels, samples_per_label, train.where)
    return train


def _encoder(model: str | Path | TextEncoder, **settings: str | None) -> TextEncoder:
    """Load what a name stands for; settings that the model cannot follow are refused."""
    if not isinstance(model, str | Path):
        _refuse(settings, ("template", "pooling", "dtype", "device"), "a loaded model")
        return model
    name = str(model)
    if name == "tfidf":
        _refuse(settings, ("template", "pooling", "dtype", "device"), name)
        return TfidfEncoder()
    if name.startswith(_SENTENCE_TRANSFORMERS):
        _refuse(settings, ("template", "pooling"), "a sentence-transformers model")
        folder = name.removeprefix(_SENTENCE_TRANSFORMERS)
        if not folder:
            raise RequestError(f"{name} names no model: write {name}FOLDER or {name}NAME_ON_THE_HUB")
        return SentenceTransformerEncoder(folder, dtype=settings["dtype"], device=settings["device"])
    from lastword.embedding import Embedder

    return Embedder.from_pretrained(
        model,
        template=settings["template"],
        pooling=settings["pooling"],
        dtype=settings["dtype"],
        device=settings["device"],
    )


def _refuse(settings: dict[str, str | None], names: Sequence[str], kind: str) -> None:
    for name in names:
        if settings[name] is not None:
            raise RequestError(f"{name}={settings[name]!r}: {kind} takes no {name}; leave it out")


@dataclass(frozen=True)
class _Batched:
    """An embedder that makes batches of a given size."""

    embedder: Embedder
    batch_tokens: int

    @property
    def identity(self) -> str:
        return self.embedder.identity

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return self.embedder.encode(texts, batch_tokens=self.batch_tokens)


def _batched(encoder: TextEncoder, batch_tokens: int | None) -> TextEncoder:
    if batch_tokens is None:
        return encoder
    from lastword.embedding import Embedder

    return _Batched(encoder, batch_tokens) if isinstance(encoder, Embedder) else encoder


def _description(encoder: TextEncoder) -> dict[str, str | None]:
    template, pooling = getattr(encoder, "template", None), getattr(encoder, "pooling", None)
    return {
        "model": getattr(encoder, "name", None) or encoder.identity,
        "template": getattr(template, "name", None),
        "pooling": getattr(pooling, "spec", None),
    }
