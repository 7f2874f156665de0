"""Exported graphs beside the model in torch: how near their vectors are, how good, and how fast on this processor.

    python tools/results/exports.py                       # mini; writes results/exports.json; minutes
    python tools/results/exports.py --model smollm2       # adds a model

Rounds are interleaved, and the best of each counts. Texts are sorted by length and go in batches of 32; the model in
torch batches as it does. A graph that is 1.5 times as fast at 97 % equal neighbours is worth a backend.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.cluster import KMeans
from sklearn.metrics import v_measure_score

import lastword
from lastword.bundled import PATHS
from lastword.geometry import shared_neighbours, unit
from lastword.parity.runtimes import Runtime, read_runtime

RESULTS = Path(__file__).parents[2] / "results" / "exports.json"
TEXTS, BATCH, ROUNDS = 400, 32, 3
EXPORTS = [("onnx", None), ("onnx", "int8"), ("openvino", None), ("openvino", "int8")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini")
    model = parser.parse_args().model
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    content[model] = measured(model)
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content[model], indent=1))


def measured(model: str) -> list[dict[str, Any]]:
    table = pq.read_table(PATHS["topics"]).slice(0, TEXTS)
    texts, labels = table["text"].to_pylist(), table["label"].to_pylist()
    embedder = lastword.Embedder.from_pretrained(
        model, template="ccw", pooling="lasttoken", dtype="float32", device="cpu"
    )
    encoders: dict[str, Callable[[list[str]], np.ndarray]] = {"torch": embedder.encode}
    sizes: dict[str, int | None] = {"torch": None}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as parent:
        for to, quantize in EXPORTS:
            name = f"{to} {quantize or 'float32'}"
            try:
                result = lastword.export(
                    model, Path(parent) / name, to=to, quantize=quantize, template="ccw", pooling="lasttoken"
                )
            except lastword.LastwordError as error:
                refused[name] = str(error).partition(" was not written: ")[2] or str(error)
                continue
            runtime, sizes[name] = read_runtime(result.output), result.bytes
            assert runtime is not None
            encoders[name] = lambda texts, runtime=runtime: in_batches(runtime, texts)  # type: ignore[misc]
        vectors, seconds = {}, dict.fromkeys(encoders, float("inf"))
        for _ in range(ROUNDS):
            for name, encode in encoders.items():
                started = time.perf_counter()
                vectors[name] = unit(encode(texts))
                seconds[name] = min(seconds[name], time.perf_counter() - started)
    rows = [
        {
            "runtime": name, "bytes": sizes[name], "texts_per_second": round(len(texts) / seconds[name], 1),
            "speed": round(seconds["torch"] / seconds[name], 2),
            "cosine": round(float((found * vectors["torch"]).sum(1).min()), 5),
            "neighbours": round(shared_neighbours(found, vectors["torch"]), 4),
            "v_measure": round(float(np.mean([cluster(found, labels, seed) for seed in range(5)])), 4),
        }
        for name, found in vectors.items()
    ]  # fmt: skip
    return rows + [{"runtime": name, "refused": why} for name, why in refused.items()]


def in_batches(runtime: Runtime, texts: list[str]) -> np.ndarray:
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = np.concatenate(
        [runtime.vectors([texts[i] for i in order[at : at + BATCH]]) for at in range(0, len(order), BATCH)]
    )
    return found[np.argsort(order)]


def cluster(vectors: np.ndarray, labels: list[str], seed: int) -> float:
    groups = KMeans(len(set(labels)), n_init=1, random_state=seed).fit_predict(vectors)
    return float(v_measure_score(labels, groups))


if __name__ == "__main__":
    main()
