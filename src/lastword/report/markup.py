"""HTML and SVG as values: plain strings are escaped, so text can never become a tag."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = {"meta", "br"}
_SHAPES = {"circle", "line", "path", "polyline", "rect"}


class Markup(str):
    """A string that is already HTML and is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | bool | None) -> Markup:
    """Build an element; children that are plain strings are escaped.

    Args:
        name: of the element.
        children: its content.
        attributes: `class_` becomes class and `aria_label` becomes aria-label; None and False leave an
            attribute out, True writes only its name, numbers are rounded to two decimals.

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
    """Concatenate markup and texts; texts are escaped."""
    return Markup(
        between.join(child if isinstance(child, Markup) else html.escape(child) for child in children)
    )


def number(value: float) -> str:
    """At most two decimals, without trailing zeros: enough for a screen."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _attribute(key: str, value: str | float | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(value if isinstance(value, str) else number(value))}"'
