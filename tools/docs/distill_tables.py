"""What the students of `lastword distill` keep of their teacher, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STATIC = (0.85, 100.0)
SHALLOW = (0.95, 3.0)
GOALS = {"static": STATIC, "shallow": SHALLOW}
NAMES = {"v_measure": "V-measure", "retrieval": "retrieval"}
MODELS = {"tfidf": "TF-IDF", "teacher": "teacher", "shallow": "shallow", "static": "static"}


def distill_tables(path: Path) -> str:
    """A table of every corpus, and how often each student reaches its goal."""
    if not path.exists():
        return "No measurements are stored in this version."
    corpora = json.loads(path.read_text(encoding="utf-8"))["corpora"]
    head = [
        "corpus (texts learned from)",
        "model",
        "V-measure",
        "retrieval",
        "neighbours",
        "texts/s",
        "MB",
        "kept of the gain",
    ]
    rows = [
        [f"{corpus} ({facts['texts']:,})" if model == "tfidf" else "", MODELS[model], *_cells(facts["models"][model])]
        for corpus, facts in corpora.items()
        for model in MODELS
    ]  # fmt: skip
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])
    return table + "\n\n" + "\n".join(_verdict(student, corpora) for student in GOALS)


def _cells(scores: dict[str, Any]) -> list[str]:
    timed = "texts_per_second" in scores
    return [
        f"{100 * scores['v_measure']:.1f}",
        f"{100 * scores['retrieval']:.1f}",
        f"{100 * scores['neighbours']:.0f} %",
        f"{scores['texts_per_second']:,.0f}" if timed else "",
        f"{scores['bytes'] / 1e6:.1f}" if timed else "",
        ", ".join(_kept(scores["kept"][name]) for name in NAMES) if "kept" in scores else "",
    ]


def _kept(share: float | None) -> str:
    return "no gain" if share is None else f"{100 * share:.0f} %"


def _verdict(student: str, corpora: dict[str, Any]) -> str:
    """One sentence on speed, and on how many corpora keep enough."""
    least, times = GOALS[student]
    results = [facts["models"][student] for facts in corpora.values()]
    speeds = [result["speedup"] for result in results]
    parts = []
    for name, shown in NAMES.items():
        shares = [share for result in results if (share := result["kept"][name]) is not None]
        reached = sum(share >= least for share in shares)
        parts.append(f"{100 * least:.0f} % of the teacher's gain in {shown} on {reached} of {len(shares)}")
    fast = sum(speed >= times for speed in speeds)
    return (
        f"- The {student} student keeps {' and '.join(parts)} corpora where the teacher gains; it is "
        f"{min(speeds):,.1f} to {max(speeds):,.1f} times as fast, at least {times:g} times on {fast} of {len(speeds)}."
    )
