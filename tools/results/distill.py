"""What a static student keeps of an adapted model: groups, neighbours, speed and size, on texts that it has not seen.

    python tools/results/distill.py --data ../shared/data            # writes results/distill.json; minutes
    python tools/results/distill.py --data ../shared/data --model adapted --corpora topics,agnews

The teacher is the bundled model adapted by the recipe "mini", or `--model`. Of each corpus a fifth, at most 1,000
texts, is for scoring, and of the rest at most 6,000 are for the student. A corpus that is measured already is
measured again.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import lastword
from lastword.bundled import PATHS

RESULTS = Path(__file__).parents[2] / "results" / "distill.json"
CORPORA = {
    "topics": (None, "label"), "products": (None, "label"),
    "agnews": ("clustering/agnews.parquet", "label"),
    "stackoverflow_titles": ("clustering/stackoverflow_titles.parquet", "label"),
    "arxiv_s2s": ("clustering/arxiv_s2s.parquet", "label_main"),
}  # fmt: skip
TEXTS, SCORED = 6000, 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--corpora", default=",".join(CORPORA))
    given = parser.parse_args()
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"corpora": {}}
    with tempfile.TemporaryDirectory() as folder:
        teacher = given.model or adapted(Path(folder) / "adapted")
        content["teacher"] = {"recipe": json.loads((teacher / "lastword.json").read_text())["recipe"]}
        for corpus in given.corpora.split(","):
            content["corpora"][corpus] = measured(corpus, given.data, teacher, Path(folder))
            RESULTS.write_text(json.dumps(content, indent=1) + "\n")
            print(corpus, json.dumps(content["corpora"][corpus], indent=1))


def adapted(folder: Path) -> Path:
    from lastword.config import read_recipe

    lastword.train(folder, **read_recipe("mini"))
    return folder


def measured(corpus: str, data: Path | None, teacher: Path, folder: Path) -> dict[str, Any]:
    file, label = CORPORA[corpus]
    table = pq.read_table(data / file if file and data else PATHS[corpus])
    rows = list(dict(zip(table["text"].to_pylist(), table[label].to_pylist(), strict=True)).items())
    random.Random(0).shuffle(rows)
    scored = min(SCORED, len(rows) // 5)
    test = folder / f"{corpus}.parquet"
    pq.write_table(
        pa.table(dict(zip(("text", "label"), zip(*rows[:scored], strict=True), strict=True))), test
    )
    texts = [text for text, _ in rows[scored : scored + TEXTS]]
    student = lastword.distill(teacher, texts, folder / f"{corpus}-student", dtype="float32")
    models = [str(teacher), f"sentence-transformers:{student.output}"]
    scores = lastword.evaluate(models, test, dtype="float32").models
    names = {models[0]: "teacher", str(student.output): "student"}
    kept = {key: value for key, value in student.to_dict().items() if key not in ("output", "model")}
    return {
        "scored": scored, "student": kept,
        "v_measure": {names.get(row.model, row.model): round(100 * row.score.value, 1) for row in scores},
    }  # fmt: skip


if __name__ == "__main__":
    main()
