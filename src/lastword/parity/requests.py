"""What may be checked, and how near is near enough: decided without importing torch."""

from __future__ import annotations

import re
from pathlib import Path

from lastword.bundled import check_model, model_source
from lastword.errors import MissingFileError, ModelError, RequestError, unknown_name
from lastword.files.gguf import check_gguf

BARS = {"float32": (0.9999, 0.99), "float16": (0.999, 0.95), "bfloat16": (0.99, 0.9), "int8": (0.97, 0.85)}
"""Precision → least cosine of a vector, and least share of equal neighbours."""
PRECISIONS = tuple(BARS)
ONNX, OPENVINO, GGUF = "model.onnx", "model.xml", "model.gguf"
PARITY = "parity.json"
"""The card of an export, in its folder."""
MARKS = ("modules.json", ONNX, OPENVINO, GGUF)
"""Files of which one tells that a folder can be checked."""
FILES = (".onnx", ".xml", ".gguf")
"""Files that can be checked alone."""


def is_url(target: str) -> bool:
    """Whether a target is a server."""
    return "://" in target


def without_prefix(target: str) -> str:
    """A folder or Hub name as other commands take it, `sentence-transformers:NAME`, without what it begins with."""
    return target.removeprefix("sentence-transformers:")


def check_target(target: str) -> None:
    """Refuse what cannot be checked, as far as that is known without loading it.

    Raises:
        RequestError, MissingFileError, ModelError: see the message.
    """
    if is_url(target):
        if not re.match(r"https?://[^/\s]+", target):
            raise RequestError(
                f"{target!r} is no address of a server: give one like http://localhost:8000/v1"
            )
        return
    target = without_prefix(target)
    path = Path(target)
    if not path.exists() and (target.count("/") != 1 or target.startswith((".", "/", "~"))):
        raise MissingFileError(
            f"no target {target!r}: give a folder or file that exists, a Hub name, or the address of a server"
        )
    if path.is_file():
        if path.suffix not in FILES:
            raise ModelError(f"{target} cannot be checked: it is no {', '.join(FILES)} file and no folder")
        if path.suffix == ".gguf":
            check_gguf(path)
        return
    if path.exists() and not any((path / mark).is_file() for mark in MARKS):
        entries = sorted(entry.name for entry in path.iterdir())[:8]
        raise ModelError(
            f"{target} cannot be checked: it has no {' or '.join(MARKS)} (found: {', '.join(entries) or 'nothing'}); "
            "write a folder with lastword export first"
        )


def check_reference(reference: str) -> None:
    """Refuse what is no reference, as far as that is known without loading it.

    Args:
        reference: folder of a model or of an export, or a name, as other commands take it.

    Raises:
        RequestError, MissingFileError, ModelError: see the message.
    """
    if is_url(reference):
        raise RequestError(f"reference={reference!r} is a server: give the folder of the model")
    name = without_prefix(reference)
    path = Path(name)
    if path.is_file():
        raise RequestError(f"reference={reference!r} is a file: give the folder of the model")
    marks = ("config.json", "adapter_config.json", *MARKS)
    if not path.exists():
        check_model(name)
    elif not any((path / mark).is_file() for mark in marks):
        raise ModelError(f"reference={reference!r} is no model: it has no {' or '.join(marks)}")


def check_request(
    target: str, reference: str | Path | None = None, dtype: str | None = None, api_model: str | None = None
) -> None:
    """Refuse a check that cannot work, before anything is loaded.

    Raises:
        RequestError, MissingFileError, ModelError: see the message.
    """
    check_target(target)
    if reference is not None:
        check_reference(str(reference))
    if Path(target).is_file():
        tokenizer_folder(Path(target), None if reference is None else Path(model_source(reference)))
    if dtype is not None and dtype not in BARS:
        raise RequestError(unknown_name("dtype", dtype, BARS))
    if api_model is not None and not is_url(target):
        raise RequestError(f"api_model={api_model!r} is for a server, and {target} is none: leave it out")


def tokenizer_folder(file: Path, reference: Path | None = None) -> Path:
    """Where the tokenizer of a file is: beside it, or in the folder of the model that it should be.

    Raises:
        MissingFileError: neither has one.
    """
    for folder in (file.parent, reference):
        if folder is not None and (folder / "tokenizer.json").is_file():
            return folder
    raise MissingFileError(
        f"{file} has no tokenizer.json beside it: name the folder of its model with reference=…, or copy the "
        "tokenizer's files there"
    )
