"""Where a training lies while it runs, `OUT.partial`, and how it becomes the folder `OUT` at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.embedding import Embedder
from lastword.files.run_folder import RunFolder, write_json
from lastword.training.loop import OPTIMIZER
from lastword.training.select import Selection
from lastword.training.watch import SCORES

RECIPE = "recipe.json"


@dataclass(frozen=True)
class TrainingFolder(RunFolder):
    """The places of one training; without a checkpoint there is nothing to lose."""

    evidence: str = "checkpoints/step-*"
    record: str = RECIPE

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints and the log go."""
        return self.partial / "checkpoints"

    @property
    def trackers(self) -> Path:
        """Where an experiment tracker may write."""
        return self.partial / "trackers"

    @contextmanager
    def begin(self, recipe: dict[str, Any]) -> Iterator[Path]:
        """Lock and make the folders, empty unless a run is resumed; use it in a `with`."""
        with self.open(recipe) as folder:
            self.checkpoints.mkdir(exist_ok=True)
            yield folder

    def write(self, embedder: Embedder, selection: Selection) -> None:
        """Write the model, put the record of the run inside it, and move both to their place at once."""
        model = embedder.save(self.partial / "model", overwrite=True)
        record = model / "training"
        # The choice has the scores, and nobody goes on from a finished training. Here the optimizer stays: a
        # training that is killed from now on must not begin again.
        shutil.copytree(self.checkpoints, record, ignore=shutil.ignore_patterns(SCORES, OPTIMIZER))
        write_json(record / "choice.json", selection.to_dict())
        shutil.copy(self.partial / RECIPE, record / RECIPE)
        if self.trackers.exists():
            shutil.copytree(self.trackers, record / "trackers")
        self.finish(model)
