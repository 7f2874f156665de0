"""The formats of an export, and what each can hold: checked without importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from lastword.bundled import check_model, model_layers, model_source
from lastword.embedding.spec import LASTWORD_JSON, EmbedderSpec, check_savable
from lastword.errors import MissingFileError, ModelError, RequestError, first_line, unknown_name
from lastword.extras import require_installed

FORMATS = ("folder", "adapter", "onnx", "openvino", "gguf")
DTYPES = ("float32", "bfloat16", "float16")
QUANTIZED = ("int8",)
_PLAIN = ("adapter", "onnx", "openvino")  # of one precision
GGUF_POOLINGS = {"mean": "MEAN", "cls": "CLS", "lasttoken": "LAST", "eos": "LAST"}
"""Pooling → its type in GGUF."""
_LIBRARIES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("onnx", "onnxscript", "openvino")}


def check_export(
    model: str | Path,
    to: str,
    dtype: str | None = None,
    quantize: str | None = None,
    template: str | None = None,
    pooling: str | None = None,
) -> None:
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
    spec = check_savable(model, template, pooling)
    for library in (*_LIBRARIES.get(to, ()), *(("nncf",) if quantize and to == "openvino" else ())):
        require_installed(library, "export", f"export to {to}")
    if to == "gguf":
        require_installed("gguf", "gguf", "export to gguf")
        require_gguf_spec(spec)
    if to == "adapter":
        adapter_of(model)
        problem = None
        if spec.pooling.trainable:
            problem = f"pooling {spec.pooling.spec!r}, whose weights an adapter cannot hold"
        elif spec.attention != "causal":
            problem = f"{spec.attention} attention, which an adapter cannot tell its base model"
        if problem:
            raise ModelError(f"{model} has {problem}: use to='folder' or to='onnx'")
        _require_base(model)


def _require_base(model: str | Path) -> None:
    """Refuse an adapter whose base model is not at hand, or has more layers than the adapted one."""
    try:
        base = json.loads((Path(model_source(model)) / LASTWORD_JSON).read_text(encoding="utf-8"))["base"]
    except (OSError, ValueError, KeyError, TypeError):  # loading it will say what is wrong
        return
    try:
        check_model(base)
    except (ModelError, MissingFileError) as error:
        raise ModelError(
            f"the base model of {model} is needed to prove its adapter: {error}; or use to='folder'"
        ) from error
    whole, kept = model_layers(base), model_layers(model)
    if whole is not None and kept is not None and whole != kept:
        raise ModelError(
            f"{base} has {whole} layers and the adapted model the first {kept}: an adapter cannot leave layers out; "
            "use to='folder'"
        )


def require_gguf_spec(spec: EmbedderSpec) -> None:
    """Refuse what a GGUF file cannot express, whatever the model is.

    Raises:
        ModelError: see the message.
    """
    problem = None
    if spec.pooling.spec not in GGUF_POOLINGS:
        problem = f"pooling {spec.pooling.spec!r} (it can: {', '.join(GGUF_POOLINGS)})"
    elif spec.attention != "causal":
        problem = f"{spec.attention} attention"
    elif spec.template.middle is not None:
        problem = "a template that has the text twice"
    if problem:
        raise ModelError(f"GGUF cannot express {problem}: use to='folder' or to='onnx'")


def adapter_of(model: str | Path) -> Path:
    """The folder of the adapter that training kept.

    Raises:
        ModelError: there is none.
    """
    choice = Path(model_source(model)) / "training" / "choice.json"
    if not choice.is_file():
        raise ModelError(
            f"{model} has no adapter of its own (no training/choice.json): give a folder that lastword train wrote, "
            "or use to='folder'"
        )
    try:
        step = int(json.loads(choice.read_text(encoding="utf-8"))["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{choice} is damaged ({first_line(error)}): use to='folder'") from error
    if not step:
        raise ModelError(
            f"{model} is its base model: training kept step 0, which has no adapter; use to='folder'"
        )
    adapter = choice.parent / f"step-{step:06d}"
    if not (adapter / "adapter_config.json").is_file():
        raise ModelError(
            f"{model} has lost its adapter (no {adapter.name}/adapter_config.json in training/): use to='folder'"
        )
    return adapter
