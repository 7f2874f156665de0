"""Where a training lies while it runs, `OUT.partial`, and how it becomes the folder `OUT` at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from lastword.config import TrainConfig, require_same_settings
from lastword.embedding import Embedder
from lastword.embedding.folder import replace_folder
from lastword.errors import ExistingOutputError
from lastword.training.loop import OPTIMIZER
from lastword.training.select import Selection
from lastword.training.watch import SCORES

RECIPE = "recipe.json"


@dataclass(frozen=True)
class Workplace:
    """The places of one training.

    Attributes:
        out: the folder that appears when everything is done.
        config: the settings; a resumed run must have the same.
        resume: go on with what lies there.
        overwrite: replace what lies there.
    """

    out: Path
    config: TrainConfig
    resume: bool
    overwrite: bool

    @property
    def partial(self) -> Path:
        """The folder of the unfinished run."""
        return self.out.with_name(self.out.name + ".partial")

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints and the log go."""
        return self.partial / "checkpoints"

    @property
    def trackers(self) -> Path:
        """Where an experiment tracker may write."""
        return self.partial / "trackers"

    def check(self) -> None:
        """Refuse what cannot be begun, before anything is written.

        Raises:
            ExistingOutputError: `out` exists, or an interrupted run lies there.
            RequestError: the interrupted run had other settings.
        """
        if self.out.exists() and not self.overwrite:
            raise ExistingOutputError(f"{self.out} exists: give another place or --overwrite")
        begun = any(self.checkpoints.glob("step-*"))  # without a checkpoint there is nothing to lose
        if begun and not (self.resume or self.overwrite):
            raise ExistingOutputError(
                f"{self.partial} holds an interrupted run: go on with --resume or start over with --overwrite"
            )
        if self.resume and (self.partial / RECIPE).exists():
            require_same_settings(json.loads((self.partial / RECIPE).read_text()), self.config.to_dict())

    def open(self) -> None:
        """Make the folder, empty unless a run is resumed."""
        if not self.resume:
            shutil.rmtree(self.partial, ignore_errors=True)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        (self.partial / RECIPE).write_text(json.dumps(self.config.to_dict(), indent=2) + "\n")

    def finish(self, embedder: Embedder, selection: Selection) -> None:
        """Write the model, put the record of the run inside it, and move both to their place at once."""
        for leftover in self.checkpoints.glob(f"step-*/{OPTIMIZER}"):
            leftover.unlink()
        model = embedder.save(self.partial / "model", overwrite=True)
        record = model / "training"
        shutil.copytree(
            self.checkpoints, record, ignore=shutil.ignore_patterns(SCORES)
        )  # the choice has them
        (record / "choice.json").write_text(json.dumps(selection.to_dict(), indent=2) + "\n")
        shutil.copy(self.partial / RECIPE, record / RECIPE)
        if self.trackers.exists():
            shutil.copytree(self.trackers, record / "trackers")
        replace_folder(model, self.out)
        shutil.rmtree(self.partial)
