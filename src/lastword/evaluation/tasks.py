"""Local texts as mteb tasks, and a text encoder as an mteb model.

Importing this file imports mteb, datasets and torch, which takes seconds: `scores.py` does so when it has
something to score.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep mteb quiet, and keep its hands off the caller's random numbers.

    Building an mteb task (importing mteb builds some) seeds `random`, `numpy.random` and torch for the whole
    process: without this, a training run that scores a checkpoint would go on with the same draws each time.
    """
    logger = logging.getLogger("mteb")
    level, python_state, numpy_state = logger.level, random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch else None
    cuda_states = torch.cuda.get_rng_state_all() if torch and torch.cuda.is_initialized() else []
    datasets = sys.modules.get("datasets")
    had_bars = datasets is not None and not datasets.are_progress_bars_disabled()
    logger.setLevel(logging.ERROR)
    if datasets and had_bars:
        datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(mteb|sklearn|datasets)\b")
            yield
    finally:
        logger.setLevel(level)
        if datasets and had_bars:
            datasets.enable_progress_bars()
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state)
        if torch and cuda_states:
            torch.cuda.set_rng_state_all(cuda_states)


with undisturbed(), warnings.catch_warnings(action="ignore"):
    import mteb
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTask, AbsTaskClassification, AbsTaskClustering
    from mteb.models import ModelMeta
    from mteb.models.abs_encoder import AbsEncoder
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lastword.encoder import TextEncoder, VectorRows, encode_distinct  # noqa: E402


def local_metadata(
    name: str, description: str, kind: str, category: str, main_score: str
) -> mteb.TaskMetadata:
    """What mteb wants to know of a task, for texts of the user."""
    return mteb.TaskMetadata(
        name=name,
        description=description,
        type=kind,
        category=category,
        dataset={"path": "local/texts", "revision": "none"},
        eval_langs=["eng-Latn"],
        main_score=main_score,
    )


class LocalClustering(AbsTaskClustering):  # type: ignore[misc]
    """Texts and labels under mteb's clustering protocol; an object serves one evaluation.

    The generator that draws the bootstraps lives on the object and is not reset, so a second evaluation of
    the same object would score other draws.
    """

    metadata = local_metadata(
        "LocalClustering", "Labelled texts of the user.", "Clustering", "t2c", "v_measure"
    )
    max_fraction_of_documents_to_embed = None  # mteb's default embeds 4 % of the texts

    def __init__(self, texts: Sequence[str], codes: Sequence[int], seed: int, bootstrap_size: int) -> None:
        super().__init__(seed=seed)
        self.max_documents_per_cluster = bootstrap_size
        self.dataset = DatasetDict(test=Dataset.from_dict({"sentences": list(texts), "labels": list(codes)}))
        self.data_loaded = True


class SerialRegression(LogisticRegression):  # type: ignore[misc]
    """scikit-learn's logistic regression on one thread, as `run_serially` says why."""

    def fit(self, *args: Any, **kwargs: Any) -> SerialRegression:
        """Fit as the parent does."""
        with threadpool_limits(1):
            super().fit(*args, **kwargs)
        return self


class LocalClassification(AbsTaskClassification):  # type: ignore[misc]
    """Texts and labels, each for training and for test, under mteb's classification protocol."""

    metadata = local_metadata(
        "LocalClassification", "Labelled texts of the user.", "Classification", "t2c", "accuracy"
    )

    def __init__(
        self,
        train: tuple[Sequence[str], Sequence[int]],
        test: tuple[Sequence[str], Sequence[int]],
        seed: int,
        samples_per_label: int,
    ) -> None:
        super().__init__(seed=seed)
        self.samples_per_label = samples_per_label
        self.evaluator_model = SerialRegression(max_iter=100)  # mteb's own object is shared by all tasks
        self.dataset = DatasetDict(
            {
                split: Dataset.from_dict({"text": list(texts), "label": list(codes)})
                for split, (texts, codes) in {"train": train, "test": test}.items()
            }
        )
        self.data_loaded = True

    def _calculate_scores(self, y_test: Any, y_pred: Any) -> Any:
        # mteb hands over a lazy column, which scikit-learn reads 26 times, cell by cell: most of the time spent.
        return super()._calculate_scores(np.array(y_test), y_pred)


class MtebModel(AbsEncoder):  # type: ignore[misc]
    """A text encoder in the form mteb asks for, named after its identity.

    The revision is a hash of the identity: mteb files scores under name and revision, and gives every model
    without them the scores of the first.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        identity = encoder.identity
        name = "lastword/" + re.sub(r"[^\w.-]+", "-", identity)[:60]
        revision = hashlib.sha256(identity.encode()).hexdigest()[:40]
        facts = {"name": name, "revision": revision}
        self.mteb_model_meta = ModelMeta.create_empty().model_copy(update=facts)

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        """Embed the texts of an mteb data loader; (n, dim), in its order."""
        return encode_distinct(self.encoder, [text for batch in inputs for text in batch["text"]])


DATA_LOADING = {"batch_size": 1024, "show_progress_bar": False}
"""Of mteb's data loader and search; the encoder makes its own batches."""


def task_types() -> dict[str, str]:
    """Name of every task of mteb → its type."""
    from mteb.get_tasks import TASK_LIST

    return {str(kind.metadata.name): str(kind.metadata.type) for kind in TASK_LIST}


def run(task: AbsTask, encoder: TextEncoder) -> dict[str, Any]:
    """Evaluate and return mteb's scores.

    Straight from the task and not through `mteb.evaluate`: no result cache can hand out another model's
    score, and sentence-transformers need not be imported.
    """
    scores: dict[str, Any] = task.evaluate(MtebModel(encoder), encode_kwargs=DATA_LOADING)["default"]
    return scores


def run_serially(task: LocalClustering, vectors: VectorRows) -> dict[str, Any]:
    """Evaluate vectors that are there already on one thread.

    The threads of k-means wait for each other in a busy loop: where another job holds the cores, one
    second turns into thirty, and where none does they gain little at these sizes.
    """
    with threadpool_limits(1):
        return run(task, vectors)
