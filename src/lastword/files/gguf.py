"""GGUF, the model files of llama.cpp and Ollama: find one, and refuse what cannot be loaded, without heavy imports."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO

from lastword.errors import ModelError

_MAGIC = b"GGUF"
_HEADER = struct.Struct("<4sIQQ")  # magic, version, tensors, entries of metadata
_VERSIONS = (2, 3)
_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_SCALARS = "BbHhIif?__Qqd"  # struct's letter of each type of value; 8 is a string and 9 an array
_STRING, _ARRAY = 8, 9


def find_gguf(path: str | Path) -> Path | None:
    """The GGUF file that a path stands for: the file, or the only one of a folder without config.json.

    Files are known by their first bytes, not by their name: Ollama's have no suffix.

    Raises:
        ModelError: the folder has several.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        if not files or (path / "config.json").is_file():
            return None
        if len(files) > 1 and not _PART.search(files[0].name):
            names = ", ".join(file.name for file in files[:8])
            raise ModelError(f"{path} has {len(files)} GGUF files: give one of them ({names})")
        return files[0]
    return path if path.is_file() and (path.suffix == ".gguf" or _magic(path) == _MAGIC) else None


def check_gguf(file: Path) -> None:
    """Refuse what is not a whole GGUF model, as far as its first bytes and its name show it.

    Raises:
        ModelError: see the message.
    """
    if part := _PART.search(file.name):
        raise ModelError(
            f"{file} is one of {int(part[1])} parts of a model: join them with llama-gguf-split --merge, and give the "
            "result"
        )
    with file.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if header[:4] != _MAGIC:
        raise ModelError(f"{file} is not a GGUF file: it does not begin with the bytes GGUF")
    if len(header) < _HEADER.size:
        raise ModelError(f"{file} is truncated: download it again")
    _, version, tensors, _ = _HEADER.unpack(header)
    if version not in _VERSIONS:
        raise ModelError(
            f"{file} has GGUF version {version}, or big-endian numbers; supported are versions 2 and 3, little-endian"
        )
    if not tensors:
        raise ModelError(f"{file} has no weights: it is a vocabulary only")


def gguf_fields(file: Path) -> dict[str, int | float | str]:
    """The metadata of a GGUF file, such as "llama.block_count", without its lists.

    Raises:
        ModelError: it is not a whole GGUF model.
    """
    check_gguf(file)
    fields: dict[str, int | float | str] = {}
    with file.open("rb") as stream:
        *_, entries = _HEADER.unpack(stream.read(_HEADER.size))
        try:
            for _ in range(entries):
                name = _string(stream)
                value = _value(stream, _number(stream, "I"))
                if value is not None:
                    fields[name] = value
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise ModelError(f"{file} is damaged: download it again") from error
    return fields


def _value(stream: BinaryIO, kind: int) -> int | float | str | None:
    """A value; lists are skipped and give None."""
    if kind == _STRING:
        return _string(stream)
    if kind != _ARRAY:
        return _number(stream, _SCALARS[kind])
    inner, count = _number(stream, "I"), int(_number(stream, "Q"))
    if inner in (_STRING, _ARRAY):
        for _ in range(count):
            _value(stream, int(inner))
    else:
        stream.seek(count * struct.calcsize(_SCALARS[int(inner)]), 1)
    return None


def _number(stream: BinaryIO, letter: str) -> int:
    value: int = struct.unpack(f"<{letter}", stream.read(struct.calcsize(letter)))[0]
    return value


def _string(stream: BinaryIO) -> str:
    return stream.read(_number(stream, "Q")).decode("utf-8")


def _magic(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(4)
