"""What a table is measured with: the paper's models and tasks, or the bundled model and what is at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scale:
    """A set of means.

    Attributes:
        name: of the scale.
        told: in words, for the report.
        models: name in the paper → name or folder of ours; under another name a model stands beside the
            paper's without being one of them.
        recipe: of the trainings.
        settings: fields of `TrainConfig` that go before the recipe's.
        sweep: setting → values that Table 7 tries, one setting at a time.
        seeds: trainings of each row.
        max_texts: most texts of a local set, or None for all.
        tasks: whether the scores are those of MTEB's own tasks.
    """

    name: str
    told: str
    models: dict[str, str]
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    seeds: int = 3
    max_texts: int | None = None
    tasks: bool = False


_SIX = ["q", "v", "o", "gate", "up", "down"]
SCALES = {
    "paper": Scale(
        "paper",
        "the paper's models on MTEB's tasks",
        {
            "Llama-3.2-1B": "meta-llama/Llama-3.2-1B",
            "Llama-3.2-3B": "meta-llama/Llama-3.2-3B",
            "Qwen3-0.6B": "Qwen/Qwen3-0.6B",
            "Qwen3-4B": "Qwen/Qwen3-4B",
            "Qwen3-8B": "Qwen/Qwen3-8B",
        },
        recipe="paper",
        sweep={
            "dropout": [0.05, 0.1, 0.2, 0.5],
            "learning_rate": [1e-5, 5e-5, 5e-4],
            "batch_pairs": [20, 60, 120, 500],
            "temperature": [1.0, 0.5, 0.2, 0.1, 0.05],
            "projections": [["q", "v"], _SIX],
        },
        tasks=True,
    ),
    "mini": Scale(
        "mini",
        "the bundled model, on texts at hand",
        {"bundled": "mini"},
        recipe="mini",
        sweep={
            "dropout": [0.0, 0.05, 0.1, 0.2, 0.5],
            "learning_rate": [2e-4, 1e-3, 1e-2],
            "batch_pairs": [10, 20, 40, 120],
            "temperature": [1.0, 0.5, 0.2, 0.1, 0.05],
            "projections": [["q", "v"], _SIX],
        },
        max_texts=1000,
    ),
}
"""Scale → what is run. The values of "mini" in Table 7 stand to its recipe as the paper's to its own."""
