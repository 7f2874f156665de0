"""Measure tasks of MTEB, sentence similarity and retrieval on local copies of the public sets.

    python tools/results/benchmark_local.py     # writes results/benchmark.json; call again to resume

The texts are found through LASTWORD_DATA or in ../shared/data. Scores and vectors are cached under runs/, so
that a second call embeds nothing. No model here was trained on any of the texts; the zero-shot rows are the
bundled model without training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from real_texts import PEER, data_folder, minilm_folder

from lastword import Embedder, benchmark, console, evaluate
from lastword.evaluation.benchmark.copies import TABLES

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "benchmark.json"
WORK = ROOT / "runs" / "benchmark"
ZERO_SHOT = (("none", "mean"), ("ccw", "lasttoken"))
PAIRS = {"stsb_en": "test", "sts15": "test", "sick": "test"}
KINDS = {"v_measure": "clustering", "accuracy": "classification"}


def models() -> Iterator[tuple[dict[str, Any], Any]]:
    """Columns that name a model, and the model."""
    yield {"model": "TF-IDF", "template": None, "pooling": None}, "tfidf"
    if folder := minilm_folder():
        peer = {"model": PEER.rpartition("/")[2], "template": None, "pooling": None}
        yield peer, f"sentence-transformers:{folder}"
    for template, pooling in ZERO_SHOT:
        names = {"model": "zero-shot", "template": template, "pooling": pooling}
        yield names, Embedder.from_pretrained("mini", template=template, pooling=pooling)


def rows_of(data: Path, names: dict[str, Any], model: Any) -> Iterator[dict[str, Any]]:
    cache = WORK / "vectors"
    result = benchmark(model, list(TABLES), data_dir=data, output=WORK / "results", cache=cache)
    for row in result.tasks:
        dataset = row.task if row.subset in ("default", "eng", "eng_Latn") else f"{row.task} {row.subset}"
        yield {
            **names,
            "dataset": dataset,
            "task": KINDS[row.score.metric],
            "score": row.score.to_dict(),
            "texts": row.texts,
        }
    sources = {name: (data / "pairs" / f"{name}.parquet", "sts", split) for name, split in PAIRS.items()}
    sources["cranfield"] = (data / "retrieval" / "cranfield", "retrieval", "test")
    for name, (path, task, split) in sources.items():
        score = evaluate(model, path, task=task, split=split, cache=cache).models[0].score
        kind = "sentence similarity" if task == "sts" else task
        yield {**names, "dataset": name, "task": kind, "score": score.to_dict()}


def main() -> None:
    console.show_messages()
    data, rows = data_folder(), []
    for names, model in models():
        rows += rows_of(data, names, model)
        print(f"{names}: {len(rows)} rows", flush=True)
    about = (
        "Six tasks of MTEB with mteb's own code on local copies of its sets, sentence similarity and retrieval on "
        "public ones: the bundled model without training, beside the baselines."
    )
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    temporary.replace(RESULTS)


if __name__ == "__main__":
    main()
