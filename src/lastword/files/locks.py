"""Who has a file open: a lock that many may share, that one may own, and that dies with its process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class FileLock:
    """A lock beside a file, in `NAME.lock`.

    SQLite's own locks say who reads or writes just now, not who will do so later. A file must not be
    deleted under one who will.

    Where the platform has no such locks, everybody gets everything.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}.lock")
        self._descriptor: int | None = None

    def share(self) -> None:
        """Say that the file is in use; waits for an owner to finish."""
        self._take(exclusive=False)

    def own(self) -> bool:
        """Take the file for oneself, if nobody else has it."""
        try:
            self._take(exclusive=True)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, *, exclusive: bool) -> None:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
