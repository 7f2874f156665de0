"""The folder of all shelves: open one, list them, throw some away."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from lastword.cache.vectors import VectorFile, VectorFileInfo, read_facts, remove
from lastword.console import warn
from lastword.errors import RequestError
from lastword.files.cache_folder import cache_folder
from lastword.files.locks import FileLock

_DAY_S = 86_400
_SHORTEST = 8  # characters of an identity's end that stand for it


class VectorCache:
    """Vectors of any number of models, each model's in a file of its own.

    The file is named after the model's identity, in which everything stands that decides a vector: weights,
    adapter, template, pooling, layer, norm, precision, length. Another setting is another file.

    Args:
        folder: made when the first vector is kept; None is the user's cache folder.

    Raises:
        RequestError: something is there that is no folder.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = cache_folder("vectors") if folder is None else Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise RequestError(f"{self.folder} is a file: a cache needs a folder (--cache)")

    def open(self, identity: str, model: str = "") -> VectorFile:
        """Open a model's shelf; close it, or use it in a `with`."""
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return VectorFile(self.folder / f"{name}.sqlite", identity, model)

    def info(self) -> list[VectorFileInfo]:
        """What each shelf holds, the one used last first."""
        found = [read_facts(path) for path in sorted(self.folder.glob("*.sqlite"))]
        return sorted((facts for facts in found if facts), key=lambda facts: -facts.used)

    def prune(
        self,
        *,
        model: str | None = None,
        unused_days: float | None = None,
        max_mb: float | None = None,
        dry_run: bool = False,
    ) -> list[VectorFileInfo]:
        """Delete shelves: those of a model, those long unused, or the longest unused ones above a size.

        Several conditions delete what any of them asks for. A shelf that a process has open stays.

        Args:
            model: name, identity, or the end of one, of 8 characters or more.
            unused_days: delete what nobody has opened for so many days.
            max_mb: delete until at most so many MB (10⁶ bytes) are left.
            dry_run: delete nothing.

        Returns:
            What was deleted, or would be.

        Raises:
            RequestError: no condition, a negative one, or a model of which there is nothing.
        """
        shelves = self.info()
        _check_conditions(shelves, model, unused_days, max_mb)
        now = time.time()
        doomed = [
            facts
            for facts in shelves
            if (model is not None and _is_of(facts, model))
            or (unused_days is not None and now - facts.used > unused_days * _DAY_S)
        ]
        if max_mb is not None:
            doomed += _beyond([facts for facts in shelves if facts not in doomed], max_mb * 1e6)
        return doomed if dry_run else [facts for facts in doomed if _deleted(facts)]


def _check_conditions(
    shelves: Sequence[VectorFileInfo], model: str | None, unused_days: float | None, max_mb: float | None
) -> None:
    if model is None and unused_days is None and max_mb is None:
        raise RequestError("nothing to prune by: give --model, --unused-days or --max-mb")
    for name, value in (("unused_days", unused_days), ("max_mb", max_mb)):
        if value is not None and value < 0:
            raise RequestError(f"{name}={value:g}: give 0 or more")
    if model is not None and not any(_is_of(facts, model) for facts in shelves):
        known = ", ".join(sorted({facts.model for facts in shelves})) or "none, the cache is empty"
        raise RequestError(f"no vectors of {model!r} are stored; models there: {known}")


def _is_of(facts: VectorFileInfo, model: str) -> bool:
    ends = len(model) >= _SHORTEST and facts.identity.endswith(model)
    return ends or model in (facts.model, facts.identity)


def _beyond(shelves: Sequence[VectorFileInfo], most_bytes: float) -> list[VectorFileInfo]:
    """The longest unused shelves that do not fit; `shelves` has the one used last first."""
    left, kept = [], 0.0
    for facts in shelves:
        if kept + facts.bytes > most_bytes:
            left.append(facts)
        else:
            kept += facts.bytes
    return left


def _deleted(facts: VectorFileInfo) -> bool:
    lock = FileLock(facts.path)
    try:
        if not lock.try_exclusive():
            warn(f"{facts.path} ({facts.model}) is in use by another process: it stays")
            return False
        remove(facts.path)  # and not the lock, for which somebody may be waiting
        return True
    finally:
        lock.release()
