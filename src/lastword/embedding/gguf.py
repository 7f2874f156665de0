"""Load GGUF files with transformers: dense weights, the tokenizer and the chat template, from the one file."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

from lastword.arguments import as_path
from lastword.bundled import require_gguf
from lastword.errors import ModelError, RequestError, first_line, unknown_name
from lastword.extras import needed
from lastword.files.gguf import find_gguf
from lastword.files.run_folder import replace, require_absent

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one for each load, however small

_reading = threading.RLock()
DTYPES = ("float32", "bfloat16", "float16")
_CARD = """\
# {name}

Converted from the GGUF file `{name}` (SHA-256 {sha256}) to safetensors in {dtype} with lastword. The licence is
that of the model in the file.
"""


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        output: the folder.
        source: the GGUF file.
        sha256: of the file.
        architecture: `model_type` of the configuration.
        parameters: number of weights, the output head included.
        dtype: of the stored weights.
        chat_template: whether the file had one.
    """

    output: Path
    source: Path
    sha256: str
    architecture: str
    parameters: int
    dtype: str
    chat_template: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }


def convert(
    source: str | Path, output: str | Path, *, dtype: str = "float32", overwrite: bool = False
) -> Conversion:
    """Write a GGUF file as a folder of transformers: safetensors, configuration, tokenizer and chat template.

    Args:
        source: a GGUF file, a folder with one, or "smollm2".
        output: folder to write.
        dtype: "float32" keeps every value of the file; "bfloat16" and "float16" round them and take half the space.
        overwrite: replace `output`.

    Raises:
        MissingFileError, ModelError, RequestError, ExistingOutputError: see the message.
    """
    output = as_path("output", output)
    if dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    require_absent(output, overwrite, source)
    file = require_gguf(source)
    folder, arguments = model_arguments(file)
    try:
        with parsed_once(file):
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), **arguments)
            tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    except (OSError, ValueError, IndexError, RuntimeError, KeyError) as error:
        raise ModelError(f"{file} does not load: {reason(file, first_line(error))}") from error
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    (partial / "README.md").write_text(
        _CARD.format(name=file.name, sha256=sha256, dtype=dtype), encoding="utf-8"
    )
    replace(partial, output)
    return Conversion(
        output,
        file,
        sha256,
        model.config.model_type,
        model.num_parameters(),
        dtype,
        bool(tokenizer.chat_template),
    )


def source_arguments(source: str | Path) -> tuple[str, dict[str, Any]]:
    """Name and arguments for `from_pretrained` of a configuration or tokenizer: those of a GGUF file, if it is one.

    Raises:
        RequestError: a GGUF file, and the extra that reads it is not installed.
        ModelError: a folder with several GGUF files.
    """
    file = find_gguf(source)
    if file is None:
        return str(source), {}
    _library()
    return str(file.parent), {"gguf_file": file.name}


def model_arguments(source: str | Path) -> tuple[str, dict[str, Any]]:
    """Like `source_arguments`, for a model: dense weights, not the packed blocks of the file."""
    name, arguments = source_arguments(source)
    if not arguments:
        return name, {"use_safetensors": True}
    packed = GgufConfig(gguf_file=arguments["gguf_file"], dequantize=True)
    return name, {**arguments, "quantization_config": packed}


@contextmanager
def parsed_once(source: str | Path) -> Iterator[None]:
    """Let transformers parse a GGUF file once inside the `with`, and show no progress bar.

    Configuration, tokenizer and weights would each parse it, and the weights make a table of names for each module.
    Another thread that loads a GGUF file waits.
    """
    if find_gguf(source) is None:
        yield
        return
    gguf = _library()
    with _reading, ExitStack() as stack:
        if isinstance(gguf.GGUFReader, type):  # else this is inside another `with`
            for module, name, value in (
                (gguf, "GGUFReader", cache(_plain_reader(gguf.GGUFReader))),
                (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
                (modeling_gguf_pytorch_utils, "tqdm", lambda tensors, **_: tensors),
            ):
                stack.callback(setattr, module, name, getattr(module, name))
                setattr(module, name, value)
        yield


def _library() -> Any:
    return needed("gguf", "gguf", "reading GGUF files")


def _plain_reader(reader: Any) -> Any:
    """A class of readers over a plain array: slices of a memory map, one for each token, cost ten times as much."""

    class PlainReader(reader):  # type: ignore[misc]
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value.view(np.ndarray) if name == "data" else value)

    return PlainReader


def reason(source: str | Path, message: str) -> str:
    """Why a model did not load: the message of transformers, or, where that does not help, what to do."""
    if "ignore_mismatched_sizes" in message:  # it refers to a report that is not shown
        return "its weights have other shapes than its configuration says"
    file = find_gguf(source)
    if file is None:
        return message
    if "not supported" in message:
        return f"transformers cannot load this GGUF architecture ({message}); use the original model in safetensors"
    if _is_truncated(file):
        return "the file is truncated: download it again"
    return message


def _is_truncated(file: Path) -> bool:
    """Whether the tensors that the header lists end beyond the end of the file."""
    gguf = _library()
    try:
        tensors = gguf.GGUFReader(file).tensors
    except (ValueError, IndexError, TypeError):  # the arrays that it maps do not fit
        return True
    return any(tensor.data_offset + tensor.n_bytes > file.stat().st_size for tensor in tensors)


def read_head(source: str | Path) -> Tensor | None:
    """The output head of a GGUF file, (vocabulary, dim) float32; None if it has none or is no GGUF file."""
    file = find_gguf(source)
    if file is None:
        return None
    gguf = _library()
    for tensor in gguf.GGUFReader(file).tensors:
        if tensor.name == "output.weight":
            return torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))
    return None


def require_unquantized(source: str | Path, quantize: str | None) -> None:
    """Refuse to quantise a GGUF file while it is read.

    Raises:
        ModelError: see the message.
    """
    if quantize and find_gguf(source):
        raise ModelError(
            f"{source} is a GGUF file, which loads as dense weights: convert it with lastword convert, then load the "
            f"folder with quantize={quantize!r}"
        )
