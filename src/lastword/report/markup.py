"""HTML and SVG as values: whatever is not markup already is escaped, so no text can become a tag."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = {"meta", "br"}
_SHAPES = {"circle", "line", "path", "polyline", "rect"}


class Markup(str):
    """A string that is HTML already; only `tag`, `join` and files that draw make one."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """Build an element; children that are plain strings are escaped.

    Args:
        name: of the element.
        children: what is in it.
        attributes: `class_` stands for class and `aria_label` for aria-label; None and False leave an
            attribute out, True writes its name only, numbers are rounded to two digits.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    head = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{head}>")
    if name in _SHAPES and not children:
        return Markup(f"<{head}/>")
    return Markup(f"<{head}>{join(children)}</{name}>")


def join(children: Iterable[str], between: str = "") -> Markup:
    """Put markup and texts one after another; texts are escaped."""
    return Markup(
        between.join(child if isinstance(child, Markup) else html.escape(child) for child in children)
    )


def number(value: float) -> str:
    """Two digits after the point at most and no trailing zeros: exact enough for a screen."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(value if isinstance(value, str) else number(value))}"'
