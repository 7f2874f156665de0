"""The folder of an explanation: explain.json, attention.svg and explain.html, there at once or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from lastword.explanation.page import render_page
from lastword.explanation.picture import render_picture
from lastword.explanation.record import Explanation
from lastword.files.run_folder import replace


def write_folder(out: Path, found: Explanation) -> None:
    """Write the files beside the place, then move them there; what was there is replaced."""
    out = out.absolute()
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        files = {
            "explain.json": json.dumps(found.to_dict(), ensure_ascii=False, indent=1) + "\n",
            "attention.svg": render_picture(found) + "\n",
            "explain.html": render_page(found),
        }
        for name, content in files.items():
            (partial / name).write_bytes(content.encode("utf-8", errors="replace"))
        replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
