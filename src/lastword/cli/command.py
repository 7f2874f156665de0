"""How commands look and fail: options under headings, two examples at the end of each help, errors that name flags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from lastword import console
from lastword.cli.checks import TABLE, Several, check_output, check_value
from lastword.errors import LastwordError, RequestError, unknown_name
from lastword.files.plain_json import json_text

GENERAL = "General"
_SHOWN_LIMIT = 10_000
_METAVARS = {"text": "NAME", "integer range": "N", "float range": "X", "integer": "N", "float": "X"}
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Option(click.Option):
    """An option that help lists under a heading.

    Args:
        group: the heading.
        needs: name of an argument without which this option would be ignored.
        show_range: whether help shows the limits of a number.
    """

    def __init__(
        self, *args: Any, group: str = GENERAL, needs: str = "", show_range: bool = True, **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.group, self.needs, self.show_range = group, needs, show_range
        self.metavar = self.metavar or (None if self.is_flag else _METAVARS.get(self.type.name))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value; an empty one, such as of a shell variable that is not set, is refused."""
        if "" in (value if isinstance(value, tuple | list) else [value]) and not isinstance(
            self.type, Several
        ):
            flag = max(self.opts, key=len)
            raise click.UsageError(f"{flag} is empty: give a value, or leave {flag} out", ctx)
        return super().type_cast_value(ctx, value)

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What help adds in brackets; a range only if its upper end is near enough to matter."""
        extra = super().get_help_extra(ctx)
        if "range" in extra:
            least, most = getattr(self.type, "min", None), getattr(self.type, "max", None)
            del extra["range"]
            if self.show_range and most is not None and most <= _SHOWN_LIMIT:
                extra["range"] = f"{least:g} to {most:g}"
        return extra


def option(group: str, names: str, help: str, **attributes: Any) -> Decorator:
    """`click.option` with a heading.

    Args:
        group: the heading.
        names: flags, and perhaps the name of the argument, with spaces between.
        help: what it does.
        attributes: further arguments of `click.option`.
    """
    return click.option(*names.split(), cls=Option, group=group, help=help, **attributes)


class _Help(click.Command):
    """What commands and groups have in common.

    Args:
        examples: command lines for the end of the help.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.examples = tuple(examples)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """`--help`, described like the other options."""
        option = super().get_help_option(ctx)
        if option:
            option.help = "show this help"
        return option

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options under their headings, in the order in which these first appear."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and not isinstance(parameter, click.Argument):
                groups.setdefault(getattr(parameter, "group", GENERAL), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """End with the examples, broken like shell commands where they are wider than the terminal."""
        with formatter.section("Examples"):
            for example in self.examples:
                for line in broken(example, formatter.width - formatter.current_indent):
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def broken(example: str, width: int) -> list[str]:
    """Break a command line before its options."""
    first, *rest = re.split(r" (?=-)", example)
    lines = [first]
    for part in rest:
        if len(f"{lines[-1]} {part} \\") > width:
            lines[-1] += " \\"
            lines.append(f"    {part}")
        else:
            lines[-1] += f" {part}"
    return lines


class Command(_Help):
    """A command with `--quiet`, which checks its output before it does anything else."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        quiet = Option(
            ["--quiet", "-q"], is_flag=True, expose_value=False, callback=self._show_messages,
            help="show only warnings and errors",
        )  # fmt: skip
        self.params.append(quiet)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors name flags in place of arguments."""
        try:
            self._refuse_ignored(ctx)
            for parameter in self.params:
                check_value(parameter, ctx.params.get(parameter.name or ""))
            self._add_reading(ctx)
            check_output(ctx.params)
            return super().invoke(ctx)
        except LastwordError as error:
            error.args = (as_flags(str(error), self.params),)
            raise
        except (KeyboardInterrupt, OSError) as error:
            if "resume" in ctx.params and Path(f"{ctx.params.get('output')}.partial").exists():
                error.add_note("add --resume to continue")
            raise

    def _refuse_ignored(self, ctx: click.Context) -> None:
        """Refuse an option on the command line whose value nothing would read."""
        flags = {parameter.name: parameter.opts[0] for parameter in self.params}
        for parameter in self.params:
            name, needs = parameter.name or "", getattr(parameter, "needs", "")
            if (
                needs
                and not ctx.params[needs]
                and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
            ):
                raise RequestError(
                    f"{flags[name]} is for {flags[needs]}: give {flags[needs]} too, or leave {flags[name]} out"
                )

    def _add_reading(self, ctx: click.Context) -> None:
        """Put the encoding and the delimiter into the tables that the command reads."""
        tables = [parameter.name or "" for parameter in self.params if parameter.type is TABLE]
        if not tables:
            return
        how = {name: ctx.params.pop(name) for name in ("encoding", "delimiter")}
        for name in tables:
            files = ctx.params[name]
            several = isinstance(files, tuple)
            read = tuple(replace(file, **how) for file in (files if several else [files]))
            ctx.params[name] = read if several else read[0]

    def _show_messages(self, ctx: click.Context, parameter: click.Parameter, quiet: bool) -> None:
        console.show_messages(quiet=quiet, rewrite=lambda message: as_flags(message, self.params))


def command(*examples: str, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with examples for the end of its help."""
    return click.command(name, cls=Command, examples=examples)


class Group(_Help, click.Group):
    """A group whose help shows the description of each command whole."""

    command_class = Command

    def descriptions(self, ctx: click.Context) -> dict[str, str]:
        """Name of each command → first sentence of its help."""
        return {name: self.commands[name].get_short_help_str(10**6) for name in self.list_commands(ctx)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were added."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; an unknown one is answered with the most similar."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(unknown_name("command", args[0], names), ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first, then the few options."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.descriptions(ctx).items()))
        super().format_options(ctx, formatter)


def as_flags(message: str, parameters: Iterable[click.Parameter]) -> str:
    """Translate what a message says about arguments of a Python function to flags of a command.

    `overwrite=True` becomes `--overwrite`, `max_tokens=8` becomes `--max-tokens 8`; a name alone is translated
    if it has an underscore, or is to be left out, so that no ordinary word is. What is said about the default
    column of texts gets the flag that chooses another. Names of columns stay as they are.
    """
    flags = {p.name: max(p.opts, key=len) for p in parameters if isinstance(p, click.Option) and p.name}
    flags |= {flag[2:].replace("-", "_"): flag for flag in flags.values() if flag.startswith("--")}
    value = r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|[^\s,;:)]+"

    def flag(match: re.Match[str]) -> str:
        name, text = match[1], match[2]
        if text is None:
            return flags[name] if "_" in name else match[0]
        if text == "True":
            return flags[name]
        return f"{flags[name]} {'…' if '…' in text else text}"

    message, *columns = re.split(r"(?<=columns are: )", message, maxsplit=1)
    names = "|".join(sorted(map(re.escape, flags), key=len, reverse=True))
    if flags:
        message = re.sub(rf"\bleave ({names}) out\b", lambda found: f"leave {flags[found[1]]} out", message)
        message = re.sub(rf"(?<![\w'\"./=-])({names})(?:=({value}))?(?![\w./])", flag, message)
    if "has no column 'text'; " in message and "text_column" in flags:
        columns.append(f"; choose one with {flags['text_column']}")
    return message + "".join(columns)


def print_result(result: Any, as_json: bool, text: Callable[[Any], str] | None = None, **more: Any) -> None:
    """Print what a verb returned on stdout, as JSON (with `more` values) or as text."""
    if as_json:
        click.echo(json_text(result.to_dict() | more))
    elif text:
        click.echo(text(result))
