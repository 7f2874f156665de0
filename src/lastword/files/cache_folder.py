"""The folder for files that can be computed again: in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """The folder of that name: in LASTWORD_CACHE, or in `lastword` under XDG_CACHE_HOME or ~/.cache."""
    if folder := os.environ.get("LASTWORD_CACHE"):
        return Path(folder) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastword" / name
