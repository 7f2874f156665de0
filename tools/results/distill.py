"""What the students of an adapted model keep of it: groups, neighbours, retrieval, speed and size, on unseen texts.

    python tools/results/distill.py --data ../shared/data            # writes results/distill.json; half an hour
    python tools/results/distill.py --data ../shared/data --model adapted --corpora topics,agnews
    python tools/results/distill.py --data ../shared/data --corpora arxiv_s2s --texts 12000 --students static

The teacher is the bundled model adapted by the recipe "mini", or `--model`. Of each corpus a fifth, at most 1,000
texts, is for scoring, and of the rest at most 2,500 or `--texts` are for the students. A corpus that is measured
already is measured again. Speed is in texts per second of processor time on one core, so that other work does not
change it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

import lastword
from lastword.bundled import PATHS
from lastword.encoders.by_name import load_encoder
from lastword.evaluation import vectors_cluster_score
from lastword.geometry import shared_neighbours, unit

RESULTS = Path(__file__).parents[2] / "results" / "distill.json"
CORPORA = {
    "topics": (None, "label"), "products": (None, "label"),
    "stackoverflow_titles": ("clustering/stackoverflow_titles.parquet", "label"),
    "agnews": ("clustering/agnews.parquet", "label"),
    "arxiv_s2s": ("clustering/arxiv_s2s.parquet", "label_main"),
}  # fmt: skip
STUDENTS = {"static": "sentence-transformers:", "shallow": ""}
"""Student → what stands before the name of its folder."""
TEXTS, SCORED, NEAREST, BOOTSTRAP, TIMED_S = 2500, 1000, 10, 4096, 2.0
Rows = list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--corpora", default=",".join(CORPORA))
    parser.add_argument("--texts", type=int, default=TEXTS, help="the most texts for the students")
    parser.add_argument("--students", default=",".join(STUDENTS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"corpora": {}}
    with tempfile.TemporaryDirectory() as folder:
        teacher = given.model or adapted(Path(folder) / "adapted")
        content["teacher"] = {"recipe": json.loads((teacher / "lastword.json").read_text())["recipe"]}
        for corpus in given.corpora.split(","):
            rows, students = read(corpus, given.data), given.students.split(",")
            result = measured(rows, teacher, Path(folder) / corpus, given.texts, students)
            content["corpora"][corpus if given.texts == TEXTS else f"{corpus}/{given.texts}"] = result
            RESULTS.write_text(json.dumps(content, indent=1) + "\n")
            print(corpus, json.dumps(result, indent=1), flush=True)


def adapted(folder: Path) -> Path:
    from lastword.config import read_recipe

    lastword.train(folder, **read_recipe("mini"))
    return folder


def read(corpus: str, data: Path | None) -> Rows:
    """Distinct texts with their labels, shuffled."""
    file, label = CORPORA[corpus]
    table = pq.read_table(data / file if file and data else PATHS[corpus])
    rows = list(dict(zip(table["text"].to_pylist(), table[label].to_pylist(), strict=True)).items())
    random.Random(0).shuffle(rows)
    return rows


def measured(rows: Rows, teacher: Path, folder: Path, most: int, students: Sequence[str]) -> dict[str, Any]:
    scored = min(SCORED, len(rows) // 5)
    texts, labels = (list(column) for column in zip(*rows[:scored], strict=True))
    learned = [text for text, _ in rows[scored : scored + most]]
    models = {"teacher": str(teacher), "tfidf": "tfidf"} | {
        student: STUDENTS[student] + str(made(student, learned, teacher, folder)) for student in students
    }
    vectors, result = dict[str, np.ndarray](), dict[str, Any]()
    for name, model in models.items():
        settings = {} if model == "tfidf" else {"dtype": "float32", "device": "cpu"}
        encoder = load_encoder(model, **settings)
        vectors[name] = unit(np.asarray(encoder.encode(texts), np.float32))
        result[name] = {
            "v_measure": vectors_cluster_score(
                vectors[name], labels, bootstrap_size=BOOTSTRAP, resampled=False
            ).value,
            "retrieval": label_precision(vectors[name], np.array(labels)),
            "neighbours": shared_neighbours(vectors[name], vectors["teacher"]),
        }
        if model != "tfidf":
            result[name] |= {"texts_per_second": speed(encoder.encode, texts), "bytes": size(model)}
    return {"scored": scored, "texts": len(learned), "labels": len(set(labels)), "models": result}


def made(student: str, texts: list[str], teacher: Path, folder: Path) -> Path:
    output = folder.with_name(f"{folder.name}-{student}")
    lastword.distill(teacher, texts, output, student=student, dtype="float32", device="cpu")
    return output


def label_precision(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Share of the ten nearest texts that have a text's label."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    nearest = np.argsort(-cosines, axis=1)[:, :NEAREST]
    return float((labels[nearest] == labels[:, None]).mean())


def speed(encode: Callable[[Sequence[str]], Any], texts: list[str]) -> float:
    """Texts per second of processor time."""
    began, count = time.process_time(), 0
    while time.process_time() - began < TIMED_S:
        encode(texts)
        count += len(texts)
    return count / (time.process_time() - began)


def size(model: str) -> int:
    folder = Path(model.removeprefix("sentence-transformers:"))
    return sum(
        file.stat().st_size for file in folder.rglob("*") if file.is_file() and "training" not in file.parts
    )


if __name__ == "__main__":
    main()
