"""One model of a comparison of strategies, in a process of its own: trained if need be, scored, timed.

    python -m lastword.experiments.measuring REQUEST RESULT

Its peak memory is that of the whole process: reading, loading, training and embedding.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lastword.config import train_config
from lastword.console import show_messages
from lastword.embedding import Embedder
from lastword.embedding.memory import peak_memory_mb
from lastword.encoder import encode_distinct
from lastword.errors import DivergenceError, LastwordError
from lastword.evaluation.clustering import vectors_cluster_score
from lastword.experiments.comparison import TrainingRun
from lastword.experiments.vector_changes import VectorChange
from lastword.files.run_folder import write_json
from lastword.files.sources import Source
from lastword.training import LastStep, train
from lastword.training.pairs import pair_files, read_pairs
from lastword.training.run import load_base
from lastword.uncertainty import Score

TIMED_TEXTS, ROUNDS = 128, 3
"""Texts that are embedded for the time of a text, and how often; the fastest counts."""
FIT_TEXTS = 2000
"""Texts that int8 and centring learn from."""


def main() -> None:
    """Read the request, measure, write the result; an error of lastword is a result too."""
    request, result = map(Path, sys.argv[1:])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    show_messages(quiet=True)
    try:
        runs = measured(json.loads(request.read_text(encoding="utf-8")), result.parent / "model")
        write_json(result, {"runs": [run.to_dict() for run in runs]})
    except LastwordError as error:
        write_json(result, {"error": str(error)})


def measured(request: Mapping[str, Any], model: Path) -> list[TrainingRun]:
    """The scores and the cost of a model, and the scores of its changed vectors.

    Args:
        request: see `strategies.py`.
        model: folder for the trained model.
    """
    config = train_config({**request["settings"], "seed": request["seed"]})
    started = time.perf_counter()
    step: int | None = 0
    if request["trained"]:
        try:
            settings = {key: value for key, value in request["settings"].items() if key != "seed"}
            train(model, scorer=LastStep(), trackers="none", device=request["device"], seed=config.seed,
                  overwrite=True, **settings)  # fmt: skip
        except DivergenceError as error:
            return [
                TrainingRun(name, config.seed, None, {}, {"diverged": str(error)})
                for name in request["vectors"]
            ]
        step = config.steps
        embedder = Embedder.from_pretrained(model, dtype=config.dtype, device=request["device"])
    else:
        embedder = load_base(config, request["device"])
    cost: dict[str, float | None] = {
        "training_seconds": round(time.perf_counter() - started, 1) if request["trained"] else None
    }
    texts: dict[str, tuple[list[str], list[str]]] = json.loads(
        Path(request["texts"]).read_text(encoding="utf-8")
    )
    cost["ms_per_text"] = _milliseconds_per_text(
        embedder, [text for part, _ in texts.values() for text in part]
    )
    changes = _changes(request["vectors"], embedder, pair_files(config))
    vectors = {name: encode_distinct(embedder, part) for name, (part, _) in texts.items()}
    facts: dict[str, float | None] = {**cost, "peak_memory_mb": peak_memory_mb(), "dimensions": embedder.dim}
    return [
        TrainingRun(name, config.seed, step, _scores(vectors, texts, change), facts)
        for name, change in changes.items()
    ]


def _milliseconds_per_text(embedder: Embedder, texts: Sequence[str]) -> float:
    """The fastest of some rounds over the first texts, after one that warms up."""
    sample = list(islice(dict.fromkeys(texts), TIMED_TEXTS))
    seconds = []
    for _ in range(1 + ROUNDS):
        started = time.perf_counter()
        embedder.encode(sample)
        seconds.append(time.perf_counter() - started)
    return round(1000 * min(seconds[1:]) / len(sample), 3)


def _changes(
    vectors: Mapping[str, str | None], embedder: Embedder, pairs: Sequence[Source]
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name → what is done with its vectors; what it learns, it learns from texts that the model is trained on."""
    changes = {name: VectorChange.parse(change) for name, change in vectors.items() if change}
    if not changes:
        return dict.fromkeys(vectors, _unchanged)
    sample = embedder.encode(list(islice(dict.fromkeys(read_pairs(pairs).anchors), FIT_TEXTS)))
    return {name: changes[name].fitted(sample) if name in changes else _unchanged for name in vectors}


def _unchanged(vectors: np.ndarray) -> np.ndarray:
    return vectors


def _scores(
    vectors: Mapping[str, np.ndarray],
    texts: Mapping[str, tuple[list[str], list[str]]],
    change: Callable[[np.ndarray], np.ndarray],
) -> dict[str, Score]:
    return {name: vectors_cluster_score(change(rows), texts[name][1]) for name, rows in vectors.items()}


def _end_with_parent() -> None:
    """Standard input is a pipe from the process that asked; when it ends, so does this one."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
