"""What a table is measured with: the paper's models and tasks, or smaller models and local texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lastword.paper.tables import PAGES


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
        tables: what "all" stands for, and all that can be asked for; None is every table.
        rows: table → rows that the paper does not have.
        sizes: further models of the table that compares sizes.
        sets: files of the data folder to cluster besides MTEB's tasks, see `suites.FILES`; None is titles of
            Stack Overflow.
        sampled: whether `max_texts` limits MTEB's tasks, too.
        figure_steps: steps of one training run at which Figure 1 is drawn; None is that of two runs, by the
            recipe and ten times as long.
        note: what a reader should know about the weights, on every page.

    A field that is None is as if it did not exist: a run that an older version interrupted can be resumed.
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
    tables: tuple[str, ...] | None = None
    rows: dict[str, tuple[str, ...]] | None = None
    sizes: dict[str, str] | None = None
    sets: tuple[str, ...] | None = None
    sampled: bool | None = None
    figure_steps: tuple[int, ...] | None = None
    note: str | None = None

    @property
    def dtype(self) -> str | None:
        """Precision of all models; None is the best that the device supports."""
        return self.settings.get("dtype")


def upper_third(depth: int) -> list[int]:
    """The layers of the upper third, the last first, then every second, then those between.

    >>> upper_third(8)
    [8, 6, 7, 5]
    """
    layers = list(range(depth, round(2 * depth / 3) - 1, -1))
    return [*layers[::2], *layers[1::2]]


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
        tables=tuple(page for page in PAGES if page != "recipe"),  # its recipe is the paper's
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
    "small": Scale(
        "small",
        "SmolLM2-135M on local texts",
        {"SmolLM2-135M": "smollm2"},
        recipe="paper",
        settings={
            "max_tokens": 64,
            "steps": 40,
            "batch_pairs": 48,
            "temperature": 0.05,
            "learning_rate": 3e-4,
            "warmup_steps": 5,
            "schedule": "linear",
            "rank": 32,
            "alpha": 32.0,
            "dropout": 0.0,
        },
        seeds=1,
        max_texts=2000,
        tables=(
            "table3", "table4", "layers", "table5", "figure1", "table10", "table9", "table6", "recipe",
        ),
        rows={"table6": ("none + wiki-translate", "none + wiki-translate + aug", "none + wiki-prompt")},
        sizes={"mini": "mini"},
        sets=(
            "stackoverflow_titles", "arxiv_s2s", "agnews", "twentynewsgroups_subject", "walmart_amazon_category",
        ),
        sampled=True,
        figure_steps=(0, 10, 20, 40, 100),
        note="The weights of SmolLM2-135M are the instruction-tuned ones, stored in 4 bits (Q4_1).",
    ),
}  # fmt: skip
"""Name → scale; "all" measures tables in their order. The values of "mini" in Table 7 are as far from its recipe as the
paper's from its own."""
