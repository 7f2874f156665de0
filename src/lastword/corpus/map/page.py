"""The map as one HTML file: data, styles and scripts are inside, and nothing is loaded."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

from lastword.files.plain_json import json_text
from lastword.report.markup import Markup, tag
from lastword.report.page import page

_FOLDER = Path(__file__).parent


def map_page(data: dict[str, Any]) -> str:
    """The page; the same data give the same page."""
    packed = base64.b64encode(gzip.compress(json_text(data).encode(), mtime=0)).decode()
    library, script = (
        (_FOLDER / name).read_text(encoding="utf-8") for name in ("regl-scatterplot.min.js", "map.js")
    )
    return page(
        data["title"],
        tag("main", id="map", data_points=len(data["texts"])),
        tag("script", Markup(packed), type="text/plain", id="data"),
        style=(_FOLDER / "map.css").read_text(encoding="utf-8"),
        script=f"{library}\n{script}",
        compiles=True,
    )
