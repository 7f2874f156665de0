"""Requests are checked before anything is imported that takes seconds: values, files, columns, outputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from lastword.bundled import PATHS
from lastword.config import train_config
from lastword.errors import MissingFileError, RequestError, unknown_name
from lastword.files.sources import Source, TableFile, check_delimiter

NEW = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**32 - 1)
COUNT = click.IntRange(1, 10**9)


class Choice(click.Choice[str]):
    """One of several names; a wrong one is answered with the most similar.

    Args:
        kind: what the names are, for messages.
        names: the choices.
    """

    def __init__(self, kind: str, names: Iterable[str]) -> None:
        super().__init__(tuple(names))
        self.kind = kind

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """The message for a value that is not a choice."""
        return unknown_name(self.kind, str(value), self.choices)


class Finite(click.FloatRange):
    """A number between two limits; NaN, which no comparison finds outside of them, is refused too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse and check."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


class Several(click.ParamType[tuple[Any, ...]]):
    """Values with commas between.

    Args:
        each: the type of one.
    """

    name = "A,B,…"

    def __init__(self, each: click.ParamType[Any]) -> None:
        self.each = each

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Split and check."""
        parts = split_names(value) if isinstance(value, str) else tuple(value)
        return tuple(self.each.convert(part, param, ctx) for part in parts)


class Checked(click.ParamType[str]):
    """A string that is checked after parsing, before the command runs.

    Args:
        name: of the kind of value, as help shows it.
        check: raises a `LastwordError` for an invalid value.
    """

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name, self.check = name, check


class Existing(click.Path):
    """A file or folder that must exist, which is checked after parsing.

    Args:
        kind: "file" or "folder".
    """

    def __init__(self, kind: str) -> None:
        super().__init__(path_type=Path)
        self.name = self.kind = kind

    def check(self, path: Path) -> None:
        """Refuse a path that is not a file, or not a folder."""
        if not (path.is_file() if self.kind == "file" else path.is_dir()):
            raise MissingFileError(f"no {self.kind} {path}: give one that exists")


FILE, FOLDER = Existing("file"), Existing("folder")


class Table(click.ParamType[TableFile]):
    """A file that is read as a table, with the encoding and the delimiter on the command line."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TableFile:
        """The file; `Command` adds how it is read."""
        return value if isinstance(value, TableFile) else TableFile(value)


class Delimiter(click.ParamType[str]):
    """A character between cells; `tab` and `\\t` are a tab."""

    name = "delimiter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The character."""
        return "\t" if value in ("tab", "\\t") else str(value)

    def check(self, delimiter: str) -> None:
        """Refuse what cannot stand between cells."""
        check_delimiter(delimiter)


class Size(click.ParamType[float]):
    """A number of bytes with its unit, such as 24GiB."""

    name = "size"
    units: ClassVar[dict[str, int]] = {
        "kib": 2**10,
        "mib": 2**20,
        "gib": 2**30,
        "tib": 2**40,
        "mb": 10**6,
        "gb": 10**9,
        "tb": 10**12,
    }

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The bytes."""
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)", str(value))
        unit = self.units.get(match[2].lower()) if match else None
        if match is None or unit is None or not float(match[1]):
            self.fail(f"{value!r} is no size: give a number and a unit, such as 24GiB or 512MiB", param, ctx)
        return float(match[1]) * unit


TABLE = Table()


def check_device(name: str) -> None:
    """Refuse what cannot be a device; whether the machine has it is found out when it is used.

    Raises:
        RequestError: see the message.
    """
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name):
        raise RequestError(f"unknown device {name!r}: use cpu, cuda, cuda:1 or mps")


def check_value(parameter: click.Parameter, value: Any) -> None:
    """Check the value of an option or argument, each of several, if its type has a check."""
    check = getattr(parameter.type, "check", None)
    several = parameter.nargs != 1 or getattr(parameter, "multiple", False)
    for each in value if several else [value]:
        if check and each is not None:
            check(each)


def check_output(params: Mapping[str, Any]) -> None:
    """Refuse an output that exists, that was interrupted, that cannot be written, or that has an input inside.

    Args:
        params: of a command: `output`, and if it has them `overwrite` and `resume`; the others may be inputs.

    Raises:
        ExistingOutputError, RequestError: see the message.
    """
    from lastword.files.run_folder import SETTINGS, RunFolder, require_outside, require_writable
    from lastword.paper.folder import REPORT

    output: Path | None = params.get("output")
    if output is None:
        return

    inputs = [value for name, value in params.items() if name != "output"]
    if "overwrite" in params:
        evidence = (
            SETTINGS if "resume" in params else ""
        )  # unfinished work that cannot be resumed is replaced
        RunFolder(
            output,
            "run",
            params.get("resume", False),
            params["overwrite"],
            evidence,
            update=params.get("update", False),
            extends=REPORT,  # no other finished output has it
        ).check(*inputs)
    else:
        require_outside(output, *inputs)
        require_writable(output / "file")


def check_pairs_output(output: Path) -> None:
    """Refuse an ending that pairs cannot be written with.

    Raises:
        RequestError: see the message.
    """
    from lastword.pairs.record import require_suffix

    require_suffix(output)


def check_issue(name: str, fixed: bool = True) -> None:
    """Refuse what is not an issue of pairs that `pairs check --fix` does something about, or that it ignores.

    Raises:
        RequestError: see the message.
    """
    from lastword.pairs.checking.rules import FIXED, UNFIXED

    known, verb = (FIXED, "allow") if fixed else (UNFIXED, "remove")
    if name not in known:
        raise RequestError(unknown_name(f"issue to {verb}", name, known))


def check_columns(file: Source, columns: Sequence[str]) -> None:
    """Read the beginning of a file: it must exist, be readable and have the columns.

    Args:
        file: a table, bundled data, or `hub:owner/name`, which is left for later.
        columns: names.

    Raises:
        MissingFileError, TableError: see the message.
    """
    from lastword.files.tables import require_columns

    require_columns(PATHS.get(str(file), file), columns)


def split_names(names: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in names.split(",") if name.strip())


def check_training(settings: Mapping[str, Any]) -> None:
    """Refuse settings of a training run, of a recipe or of flags, that cannot work.

    Raises:
        RequestError, TemplateError, ModelError, MissingFileError, TableError: see the message.
    """
    from lastword.training.settings import check_settings

    check_settings(train_config(dict(settings)))
