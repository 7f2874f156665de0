"""Libraries that are imported when first used: those that take seconds, and those of an install extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from lastword.console import progress
from lastword.errors import RequestError


def load_libraries(*modules: str) -> None:
    """Import modules that take seconds, with progress; a request is checked before it is called.

    Args:
        *modules: such as "torch", "transformers.modeling_utils", "sklearn.cluster", "mteb".
    """
    with progress("loading libraries", len(modules)) as advance:
        for module in modules:
            importlib.import_module(module)
            advance(1)


def needed(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an install extra.

    Raises:
        RequestError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise RequestError(
            f"{purpose} needs {name}, which is not installed: pip install 'lastword[{extra}]'"
        ) from error
