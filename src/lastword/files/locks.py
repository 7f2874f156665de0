"""Advisory file locks: shared by many processes or exclusive to one, freed when the process ends."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class FileLock:
    """A lock on a file or folder, held on `NAME.lock` beside it.

    SQLite's own locks cover one transaction. This one covers all the time that a process uses a file, so
    that nobody deletes or rewrites the file under it.

    Where the platform or the file system has no such locks, every request is granted and `works` is False.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(f"{path}.lock")
        self.works = True
        self._descriptor: int | None = None

    def acquire_shared(self) -> None:
        """Mark the file as used; waits while another process has the exclusive lock."""
        self._acquire(exclusive=False)

    def try_exclusive(self) -> bool:
        """Take the exclusive lock if no other process has any; write process and host into the lock file."""
        try:
            self._acquire(exclusive=True)
        except BlockingIOError:
            self.release()
            return False
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        return True

    def holder(self) -> str:
        """Process and host of whoever has the lock, "another process" where unknown, "" where the lock is free."""
        if not self.path.exists():
            return ""
        probe = FileLock(self.path.with_suffix(""))
        if probe.try_exclusive():
            probe.release()
            return ""
        with suppress(FileNotFoundError):  # it has just ended
            return self.path.read_text() or "another process"
        return ""

    def release(self, *, remove: bool = False) -> None:
        """Free the lock.

        Args:
            remove: delete the lock file too; only for an exclusive lock that nobody waits for.
        """
        if self._descriptor is not None:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _acquire(self, *, exclusive: bool) -> None:
        while True:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            self._flock(exclusive)
            if self._is_current():
                return
            self.release()  # the file was deleted between opening and locking: lock the new one

    def _flock(self, exclusive: bool) -> None:
        if sys.platform == "win32":
            self.works = False
            return
        assert self._descriptor is not None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            self.works = False

    def _is_current(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False
