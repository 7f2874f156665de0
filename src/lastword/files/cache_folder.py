"""Where lastword keeps what can be made again: under the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """The folder of that name: in LASTWORD_CACHE, or in `lastword` under XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("LASTWORD_CACHE"):
        return Path(own) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastword" / name
