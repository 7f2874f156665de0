"""Where long work lies until it is done, `OUT.partial`: it goes on after an interruption, and appears at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.errors import ExistingOutputError, RequestError

SETTINGS = "settings.json"


@dataclass(frozen=True)
class RunFolder:
    """The folder of an unfinished piece of work.

    Attributes:
        out: what appears when everything is done.
        kind: what to call the work.
        resume: go on with what lies there; the settings must be the same.
        overwrite: replace what lies there.
        evidence: pattern of the files in the folder without which there is nothing to lose.
        record: name of the file with the settings.
    """

    out: Path
    kind: str = "run"
    resume: bool = False
    overwrite: bool = False
    evidence: str = SETTINGS
    record: str = SETTINGS

    @property
    def partial(self) -> Path:
        """The folder."""
        out = self.out if self.out.name else self.out.absolute()
        return out.with_name(out.name + ".partial")

    @property
    def begun(self) -> bool:
        """Whether an interrupted piece of work lies there."""
        return any(self.partial.glob(self.evidence))

    def check(self) -> None:
        """Refuse what cannot be begun, before anything is loaded.

        Raises:
            ExistingOutputError: `out` exists, or interrupted work lies there.
        """
        if self.out.exists() and not self.overwrite:
            raise ExistingOutputError(f"{self.out} exists: give another place or --overwrite")
        if self.begun and not (self.resume or self.overwrite):
            raise ExistingOutputError(
                f"{self.partial} holds an interrupted {self.kind}: "
                "go on with --resume or start over with --overwrite"
            )

    def require(self, settings: dict[str, Any]) -> None:
        """Refuse to go on with other settings, naming the first that differs.

        Raises:
            RequestError: a setting was another.
        """
        if not (self.resume and self.begun):
            return
        before = json.loads((self.partial / self.record).read_text(encoding="utf-8"))
        for key, value in settings.items():
            if before.get(key) != value:
                raise RequestError(
                    f"--resume: {key} was {before.get(key)!r} and is now {value!r}; "
                    f"repeat the settings of the interrupted {self.kind} or start over with --overwrite"
                )

    def open(self, settings: dict[str, Any]) -> None:
        """Make the folder, empty unless work is resumed.

        Raises:
            ExistingOutputError, RequestError: as for `check` and `require`.
        """
        self.check()
        self.require(settings)
        if self.resume and self.begun:
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        write_json(self.partial / self.record, settings)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a part once; what it gave, plain values, is read the next time."""
        path = self.partial / f"{name}.json"
        if not path.exists():
            write_json(path, work())
        return json.loads(path.read_text(encoding="utf-8"))

    def finish(self, finished: Path) -> None:
        """Move what is finished, a part of the folder or all of it, to its place; the rest goes."""
        replace(finished, self.out)
        shutil.rmtree(self.partial, ignore_errors=True)


def write_json(path: Path, content: object) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def replace(new: Path, target: Path) -> None:
    """Move a finished folder or file to its place; what was there goes only when the new one stands."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    if old.is_file():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)
