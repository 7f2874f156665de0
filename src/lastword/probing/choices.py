"""What a probe compares: templates, poolings and layers, read from names, numbers and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lastword.embedding.pooling import Pooling
from lastword.embedding.template import SLOT, TEMPLATES, Template
from lastword.errors import MissingFileError, RequestError, TemplateError

POOLINGS = ("mean", "mean:text", "weightedmean", "lasttoken", "eos")
"""The default: the three of the paper, and two more averages."""
PREFIX = 'This sentence: "{text}"'
"""The default prefix of a suffix: the beginning of `eol`, `sum`, `ccw` and `classify`."""

Names = str | Sequence[str]
Layers = str | int | Sequence[int]


def read_templates(
    names: Names | None, suffixes: str | Path | None = None, prefix: str = PREFIX
) -> list[Template]:
    """Read named templates, custom ones, and those made from a file of suffixes.

    Args:
        names: names in `TEMPLATES` or strings with `{text}`, or names separated by commas; None is all named
            templates, or no named one if suffixes are given.
        suffixes: file, see `read_suffixes`.
        prefix: template text in front of each suffix.

    Raises:
        RequestError, TemplateError, MissingFileError: see the message.
    """
    if prefix != PREFIX and not suffixes:
        raise RequestError(f"prefix={prefix!r} is for suffixes: give suffixes too, or leave prefix out")
    chosen = _split(names) if names is not None else [] if suffixes else list(TEMPLATES)
    templates = [Template.parse(name) for name in chosen]
    templates += read_suffixes(suffixes, prefix) if suffixes else []
    _require_distinct("template", [template.text for template in templates])
    return templates


def read_poolings(names: Names | None) -> list[Pooling]:
    """Read poolings as `Pooling.parse` does, or names separated by commas; None is `POOLINGS`.

    Raises:
        RequestError: an unknown pooling, a duplicate, or none at all.
    """
    poolings = [Pooling.parse(name) for name in (POOLINGS if names is None else _split(names))]
    _require_distinct("pooling", [pooling.spec for pooling in poolings])
    return poolings


def read_layers(layers: Layers, last: int) -> list[int]:
    """Read "all", "last", numbers separated by commas, or integers as hidden states 0 … `last`.

    Raises:
        RequestError: invalid syntax, a layer that the model does not have, a duplicate, or none at all.
    """
    words = layer_words(layers)
    numbers = (
        list(range(last + 1))
        if words == ["all"]
        else [last if word == "last" else int(word) for word in words]
    )
    for number in numbers:
        if not 0 <= number <= last:
            raise RequestError(f"layer {number}: this model has hidden states 0 … {last}")
    _require_distinct("layer", [str(number) for number in numbers])
    return numbers


def layer_words(layers: Layers) -> list[str]:
    """Check the syntax of `read_layers`, which needs no model.

    Returns:
        ["all"], or "last" and numbers.

    Raises:
        RequestError: invalid syntax.
    """
    if not isinstance(layers, str):
        return [str(number) for number in ([layers] if isinstance(layers, int) else layers)]
    words = [word.strip() for word in layers.split(",")]
    if words != ["all"] and not all(word == "last" or word.isdecimal() for word in words):
        raise RequestError(
            f"layers {layers!r}: write all, last, or numbers separated by commas, such as 0,3,6"
        )
    return words


def read_suffixes(path: str | Path, prefix: str = PREFIX) -> list[Template]:
    """Read one suffix, or one whole template with `{text}`, from each line.

    A suffix is appended to the prefix after a space. Empty lines and lines that begin with # are skipped; a
    suffix that begins with # must be written as a whole template.

    Raises:
        MissingFileError: no such file.
        RequestError: the file has no suffix, a duplicate, or is not UTF-8.
        TemplateError: a line has more than one `{text}`, or the prefix has not exactly one.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a text file with one suffix on each line")
    if prefix.count(SLOT) != 1:
        raise TemplateError(f"prefix {prefix!r} has {SLOT} {prefix.count(SLOT)} times: it needs exactly one")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    line_of: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        text = line if SLOT in line else f"{prefix} {line}"
        if text.count(SLOT) > 1:
            raise TemplateError(
                f"{path}, line {number}: {line!r} has {SLOT} {line.count(SLOT)} times: a whole template "
                "has it once"
            )
        if text in line_of:
            raise RequestError(f"{path}, line {number}: {line!r} repeats line {line_of[text]}")
        line_of[text] = number
    if not line_of:
        raise RequestError(f"{path} has no suffix: write one on each line, such as: means in one word:")
    return [Template.parse(text) for text in line_of]


def _split(names: Names) -> list[str]:
    """Split at commas; a string with `{text}` is one template, commas included."""
    parts: list[str] = []
    for part in [names] if isinstance(names, str) else names:
        parts += [part] if SLOT in part else [name.strip() for name in part.split(",") if name.strip()]
    return parts


def _require_distinct(kind: str, names: list[str]) -> None:
    if not names:
        raise RequestError(f"no {kind}: give at least one")
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise RequestError(f"{kind} {repeated[0]!r} is given twice: leave one out")
