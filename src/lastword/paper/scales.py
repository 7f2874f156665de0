"""What a table is measured with: the paper's models and tasks, or the bundled model and local texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Models, tasks and training settings.

    Attributes:
        name: of the scale.
        description: for the report.
        models: name in the paper → name or folder of the model; a model that is not the paper's has another name.
        recipe: of the training runs.
        settings: fields of `TrainConfig` that replace the recipe's.
        sweep: setting → values that Table 7 tries, one setting at a time.
        seeds: training runs of each row.
        max_texts: most texts of each set that is not an MTEB task; None is all.
        all_tasks: whether the paper's whole lists of MTEB tasks are scored, or those with local texts.
    """

    name: str
    description: str
    models: dict[str, str]
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)
    seeds: int = 3
    max_texts: int | None = None
    all_tasks: bool = False


PAIR_SOURCES = ("nli", "wiki-translate", "wiki-prompt", "labels")
"""The paper's names of the pairs it trains on."""
_SIX = ["q", "v", "o", "gate", "up", "down"]
SCALES = {
    "paper": Scale(
        "paper",
        "the paper's models on its MTEB tasks",
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
        all_tasks=True,
    ),
    "mini": Scale(
        "mini",
        "the bundled model on local texts",
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
"""Name → scale. The values of "mini" in Table 7 are as far from its recipe as the paper's from its own."""
