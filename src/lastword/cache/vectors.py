"""The vectors of one model: an SQLite file that several processes may share and that a kill cannot corrupt.

A row is found by the hash of its text and has a checksum of its vector. Every batch of rows is one transaction
in write-ahead mode, so a killed process leaves whole batches. docs/adr/0014 explains why SQLite, and its cost.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword.console import warn
from lastword.errors import RequestError
from lastword.files.locks import FileLock

FORMAT = 1
"""Version of the file layout."""
_APPLICATION = 0x6C77_5631  # in the file's header: marks the file as lastword's
_PAGE_BYTES = 65_536  # SQLite's maximum: three vectors of 4,096 dimensions fit into a page
_WAIT_S = 60.0  # for another process to finish its batch
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True)
class VectorFileInfo:
    """What the file of a model holds.

    Attributes:
        identity: identity of the model's encoder.
        model: name of the model.
        vectors: number of vectors.
        dim: width of a vector; 0 if there is none.
        bytes: size on the disk.
        used: time when it was last opened, in seconds since 1970.
        path: path of the file.
    """

    identity: str
    model: str
    vectors: int
    dim: int
    bytes: int
    used: float
    path: Path


class VectorFile:
    """Vectors by their texts, for one model.

    A file that is damaged or of an older format is replaced by an empty one: its vectors can be computed again.
    If the disk is full, the file stays readable and no more vectors are cached.

    Args:
        path: path of the file, which is created if it does not exist.
        identity: identity of the model's encoder.
        model: name of the model, for messages.

    Raises:
        RequestError: the file belongs to another program, another model or a newer lastword.
    """

    def __init__(self, path: Path, identity: str, model: str = "") -> None:
        self.path, self.identity, self.model = path, identity, model
        self._writable = True
        self._connection: sqlite3.Connection | None = None
        self._lock = FileLock(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire_shared()
            self._connect()
        except (sqlite3.OperationalError, OSError) as error:
            self._stop_writing(error)
        except RequestError:
            self.close()
            raise

    def __enter__(self) -> VectorFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        self._lock.release()

    def get(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """The cached vectors of these texts, (dim,) float32 each; one with a wrong checksum counts as missing.

        Args:
            texts: at most a few hundred, to bound the memory.
        """
        if self._connection is None:
            return {}
        text_of = {_key(text): text for text in texts}
        query = f"SELECT key, vector, checksum FROM vectors WHERE key IN ({','.join('?' * len(text_of))})"
        try:
            rows = self._connection.execute(query, list(text_of)).fetchall()
        except sqlite3.DatabaseError as error:
            self._recover(error)
            return {}
        whole = [(key, vector) for key, vector, checksum in rows if _checksum(key, vector) == checksum]
        if len(whole) < len(rows):
            warn(f"{len(rows) - len(whole)} vectors in {self.path} are damaged: they are computed again")
        return {text_of[key]: np.frombuffer(vector, np.float32) for key, vector in whole}

    def put(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Cache a batch: all of it or, if the disk is full, nothing.

        Args:
            texts: n texts.
            vectors: (n, dim) float32, finite.
        """
        if self._connection is None or not self._writable:
            return
        rows = []
        for text, vector in zip(texts, np.ascontiguousarray(vectors, np.float32), strict=True):
            key, row = _key(text), vector.tobytes()
            rows.append((key, row, _checksum(key, row)))
        try:
            with self._connection:  # commits, or rolls back
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        except sqlite3.DatabaseError as error:
            self._recover(error)

    def _connect(self) -> None:
        try:
            self._connection = _opened(self.path, self.identity, self.model)
        except _ReplaceableError as reason:
            self._restart(str(reason))
        os.utime(self.path)

    def _restart(self, reason: str) -> None:
        if not self._lock.try_exclusive():
            self._lock.acquire_shared()
            raise sqlite3.OperationalError(f"it {reason}, and another process uses it")
        warn(f"{self.path} {reason}: it is replaced by an empty one, and its vectors are computed again")
        remove(self.path)
        self._lock.acquire_shared()
        self._connection = _opened(self.path, self.identity, self.model)

    def _recover(self, error: sqlite3.DatabaseError) -> None:
        """Replace a damaged file by an empty one; if it cannot be written, continue without caching."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            self._stop_writing(error)
            return
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        try:
            self._restart("is damaged")
        except (sqlite3.DatabaseError, _ReplaceableError, OSError) as again:
            self._stop_writing(again)

    def _stop_writing(self, error: Exception) -> None:
        if self._writable:
            warn(f"{self.path} cannot be written ({error}): vectors embedded from now on are not cached")
        self._writable = False


def read_info(path: Path) -> VectorFileInfo | None:
    """What a file holds; None if it is not a vector file or is damaged."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_S)) as connection:
            facts = dict(connection.execute("SELECT name, value FROM facts"))
            (count,) = connection.execute("SELECT count(*) FROM vectors").fetchone()
            first = connection.execute("SELECT length(vector) FROM vectors LIMIT 1").fetchone()
    except sqlite3.Error:
        return None
    sizes = [file.stat().st_size for file in files_of(path) if file.exists()]
    used = path.stat().st_mtime
    dim = first[0] // 4 if first else 0
    return VectorFileInfo(facts["identity"], facts["model"], count, dim, sum(sizes), used, path)


def files_of(path: Path) -> list[Path]:
    """A vector file, and the files that SQLite keeps beside it."""
    return [Path(f"{path}{ending}") for ending in ("", "-wal", "-shm")]


def remove(path: Path) -> None:
    """Delete a file that no process has open."""
    for file in files_of(path):
        file.unlink(missing_ok=True)


class _ReplaceableError(Exception):
    """The file cannot be used and may be replaced; the message is the reason."""


def _opened(path: Path, identity: str, model: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
    try:
        _prepare(connection, path, identity, model)
    except BaseException as error:
        connection.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            raise _ReplaceableError("is damaged") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, identity: str, model: str) -> None:
    """Create the tables of a new file, or check an existing one."""
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("BEGIN")  # one snapshot for all three: another process may be creating the tables
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    connection.execute("COMMIT")
    if tables and application != _APPLICATION:
        raise RequestError(f"{path} is not a vector file of lastword: move it away or use another folder")
    if tables and version > FORMAT:
        raise RequestError(
            f"{path} was written by a newer lastword (format {version}, this one knows {FORMAT}): "
            "update lastword or use another folder"
        )
    if tables and version < FORMAT:
        raise _ReplaceableError(f"has the old format {version}")
    # Where write-ahead mode is impossible (some network disks) SQLite keeps its older, slower journal.
    connection.execute("PRAGMA journal_mode=WAL")
    # A kill loses nothing without syncing; a power failure may, which the checksums detect.
    connection.execute("PRAGMA synchronous=OFF")
    if not tables:
        _create_tables(connection, identity, model)
    held = connection.execute("SELECT value FROM facts WHERE name = 'identity'").fetchone()[0]
    if held != identity:
        raise RequestError(f"{path} holds the vectors of {held}, not of {identity}: delete it")


def _create_tables(connection: sqlite3.Connection, identity: str, model: str) -> None:
    """Create the tables, unless another process has just done so."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS vectors "
            "(key BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum BLOB NOT NULL)"
        )
        facts = [("identity", identity), ("model", model)]
        connection.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts)
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={FORMAT}")


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


def _checksum(key: bytes, vector: bytes) -> bytes:
    return hashlib.blake2b(key + vector, digest_size=8).digest()
