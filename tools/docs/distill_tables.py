"""What the students of `lastword distill` keep of their teacher, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LEAST_GAIN = 0.02
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
    rows = []
    for corpus, facts in corpora.items():
        for model in (model for model in MODELS if model in facts["models"]):
            name = f"{corpus.partition('/')[0]} ({facts['texts']:,})" if model == "tfidf" else ""
            rows.append([name, MODELS[model], *_cells(facts["models"], model)])
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])
    return table + "\n\n" + "\n".join(_verdict(student, corpora) for student in GOALS)


def _cells(models: dict[str, Any], model: str) -> list[str]:
    scores = models[model]
    timed = "texts_per_second" in scores
    return [
        f"{100 * scores['v_measure']:.1f}",
        f"{100 * scores['retrieval']:.1f}",
        f"{100 * scores['neighbours']:.0f} %",
        f"{scores['texts_per_second']:,.0f}" if timed else "",
        f"{scores['bytes'] / 1e6:.1f}" if timed else "",
        ", ".join(_shown(kept(models, model, name)) for name in NAMES) if model in GOALS else "",
    ]


def kept(models: dict[str, Any], student: str, quality: str) -> float | None:
    """Share of the teacher's gain over TF-IDF; None where the teacher gains less than two points."""
    least, most = models["tfidf"][quality], models["teacher"][quality]
    if most - least < LEAST_GAIN:
        return None
    return float((models[student][quality] - least) / (most - least))


def _shown(share: float | None) -> str:
    return "no gain" if share is None else f"{100 * share:.0f} %"


def _verdict(student: str, corpora: dict[str, Any]) -> str:
    """One sentence on speed, and on how many corpora keep enough."""
    least, times = GOALS[student]
    results = [models for facts in corpora.values() if student in (models := facts["models"])]
    speeds = [
        models[student]["texts_per_second"] / models["teacher"]["texts_per_second"] for models in results
    ]
    parts = []
    for name, shown in NAMES.items():
        shares = [share for models in results if (share := kept(models, student, name)) is not None]
        reached = sum(share >= least for share in shares)
        parts.append(f"in {shown} on {reached} of {len(shares)}")
    fast = sum(speed >= times for speed in speeds)
    return (
        f"- The {student} student keeps {100 * least:.0f} % of the teacher's gain {' and '.join(parts)} corpora where "
        "the teacher is better than TF-IDF by two points or more; it is "
        f"{min(speeds):,.1f} to {max(speeds):,.1f} times as fast, at least {times:g} times on {fast} of {len(speeds)}."
    )
