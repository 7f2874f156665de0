"""What is compared: templates, poolings and layers, or many suffixes behind one beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.embedding import TEMPLATES, Pooling, Template
from lastword.embedding.template import SLOT
from lastword.errors import MissingFileError, RequestError, TemplateError

POOLINGS = ("mean", "mean:text", "weightedmean", "lasttoken", "eos")
"""Those that are compared unless told otherwise: the paper's three, and the two other averages."""
PREFIX = 'This sentence: "{text}"'
"""What stands before a suffix unless told otherwise: the beginning of `eol`, `sum`, `ccw` and `classify`."""

Names = str | Sequence[str]
Layers = str | int | Sequence[int]


@dataclass(frozen=True)
class Choices:
    """The sides of a grid, or of the part of it that is embedded, scored and let go at once; nothing stands twice."""

    templates: list[Template]
    poolings: list[Pooling]
    layers: list[int]

    @property
    def options(self) -> int:
        """Combinations."""
        return len(self.templates) * len(self.poolings) * len(self.layers)


def read_templates(
    given: Names | None, suffixes: str | Path | None = None, prefix: str = PREFIX
) -> list[Template]:
    """Named templates, own ones, and those of a file of suffixes.

    Args:
        given: names in `TEMPLATES` or strings with `{text}`, or names with commas between; None is all
            named ones, or none beside suffixes.
        suffixes: file, see `read_suffixes`.
        prefix: what stands before a suffix.

    Raises:
        RequestError, TemplateError, MissingFileError: see the message.
    """
    names = _names(given) if given is not None else [] if suffixes else list(TEMPLATES)
    templates = [Template.parse(name) for name in names]
    templates += read_suffixes(suffixes, prefix) if suffixes else []
    _require_some_once("template", [template.text for template in templates])
    return templates


def read_poolings(given: Names | None) -> list[Pooling]:
    """Poolings as `Pooling.parse` reads them, or names with commas between; None is `POOLINGS`.

    Raises:
        RequestError: an unknown one, one given twice, or none.
    """
    poolings = [Pooling.parse(name) for name in (POOLINGS if given is None else _names(given))]
    _require_some_once("pooling", [pooling.spec for pooling in poolings])
    return poolings


def read_layers(given: Layers, last: int) -> list[int]:
    """ "all", "last", numbers with commas between, or numbers, of hidden states 0 … `last`.

    Raises:
        RequestError: something else, a layer that is not there, one given twice, or none.
    """
    numbers = _layer_numbers(given, last)
    for number in numbers:
        if not 0 <= number <= last:
            raise RequestError(f"layer {number}: this model has hidden states 0 … {last}")
    _require_some_once("layer", [str(number) for number in numbers])
    return numbers


def read_suffixes(path: str | Path, prefix: str = PREFIX) -> list[Template]:
    """Read one suffix, or one whole template with `{text}`, from each line.

    A suffix is put behind the prefix with a space between. Empty lines and lines that begin with # are left
    out; a line that must begin with # can be written as a whole template.

    Raises:
        MissingFileError: there is no such file.
        RequestError: the file holds no suffix, or one twice, or is not UTF-8.
        TemplateError: a line, or the prefix, that has not one `{text}`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no file {path}: give a text file with one suffix on each line")
    if prefix.count(SLOT) != 1:
        raise TemplateError(f"prefix {prefix!r} has {prefix.count(SLOT)} times {SLOT}: it needs exactly one")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise RequestError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    templates: list[Template] = []
    first: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        text = line if SLOT in line else f"{prefix} {line}"
        if text.count(SLOT) > 1:
            raise TemplateError(
                f"{path}, line {number}: {line!r} has {line.count(SLOT)} times {SLOT}: at most one, "
                "which makes it a whole template"
            )
        if text in first:
            raise RequestError(f"{path}, line {number}: {line!r} stands in line {first[text]} already")
        first[text] = number
        templates.append(Template.parse(text))
    if not templates:
        raise RequestError(f"{path} holds no suffix: write one on each line, such as: means in one word:")
    return templates


def _names(given: Names) -> list[str]:
    """Names with commas between, or a sequence of them; a string with `{text}` is one template, commas and all."""
    names: list[str] = []
    for part in [given] if isinstance(given, str) else given:
        names += [part] if SLOT in part else [name.strip() for name in part.split(",") if name.strip()]
    return names


def _layer_numbers(given: Layers, last: int) -> list[int]:
    if not isinstance(given, str):
        return [given] if isinstance(given, int) else list(given)
    words = [word.strip() for word in given.split(",")]
    if words == ["all"]:
        return list(range(last + 1))
    return [last if word == "last" else _number(word, given) for word in words]


def _number(word: str, given: str) -> int:
    if not word.isdecimal():
        raise RequestError(
            f"layers {given!r}: write all, last, or numbers with commas between, such as 0,3,6"
        )
    return int(word)


def _require_some_once(kind: str, names: list[str]) -> None:
    if not names:
        raise RequestError(f"no {kind} was given: give at least one")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise RequestError(f"{kind} {twice[0]!r} is given twice: leave one out")
