"""The vector cache: a folder with one file of vectors for each model; open, list and prune them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from lastword.arguments import as_path
from lastword.cache.vectors import VectorFile, VectorFileInfo, read_info, remove
from lastword.console import warn
from lastword.errors import RequestError
from lastword.files.cache_folder import cache_folder
from lastword.files.locks import FileLock

_DAY_S = 86_400
_SHORTEST = 8  # shortest end of an identity that may be given for it


class VectorCache:
    """Vectors of any number of models, one file for each.

    The file is named after the model's identity, which includes everything that decides a vector: weights,
    configuration, tokenizer, template, pooling, layer, norm, precision, length. Another setting is another file.

    Args:
        folder: created when the first vector is cached; None is the user's cache folder.

    Raises:
        RequestError: the path exists and is not a folder.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = cache_folder("vectors") if folder is None else as_path("folder", folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise RequestError(f"{self.folder} is a file: give a folder as cache")

    def open(self, identity: str, model: str = "") -> VectorFile:
        """Open the file of a model; close it, or use it in a `with`."""
        name = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return VectorFile(self.folder / f"{name}.sqlite", identity, model)

    def info(self) -> list[VectorFileInfo]:
        """What each file holds, the last used first."""
        infos = [read_info(path) for path in sorted(self.folder.glob("*.sqlite"))]
        return sorted((info for info in infos if info), key=lambda info: -info.used)

    def prune(
        self,
        *,
        model: str | None = None,
        unused_days: float | None = None,
        max_mb: float | None = None,
        dry_run: bool = False,
    ) -> list[VectorFileInfo]:
        """Delete files: those of a model, those unused for long, or the longest unused ones above a size.

        Several conditions delete what any of them matches. A file that a process has open stays.

        Args:
            model: name or identity of a model, or the last 8 or more characters of its identity.
            unused_days: delete files that were not opened for this many days.
            max_mb: delete until at most this many MB (10⁶ bytes) are left.
            dry_run: delete nothing.

        Returns:
            The deleted files, or those that would be deleted.

        Raises:
            RequestError: no condition, a negative one, or a model without cached vectors.
        """
        files = self.info()
        _check_conditions(files, model, unused_days, max_mb)
        now = time.time()
        deleted_files = [
            info
            for info in files
            if (model is not None and _is_of(info, model))
            or (unused_days is not None and now - info.used > unused_days * _DAY_S)
        ]
        if max_mb is not None:
            deleted_files += _beyond([info for info in files if info not in deleted_files], max_mb * 1e6)
        return deleted_files if dry_run else [info for info in deleted_files if _deleted(info)]


def _check_conditions(
    files: Sequence[VectorFileInfo], model: str | None, unused_days: float | None, max_mb: float | None
) -> None:
    if model is None and unused_days is None and max_mb is None:
        raise RequestError("no condition to prune by: pass model=…, unused_days=… or max_mb=…")
    for name, value in (("unused_days", unused_days), ("max_mb", max_mb)):
        if value is not None and value < 0:
            raise RequestError(f"{name}={value:g}: give 0 or more")
    if model is not None and not any(_is_of(info, model) for info in files):
        known = ", ".join(sorted({info.model for info in files})) or "none, the cache is empty"
        raise RequestError(f"no vectors of {model!r} are cached; cached models: {known}")


def _is_of(info: VectorFileInfo, model: str) -> bool:
    ends = len(model) >= _SHORTEST and info.identity.endswith(model)
    return ends or model in (info.model, info.identity)


def _beyond(files: Sequence[VectorFileInfo], most_bytes: float) -> list[VectorFileInfo]:
    """The longest unused files, so many that the others fit; `files` has the last used first."""
    totals = accumulate(info.bytes for info in files)
    return [info for info, total in zip(files, totals, strict=True) if total > most_bytes]


def _deleted(info: VectorFileInfo) -> bool:
    lock = FileLock(info.path)
    try:
        if not lock.try_exclusive():
            warn(f"{info.path} ({info.model}) is in use by another process and was not deleted")
            return False
        remove(info.path)  # not the lock file: another process may be waiting for it
        return True
    finally:
        lock.release()
