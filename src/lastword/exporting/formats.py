"""The formats of an export, and what each can hold: checked without importing torch."""

from __future__ import annotations

import json
from pathlib import Path

from lastword.bundled import check_model, model_source
from lastword.errors import ModelError, RequestError, unknown_name

FORMATS = ("folder", "adapter")
DTYPES = ("float32", "bfloat16", "float16")
_PLAIN = ("adapter",)  # of one precision


def check_export(model: str | Path, to: str, dtype: str | None) -> None:
    """Refuse what cannot be exported, as far as that is known without loading the model.

    Raises:
        RequestError, ModelError, MissingFileError: see the message.
    """
    check_model(model)
    if to not in FORMATS:
        raise RequestError(unknown_name("format", to, FORMATS))
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    if dtype is not None and to in _PLAIN:
        raise RequestError(f"dtype={dtype!r}: {to} is written in float32; leave dtype out")
    if to == "adapter":
        adapter_of(model)


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
