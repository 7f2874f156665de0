"""Plots in the colours of the product's own pictures, on a background, so that they can be read on any page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lastword.report

_PALETTE = Path(lastword.report.__file__).with_name("palette.css")


def colours() -> dict[str, str]:
    """Name → colour of the light scheme, such as "accent"."""
    light = _PALETTE.read_text(encoding="utf-8").split("@media")[0]
    return dict(re.findall(r"--([\w-]+): (#\w+);", light))


def pyplot() -> Any:
    """Matplotlib's pyplot, set up to write SVG in these colours."""
    import matplotlib
    from matplotlib import pyplot

    named = colours()
    matplotlib.use("svg")
    matplotlib.rcParams.update({
        "figure.facecolor": named["paper"], "axes.facecolor": named["paper"], "savefig.facecolor": named["paper"],
        "text.color": named["ink"], "axes.labelcolor": named["ink"], "axes.titlecolor": named["ink"],
        "xtick.color": named["muted"], "ytick.color": named["muted"], "axes.edgecolor": named["line"],
        "axes.spines.top": False, "axes.titlesize": 11, "axes.titleweight": "bold", "font.size": 10,
        "svg.hashsalt": "lastword",
    })  # fmt: skip
    return pyplot
