"""JSON as its standard has it: numbers that are not finite, which it cannot write, become null.

A file name that is not UTF-8 has surrogates in Python; they are written as escapes, and read as what they were.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_values(value: Any) -> Any:
    """The same content as dictionaries, lists and plain values, with null for NaN and infinities."""
    if isinstance(value, Mapping):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    value = value.item() if hasattr(value, "item") else value  # of NumPy
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_text(content: Any, indent: int | None = None) -> str:
    """The content as JSON text, which UTF-8 can encode."""
    text = json.dumps(json_values(content), allow_nan=False, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
