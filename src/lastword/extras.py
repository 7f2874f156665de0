"""Optional libraries: imported when first used; if one is missing, the error names the command that installs it."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
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
        raise _missing(module, extra, purpose) from error


def require_installed(module: str, extra: str, purpose: str, otherwise: str = "") -> None:
    """Refuse what needs a module that is not installed, without importing it: some take seconds.

    Args:
        module, extra, purpose: as for `needed`.
        otherwise: what to do without it, for the end of the message.

    Raises:
        MissingExtraError: see the message.
    """
    if not is_installed(module):
        raise _missing(module, extra, purpose, otherwise)


def is_installed(module: str) -> bool:
    """Whether a module could be imported; it is not, since some take seconds."""
    return find_spec(module) is not None


def _missing(module: str, extra: str, purpose: str, otherwise: str = "") -> MissingExtraError:
    name = module.partition(".")[0]
    return MissingExtraError(
        f"{purpose} needs {name}, which is not installed: pip install 'lastword[{extra}]'{otherwise}"
    )
