"""Issues that `lastword pairs check` finds in public files of pairs.

    python tools/results/pair_issues.py         # writes results/pair_issues.json

It checks a sample of each file (LASTWORD_DATA or ../shared/data), since the similarity of the sides needs an
embedder, and looks for the public texts that `real_texts.py` scores on.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import CLASSIFICATION, CLUSTERING, ROOT, data_folder

from lastword import Embedder, check_pairs
from lastword.bundled import path_of
from lastword.files.tables import read_texts

RESULTS = ROOT / "results" / "pair_issues.json"
MOST, SEED = 6000, 0
# File → its two columns, and the lowest score of a positive (None where there is no score).
FILES: dict[str, tuple[str, str, float | None]] = {
    "wikisplit_pairs": ("sentence1", "sentence2", None),
    "wiki_title_lead": ("title", "lead", None),
    "stsb_en": ("sentence1", "sentence2", 4.0),
    "sts15": ("sentence1", "sentence2", 4.0),
    "sick": ("sentence1", "sentence2", 4.0),
    "mrpc": ("sentence1", "sentence2", 1.0),
    "rte_nli": ("sentence1", "sentence2", 1.0),
}


def write_sample(path: Path, columns: tuple[str, str, float | None], target: Path) -> int:
    """Write at most `MOST` positives of a file; return how many it has."""
    anchor, positive, min_score = columns
    table = pq.read_table(path)
    rows = list(zip(table[anchor].to_pylist(), table[positive].to_pylist(), strict=True))
    if min_score is not None:
        scores = table["score"].to_pylist()
        rows = [row for row, score in zip(rows, scores, strict=True) if float(score) >= min_score]
    chosen = random.Random(SEED).sample(rows, min(MOST, len(rows)))
    anchors, positives = zip(*chosen, strict=True)
    pq.write_table(pa.table({"anchor": anchors, "positive": positives}), target)
    return len(rows)


def evaluation_texts(data: Path) -> list[str]:
    return [
        text
        for kind, sets in (("clustering", CLUSTERING), ("classification", CLASSIFICATION))
        for name in sets
        for text in read_texts(data / kind / f"{name}.parquet", ["text"], drop_empty=True)["text"]
    ]


def main() -> None:
    data = data_folder()
    embedder = Embedder.from_pretrained("mini", template="ccw", pooling="mean")
    texts = evaluation_texts(data)
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, columns in FILES.items():
            target = Path(temporary) / f"{name}.parquet"
            positives = write_sample(data / "pairs" / f"{name}.parquet", columns, target)
            check = check_pairs(target, evaluation=texts, embedder=embedder)
            results[name] = {**check.to_dict(), "file": f"{name}.parquet", "positives": positives}
            print(name, {issue.name: len(issue.rows) for issue in check.issues}, flush=True)
    check = check_pairs(path_of("pairs"), evaluation=texts, embedder=embedder)
    results["pairs (bundled)"] = {**check.to_dict(), "file": "pairs.parquet", "positives": check.pairs}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
