"""A file as it is given: its format, its compression and, for text, its encoding.

What is detected and is not UTF-8 is logged.
"""

from __future__ import annotations

import atexit
import codecs
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import SplitResult, urlsplit

from lastword.console import info_once, warn_once
from lastword.errors import (
    LastwordError,
    MissingExtraError,
    MissingFileError,
    NoRowsError,
    RequestError,
    TableError,
    first_line,
)
from lastword.extras import needed
from lastword.files.encodings import check_encoding, detect_encoding, likely_encoding
from lastword.files.network import require_reachable

HUB = "hub:"  # prefix of a data set on the Hugging Face Hub
_HUB_ADDRESS = re.compile(r"hf://datasets/([^/@]+/[^/@]+(?:@[^/]+)?)/?")
STANDARD_INPUT = "-"
SAMPLE_BYTES = 1 << 20
"""What detection looks at."""
FORMATS = (".parquet", ".arrow", ".feather", ".csv", ".tsv", ".jsonl", ".json", ".txt", ".xlsx")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_MAGIC = {
    b"PAR1": ".parquet", b"ARROW1": ".arrow", b"PK\x03\x04": ".xlsx", b"\x1f\x8b": ".gz",
    b"\x28\xb5\x2f\xfd": ".zst",
}  # fmt: skip
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_WITH_BUCKETS = ("s3", "s3a", "gs", "gcs")
_CREDENTIALS = (
    "give credentials that may read it, such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "GOOGLE_APPLICATION_CREDENTIALS"
)


@dataclass(frozen=True)
class TableFile:
    """A file, and how its text is written where detection does not find it out.

    Attributes:
        path: a path, "-" for standard input, `hub:OWNER/NAME[@SPLIT]` (or `hf://datasets/OWNER/NAME[@SPLIT]`), or an
            address that fsspec opens, such as `s3://bucket/file.parquet`.
        encoding: of a text file, such as "latin-1"; None detects it.
        delimiter: the character between the cells of a CSV or TSV file; None detects it.
    """

    path: str | Path
    encoding: str | None = None
    delimiter: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise MissingFileError(f"{type(self.path).__name__} is no file: give the path of one")
        check_encoding(self.encoding)
        check_delimiter(self.delimiter)

    def __str__(self) -> str:
        return "standard input" if str(self.path) == STANDARD_INPUT else str(self.path)

    @property
    def remote(self) -> bool:
        """Whether the path is an address for fsspec."""
        return isinstance(self.path, str) and bool(_ADDRESS.match(self.path)) and not self.hub

    @property
    def hub(self) -> str:
        """OWNER/NAME[@SPLIT] or FOLDER[@SPLIT] of a data set; "" for what is none."""
        path = str(self.path)
        address = _HUB_ADDRESS.fullmatch(path)
        return address[1] if address else path.removeprefix(HUB) if path.startswith(HUB) else ""

    def __fspath__(self) -> str:
        return str(_standard_input() if str(self.path) == STANDARD_INPUT else self.path)

    @property
    def compression(self) -> str | None:
        """How it is compressed, as pyarrow calls it; known by its ending, and for standard input by its content."""
        ending = (
            _magic(Path(self)) if str(self.path) == STANDARD_INPUT else Path(str(self.path).lower()).suffix
        )
        return COMPRESSIONS.get(ending)

    @property
    def format(self) -> str:
        """One of `FORMATS`, another ending, or "" where there is none; that of standard input by its content.

        A text on standard input is ".csv" if it is no JSON; `read_blocks` takes it as lines where it is no table.
        """
        if str(self.path) != STANDARD_INPUT:
            suffixes = [suffix.lower() for suffix in Path(self.path).suffixes]
            return next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSIONS), "")
        if (content := _magic(Path(self))) in FORMATS:
            return content
        with self.open_text() as file:
            return ".json" if file.read(1000).lstrip()[:1] in ("{", "[") else ".csv"

    def require(self) -> None:
        """Refuse what is no file that can be read.

        Raises:
            MissingFileError, TableError: see the message.
        """
        path, formats = Path(self), ", ".join(FORMATS)
        if not str(self.path):
            raise MissingFileError(
                f"the path of a file is empty: give a {formats} file, or - for standard input"
            )
        if self.remote:
            self._require_remote(formats)
            return
        if path.is_dir():
            inside = sorted(file.name for file in path.iterdir() if TableFile(file).format in FORMATS)
            hint = f"one of its files, such as {path / inside[0]}" if inside else f"a {formats} file"
            raise MissingFileError(f"{self} is a folder: give {hint}")
        if path.exists() and not path.is_file():
            raise MissingFileError(
                f"{self} is a device or a pipe: give a {formats} file, or - and pipe the rows in"
            )
        if not path.is_file():
            raise MissingFileError(
                f"no file {self}: give a {formats} file that exists, or - for standard input"
            )
        self._require_format(formats)
        if path.stat().st_size == 0:
            raise NoRowsError(f"{self} is empty: it needs at least one row")

    def _require_remote(self, formats: str) -> None:
        self._require_format(formats)
        with remote_errors(self):
            filesystem, path = filesystem_of(self.path)
            # Not `isfile`: it says no where there are no credentials or no connection, too.
            kind = filesystem.info(path)["type"]
        if kind != "file":
            raise MissingFileError(f"{self} is a folder: give the address of a {formats} file")

    def _require_format(self, formats: str) -> None:
        if self.format not in FORMATS:
            raise TableError(
                f"{self}: cannot read {self.format or 'a file without a suffix'}; use {formats}, each also with "
                f"{' or '.join(COMPRESSIONS)} behind it"
            )

    def stored(self) -> str | IO[bytes]:
        """The path of a local file; a remote one, opened."""
        if not self.remote:
            return str(Path(self))
        with remote_errors(self):
            filesystem, path = filesystem_of(self.path)
            return cast(IO[bytes], filesystem.open(path, "rb"))

    def open_binary(self) -> IO[bytes]:
        """The content, decompressed."""
        if self.compression:
            import pyarrow as pa

            return cast(IO[bytes], pa.input_stream(self.stored(), compression=self.compression))
        stored = self.stored()
        return Path(stored).open("rb") if isinstance(stored, str) else stored

    @contextmanager
    def open_text(self, newline: str | None = None) -> Iterator[IO[str]]:
        """The decoded content.

        Args:
            newline: as for `open`.

        Raises:
            TableError: the content is no text, or not in the encoding; the message names the line.
        """
        encoding = self.text_encoding
        with self.open_binary() as binary, io.TextIOWrapper(binary, encoding, newline=newline) as file:
            try:
                yield file
            except UnicodeError as error:
                raise TableError(self._undecodable(encoding)) from error

    def sample(self) -> tuple[bytes, bool]:
        """The first part of the content, and whether it is all."""
        with self.open_binary() as file:
            part = file.read(SAMPLE_BYTES)
            return part, not file.read(1)

    @cached_property
    def text_encoding(self) -> str:
        """The encoding that is given, or else detected.

        Raises:
            TableError: the content is no text.
        """
        if self.encoding:
            return self.encoding
        part, whole = self.sample()
        kind = next((kind for magic, kind in _MAGIC.items() if part.startswith(magic)), None)
        if kind:
            raise TableError(f"{self} holds {kind} data and no text: give it the ending {kind}")
        encoding = detect_encoding(part, whole)
        if encoding[:6] not in ("utf-16", "utf-32") and (at := part.find(0)) >= 0:
            warn_once(
                f"{self}, line {part.count(10, 0, at) + 1}: a zero byte, which no text should have: is the file "
                "damaged, or in another encoding? encoding=… says which"
            )
        return encoding

    def _undecodable(self, encoding: str) -> str:
        """Name the first line that is not in the encoding, and one that it may be in."""
        decoder, line = codecs.getincrementaldecoder(encoding)(), 1
        with self.open_binary() as file:
            for part in iter(lambda: file.read(SAMPLE_BYTES), b""):
                try:
                    line += decoder.decode(part).count("\n")
                except UnicodeDecodeError as error:
                    rest = error.object[error.start :]
                    line += error.object[: error.start].decode(encoding, "ignore").count("\n")
                    likely = likely_encoding(rest)
                    return (
                        f"{self}, line {line}: byte 0x{rest[0]:02x} is not {encoding}; pass encoding={likely!r} if "
                        "the whole file is in it, or save the file as UTF-8"
                    )
                except UnicodeError as error:  # of codecs that name no place
                    return (
                        f"{self} is not {encoding} ({first_line(error)}): leave encoding out, or give another"
                    )
        return f"{self} ends within a character of {encoding}: save it as UTF-8"


Source = str | Path | TableFile


def filesystem_of(address: str | Path) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        MissingExtraError: fsspec, or what it needs for this kind of address, is not installed.
        RequestError: an unknown kind of address.
        TableError: the server does not answer.
    """
    fsspec = needed("fsspec", "remote", f"reading {address}")
    parts = urlsplit(str(address))
    try:
        fsspec.get_filesystem_class(parts.scheme)
    except ImportError as error:
        raise MissingExtraError(
            f"reading {address}: {first_line(error)}: pip install 'lastword[remote]'"
        ) from error
    except ValueError as error:
        raise RequestError(f"{address}: {first_line(error)}") from error
    if server := _server(parts):
        require_reachable(address, server)
    filesystem, path = fsspec.core.url_to_fs(str(address))
    if parts.scheme in ("s3", "s3a"):  # its profile may name the server
        require_reachable(address, filesystem.s3.meta.endpoint_url)
    return filesystem, path


def _server(parts: SplitResult) -> str | None:
    """The server of an address, where that is known before its library asks for credentials."""
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.netloc}"
    if parts.scheme in ("gs", "gcs"):
        host = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
        return host if host.startswith("http") else f"http://{host}"
    if parts.scheme == "hf":
        return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return None


def require_bucket(address: str | Path) -> None:
    """Refuse the address of an object store without the bucket that it names; a pattern in such a bucket finds nothing.

    Raises:
        MissingFileError: see the message.
        TableError: the store cannot be asked.
    """
    filesystem, path = filesystem_of(address)
    scheme, bucket = str(address).partition("://")[0].lower(), path.partition("/")[0]
    if scheme in _WITH_BUCKETS:
        with remote_errors(address):
            if not filesystem.exists(bucket):
                raise MissingFileError(f"no bucket {bucket} for {address}: give one that exists")


@contextmanager
def remote_errors(source: object) -> Iterator[None]:
    """Name the address in what a file system raises: a missing file, no permission, no connection.

    Raises:
        MissingFileError, TableError: see the message.
    """
    try:
        yield
    except FileNotFoundError as error:
        missing = "bucket" if "bucket" in str(error).lower() else "file"
        raise MissingFileError(f"no {missing} {source}: give one that exists") from error
    except LastwordError:
        raise
    except Exception as error:  # the libraries of the stores have kinds of their own
        known = type(error).__name__ + str(error)
        hint = f"; {_CREDENTIALS}" if re.search("credential|denied|forbidden|permission", known, re.I) else ""
        raise TableError(f"{source} cannot be read: {first_line(error)}{hint}") from error


def announce(file: TableFile, fact: str = "") -> None:
    """Log what was detected in a text file and is not the default.

    Args:
        file: the file.
        fact: what was, beside its encoding, in a few words.
    """
    encoding = (
        "" if file.encoding or file.text_encoding.startswith("utf-8") else f"encoding {file.text_encoding}"
    )
    if found := ", ".join(filter(None, [encoding, fact])):
        info_once(f"{file}: {found} (detected; encoding=… and delimiter=… override it)")


def table_file(source: Source) -> TableFile:
    """The source with detection of what it does not say itself."""
    return source if isinstance(source, TableFile) else TableFile(source)


def check_delimiter(delimiter: str | None) -> None:
    """Refuse what cannot stand between cells.

    Raises:
        RequestError: not one character, or one with another meaning.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise RequestError(f"delimiter={delimiter!r}: give one character, such as ; or | or a tab")


@cache
def _standard_input() -> Path:
    """Standard input as a file, since a file is read more than once; deleted at the end."""
    with tempfile.NamedTemporaryFile(prefix="lastword-", suffix=".stdin", delete=False) as file:
        path = Path(file.name)
        atexit.register(
            path.unlink, missing_ok=True
        )  # before reading, which may be interrupted or fill the disk
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _magic(path: Path) -> str:
    """The ending that belongs to the first bytes of a file; "" for a text."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((ending for magic, ending in _MAGIC.items() if start.startswith(magic)), "")
