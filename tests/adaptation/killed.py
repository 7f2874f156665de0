"""Moments at which a small adaptation is killed, and what its processes do beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.processes import after, before, set_all, wrap
from tests.samples import FEW_REPETITIONS

SMALL = {
    **FEW_REPETITIONS,
    "lastword.evaluation.development._BOOTSTRAP_SIZE": 256,
    "lastword.adaptation.choosing.TEMPLATES": ("none",),
    "lastword.adaptation.choosing.LEAST_TEXTS": 30,
    "lastword.planning.costs._MOST_ROUNDS": 1,
    "lastword.planning.training._ROUNDS": 1,
}
"""Fewer repetitions in each score, fewer settings and texts, and less timing of the machine."""
KILLS = [
    before("lastword.adaptation.texts.replace", 1),
    before("lastword.probing.scoring.score_part", 2),
    after("lastword.adaptation.adapt.choose", 1),
    before("lastword.adaptation.sources.make_pairs", 2),
    before("lastword.pairs.neighbouring.nearest_others", 1),
    after("lastword.training.checkpoints.Checkpoints.save", 1),
    after("lastword.adaptation.adapt.train", 1),
    after("lastword.adaptation.scoring.Comparer.scores", 2),
    before("lastword.adaptation.adapt.replace", 1),
    before("lastword.corpus.cluster.find_groups", 1),
    after("lastword.adaptation.adapt.cluster_corpus", 1),
    after("lastword.adaptation.adapt.write_page", 1),
]
STAGES = ("write_sample", "choose", "train", "cluster_corpus")


def prepare(calls: Path) -> None:
    """Make an adaptation small, and append the calls of stages that finished to a file."""
    set_all(SMALL)

    def logged(stage: str) -> Callable[[Callable[[], Any]], Any]:
        def around(call: Callable[[], Any]) -> Any:
            result = call()
            with calls.open("a") as file:
                print(stage, file=file, flush=True)
            return result

        return around

    for stage in STAGES:
        wrap(f"lastword.adaptation.adapt.{stage}", logged(stage))
