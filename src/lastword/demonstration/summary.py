"""From the demo's runs to its report: the numbers, the maps and the attention that the page shows."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from lastword.demonstration.content import AttentionPair, Report, TextMap, Training
from lastword.demonstration.map import flat_map
from lastword.demonstration.report import write_report
from lastword.embedding import Embedder
from lastword.explanation import token_attention
from lastword.training import TrainResult

SENTENCE = "a man is driving a car"  # the paper's own, in its Figure 1


def write_summary(
    folder: Path,
    result: dict[str, Any],
    runs: list[TrainResult],
    settings: dict[str, Any],
    texts: list[str],
    labels: list[str],
) -> None:
    """Write `report.html` into the folder, which holds the adapted model as `model/`.

    Args:
        folder: the demo's folder.
        result: what scores.json holds.
        runs: the training of each seed.
        settings: the recipe.
        texts: n texts for the map.
        labels: n labels of theirs.
    """
    template, pooling = settings["template"], settings["pooling"]
    before = Embedder.from_pretrained(settings["model"], template=template, pooling=pooling)
    after = Embedder.from_pretrained(folder / "model")
    maps = TextMap(
        name="products, test split",
        texts=texts,
        labels=labels,
        before=flat_map(before.encode(texts)),
        after=flat_map(after.encode(texts)),
        before_name=f"zero-shot, {template}, {pooling}",
        after_name=f"adapted, {template}, {pooling}",
    )
    attention = AttentionPair(SENTENCE, token_attention(before, SENTENCE), token_attention(after, SENTENCE))
    packages = ("lastword", "torch", "transformers", "peft", "mteb", "scikit-learn")
    report = Report(
        model=settings["model"],
        template=template,
        pooling=pooling,
        steps=settings["steps"],
        pairs=runs[0].plan.pairs,
        seconds=result["seconds"],
        peak_memory_mb=result["peak_memory_mb"],
        versions={name: importlib.metadata.version(name) for name in packages},
        scores=result["scores"],
        trainings=[Training(seed, run.losses, run.selection) for seed, run in enumerate(runs)],
        map=maps,
        attention=attention,
    )
    write_report(folder / "report.html", report)
