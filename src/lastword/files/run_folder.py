"""The folder of unfinished work, `OUTPUT.partial`: locked while it runs, resumable, renamed when complete."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.errors import ExistingOutputError, RequestError
from lastword.files.locks import FileLock

SETTINGS = "settings.json"


@dataclass(frozen=True)
class RunFolder:
    """The folder of an unfinished run.

    Attributes:
        output: the file or folder that appears when the run is complete.
        kind: what to call the run in messages.
        resume: continue an interrupted run; its settings must be the same.
        overwrite: replace `output`, and discard an interrupted run.
        evidence: pattern of the files in the folder that show that work was done; "" for a run that cannot be
            resumed and simply starts over.
        record: name of the file with the settings.
    """

    output: Path
    kind: str = "run"
    resume: bool = False
    overwrite: bool = False
    evidence: str = SETTINGS
    record: str = SETTINGS

    @property
    def partial(self) -> Path:
        """The folder."""
        output = self.output if self.output.name else self.output.absolute()
        return output.with_name(output.name + ".partial")

    @property
    def interrupted(self) -> bool:
        """Whether the folder has the work of an interrupted run."""
        return bool(self.evidence) and any(self.partial.glob(self.evidence))

    def check(self) -> None:
        """Refuse what cannot be started, before anything is loaded.

        Raises:
            ExistingOutputError: `output` exists, another process writes it, or there is an interrupted run.
        """
        if process := FileLock(self.partial).holder():
            raise self._busy(process)
        self._check_existing()

    def _busy(self, process: str) -> ExistingOutputError:
        return ExistingOutputError(
            f"{self.output} is being written by process {process}: wait until it ends or choose another path"
        )

    def _check_existing(self) -> None:
        require_absent(self.output, self.overwrite)
        if self.interrupted and not (self.resume or self.overwrite):
            raise ExistingOutputError(
                f"{self.partial} has an interrupted {self.kind}: pass resume=True to continue it "
                "or overwrite=True to start over"
            )

    def require(self, settings: dict[str, Any]) -> None:
        """Refuse to resume with other settings, naming the first that differs.

        Raises:
            RequestError: a setting differs.
        """
        if not (self.resume and self.interrupted):
            return
        before = json.loads((self.partial / self.record).read_text(encoding="utf-8"))
        for key, value in settings.items():
            if before.get(key) != value:
                raise RequestError(
                    f"resume=True: {key} was {before.get(key)!r} and is now {value!r}; use the settings of the "
                    f"interrupted {self.kind}, or pass overwrite=True to start over"
                )

    @contextmanager
    def open(self, settings: dict[str, Any]) -> Iterator[Path]:
        """Lock the folder, and make it empty unless a run is resumed; use it in a `with`.

        Args:
            settings: whatever changes the result, as JSON values; a resumed run must have the same.

        Yields:
            The folder.

        Raises:
            ExistingOutputError, RequestError: as for `check` and `require`.
        """
        self.check()
        self.require(settings)  # refused before anything is created
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.partial)
        if not lock.try_exclusive():
            raise self._busy(lock.holder())
        try:
            self._prepare(settings)
            yield self.partial
        finally:
            lock.release(remove=True)

    def _prepare(self, settings: dict[str, Any]) -> None:
        """Make the folder, once it is locked."""
        self._check_existing()  # again: another process may have written since
        self.require(settings)
        if self.resume and self.interrupted:
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        write_json(self.partial / self.record, settings)

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a step and store its result, JSON values; a resumed run reads the result instead."""
        path = self.partial / f"{name}.json"
        if not path.exists():
            write_json(path, work())
        return json.loads(path.read_text(encoding="utf-8"))

    def finish(self, finished: Path) -> None:
        """Move the finished file or folder, the whole run folder or a part of it, to `output`."""
        replace(finished, self.output)
        shutil.rmtree(self.partial, ignore_errors=True)

    def discard(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.partial, ignore_errors=True)


def require_absent(output: Path, overwrite: bool) -> None:
    """Refuse to replace an output unless asked to.

    Raises:
        ExistingOutputError: it exists.
    """
    if output.exists() and not overwrite:
        raise ExistingOutputError(f"{output} exists: choose another path or pass overwrite=True")


def fingerprint(file: str | os.PathLike[str]) -> str:
    """Size and hash of a file's content, to notice that a resumed run gets another input.

    A data set on the Hub, or a file that does not exist, is represented by its name.
    """
    path = Path(file)
    if not path.is_file():
        return str(file)
    with path.open("rb") as opened:
        return f"{path.stat().st_size}:{hashlib.file_digest(opened, 'sha256').hexdigest()[:16]}"


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def replace(new: Path, target: Path) -> None:
    """Rename a finished folder or file to `target`; what was there is deleted only after that."""
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
