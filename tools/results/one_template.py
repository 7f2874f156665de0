"""One template for clustering, classification, similarity and retrieval: what it costs against the best of each.

    python tools/results/one_template.py                    # writes results/one_template.json; an hour for mini
    python tools/results/one_template.py --model smollm2    # that model too; hours
    python tools/results/one_template.py --texts 60 --templates none,eol --output /tmp/tiny.json

Development data alone: labelled texts of public sets that no other results report on (clustering); the training split
of banking77 (classification); the validation split of STS-B; titles and beginnings of Wikipedia articles (retrieval).
The best single template has the highest mean of its four scores, each as a share of the best template's.
Texts: LASTWORD_DATA or ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from statistics import fmean
from typing import Any

from real_texts import ABOUT, ROOT, UNTRAINED, data_folder, unreported
from scenarios import titles_and_leads

from lastword.embedding import TEMPLATES, Embedder
from lastword.evaluation import cluster_score
from lastword.evaluation.classification import classification_score
from lastword.evaluation.retrieval import retrieval_score
from lastword.evaluation.sts import sts_score
from lastword.files.inputs import LabelledTexts, ScoredPairs
from lastword.files.run_folder import write_json

RESULTS = ROOT / "results" / "one_template.json"
SETS, SEED = ("stackoverflow_titles", "agnews"), 4
CANDIDATES = (
    *(name for name in TEMPLATES if name not in ("none", "echo")),
    ABOUT,
    'The topic and meaning of "{text}" in one word:',
    'Text: "{text}" Subject:',
    "eol+sum+classify",
)
SAMPLES = 8
"""Texts of each label that a classification learns from."""
TASKS = ("clustering", "classification", "similarity", "retrieval")


def scores(embedder: Embedder, texts: int) -> dict[str, float]:
    """Task → score on development data."""
    data = data_folder()
    clustered = [unreported(name, texts, SEED) for name in SETS]
    labelled = LabelledTexts.read(
        data / "classification" / "banking77.parquet", ("text", "label"), "train", True
    )
    rows = random.Random(SEED).sample(range(len(labelled.texts)), len(labelled.texts))
    learned = [
        row for label in sorted(set(labelled.labels)) for row in
        [row for row in rows if labelled.labels[row] == label][:SAMPLES]
    ]  # fmt: skip
    tested = sorted(set(rows) - set(learned), key=rows.index)[:texts]
    pairs = ScoredPairs.read(
        data / "pairs" / "stsb_en.parquet", ("sentence1", "sentence2"), "score", "validation", True
    ).sample(texts, SEED)
    found = {
        "clustering": fmean(cluster_score(embedder, *each).value for each in clustered),
        "classification": classification_score(
            embedder, *_chosen(labelled, learned), *_chosen(labelled, tested), samples_per_label=SAMPLES
        ).value,
        "similarity": sts_score(embedder, pairs).value,
        "retrieval": retrieval_score(embedder, titles_and_leads(2 * texts, texts, part="development")).value,
    }  # fmt: skip
    return {task: round(value, 4) for task, value in found.items()}


def _chosen(data: LabelledTexts, rows: list[int]) -> tuple[list[str], list[str]]:
    return [data.texts[row] for row in rows], [data.labels[row] for row in rows]


def summary(of_template: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The best template of each task, the best single one, and what it costs in each task."""
    best = {task: max(of_template, key=lambda name: of_template[name][task]) for task in TASKS}
    most = {task: of_template[name][task] for task, name in best.items()}
    shares = {name: fmean(found[task] / most[task] for task in TASKS) for name, found in of_template.items()}
    single = max(shares, key=shares.__getitem__)
    return {
        "best of each": best, "best single": single, "mean share": round(shares[single], 4),
        "cost": {task: round(most[task] - of_template[single][task], 4) for task in TASKS},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", choices=UNTRAINED)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--templates", default="", help="names, A,B,…; all candidates by default")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    base = Embedder.from_pretrained(args.model, **UNTRAINED[args.model])
    content = json.loads(args.output.read_text(encoding="utf-8")) if args.output.exists() else {}
    of_template: dict[str, dict[str, float]] = {}
    for name in [each for each in args.templates.split(",") if each] or CANDIDATES:
        of_template[name] = scores(base.variant(template=name, pooling="lasttoken"), args.texts)
        print(name, of_template[name], flush=True)
        content[args.model] = {"texts": args.texts, "templates": of_template, **summary(of_template)}
        write_json(args.output, content)


if __name__ == "__main__":
    main()
