"""The formats of an export, and what each can hold: checked without importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from lastword.bundled import check_model, model_source
from lastword.embedding.pooling import Pooling
from lastword.errors import ModelError, RequestError, unknown_name
from lastword.extras import require_installed

FORMATS = ("folder", "adapter", "onnx", "openvino", "gguf")
DTYPES = ("float32", "bfloat16", "float16")
QUANTIZED = ("int8",)
_PLAIN = ("adapter", "onnx", "openvino")  # of one precision
_LIBRARIES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}


def check_export(model: str | Path, to: str, dtype: str | None = None, quantize: str | None = None) -> None:
    """Refuse what cannot be exported, as far as that is known without loading the model.

    Raises:
        RequestError, ModelError, MissingFileError, MissingExtraError: see the message.
    """
    check_model(model)
    if to not in FORMATS:
        raise RequestError(unknown_name("format", to, FORMATS))
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    if dtype is not None and to in _PLAIN:
        raise RequestError(f"dtype={dtype!r}: {to} is written in float32; leave dtype out")
    if quantize is not None and quantize not in QUANTIZED:
        raise RequestError(unknown_name("quantization", quantize, QUANTIZED))
    if quantize is not None and to not in ("onnx", "openvino"):
        raise RequestError(
            f"quantize={quantize!r} is for onnx and openvino, not for {to}: leave quantize out"
        )
    for library in (*_LIBRARIES.get(to, ()), *(("nncf",) if quantize and to == "openvino" else ())):
        require_installed(library, "export", f"export to {to}")
    if to == "gguf":
        require_installed("gguf", "gguf", "export to gguf")
    if to == "adapter":
        _require_plain_pooling(adapter_of(model).parents[1])


def _require_plain_pooling(folder: Path) -> None:
    """Refuse a model whose pooling has weights, which are in no adapter."""
    file = folder / "lastword.json"
    pooling = json.loads(file.read_text(encoding="utf-8"))["pooling"] if file.is_file() else "mean"
    if Pooling.parse(pooling).trainable:
        raise ModelError(
            f"{folder} has pooling {pooling!r}, whose weights an adapter cannot hold: use to='folder' or to='onnx'"
        )


def adapter_of(model: str | Path) -> Path:
    """The folder of the adapter that training kept.

    Raises:
        ModelError: there is none.
    """
    folder = Path(model_source(model))
    choice = folder / "training" / "choice.json"
    if not choice.is_file():
        raise ModelError(
            f"{model} has no adapter of its own (no training/choice.json): give a folder that lastword train wrote, "
            "or use to='folder'"
        )
    step = json.loads(choice.read_text(encoding="utf-8"))["step"]
    if not step:
        raise ModelError(
            f"{model} is its base model: training kept step 0, which has no adapter; use to='folder'"
        )
    return next(path for path in choice.parent.glob("step-*") if int(path.name.removeprefix("step-")) == step)
