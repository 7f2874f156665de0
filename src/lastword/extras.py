"""Optional libraries: imported when first used; if one is missing, the error names the command that installs it."""

from __future__ import annotations

import importlib
from types import ModuleType

from lastword.errors import MissingExtraError


def needed(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an install extra.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise MissingExtraError(
            f"{purpose} needs {name}, which is not installed: pip install 'lastword[{extra}]'"
        ) from error
