"""Reference pages from the code: commands, settings, public names, errors."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import types
from typing import Any

import click

import lastword
from lastword import config, errors
from lastword.cli import main
from lastword.cli.options import field_help

NOTE = "<!-- Written by tools/docs/generate.py: do not edit by hand; run `make docs`. -->"
LINE_WIDTH = 100
EOS_NOTE = (
    "`eos` reads the end-of-text token that the embedder appends for it; "
    "`mean:text` and the like leave out the tokens of the template."
)


def cli_page() -> str:
    """Every command with its help, from click."""
    parts = [
        NOTE,
        "# Commands",
        "Every command takes `-h` or `--help`, and `-q` or `--quiet`, which shows only warnings and errors. Results "
        "go to stdout, messages and progress to stderr. The exit code is 0, 1 (the work failed), 2 (the request was "
        "wrong) or 130 (interrupted by the user); see [errors](errors.md).",
    ]
    parent = main.make_context("lastword", [], resilient_parsing=True)
    for name in main.list_commands(parent):
        command = main.get_command(parent, name)
        assert command is not None
        parts += _command(command, click.Context(command, info_name=name, parent=parent), "##")
    return _page(parts)


def _command(command: click.Command, context: click.Context, level: str) -> list[str]:
    """Heading, help, examples and options of a command; the commands of a group follow, one level down."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    parts = [f"{level} {context.command_path}", *(" ".join(part.split()) for part in paragraphs)]
    parts.append("```bash\n" + "\n".join(getattr(command, "examples", ())) + "\n```")
    groups: dict[str, list[list[str]]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and parameter.name != "quiet":
            group = getattr(parameter, "group", "Arguments")
            groups.setdefault(group, []).append([f"`{record[0]}`", record[1].replace("  [", " [")])
    for title, rows in groups.items():
        parts.append(_table([title, ""], rows))
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            parts += _command(inner, click.Context(inner, info_name=name, parent=context), level + "#")
    return parts


def settings_page() -> str:
    """Every field of `TrainConfig`, with its default and what the shipped recipes set."""
    names = [path.stem for path in sorted(config._RECIPES.glob("*.toml"))]
    recipes = {name: config.read_recipe(name) for name in names}
    help_of = field_help(config.TrainConfig)
    rows = []
    for field in dataclasses.fields(config.TrainConfig):
        set_by = [_toml(recipe[field.name]) if field.name in recipe else "" for recipe in recipes.values()]
        rows.append(
            [f"`{field.name}`", f"`{field.type}`", _toml(field.default), *set_by, help_of[field.name]]
        )
    return _page([
        NOTE,
        "# Settings of a training run",
        "The fields of `lastword.TrainConfig`. Each is a flag of `lastword train` (`batch_pairs` is "
        "`--batch-pairs`), a keyword of `lastword.train` and a key of a recipe. A recipe is one flat TOML table; "
        "an unknown key is an error, and a flag overrides the recipe.",
        f"The columns {' and '.join(f'*{name}*' for name in names)} show what the shipped recipes set; "
        "where they are empty the default holds.",
        _table(["setting", "type", "default", *(f"*{name}*" for name in names), "what"], rows),
    ])  # fmt: skip


def _toml(value: Any) -> str:
    if value is None:
        return "–"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)}`"


def python_page() -> str:
    """Every public name with signature and what its docstring says."""
    intro = (
        "What `import lastword` offers. Names are imported when first used, so the import itself is quick."
    )
    parts = [NOTE, "# Python", intro]
    for name in lastword.__all__:
        parts += [f"## lastword.{name}", *_described(name, getattr(lastword, name))]
    return _page(parts)


def _described(name: str, thing: Any) -> list[str]:
    if isinstance(thing, str):  # __version__
        return ["The installed version."]
    if isinstance(thing, dict):
        rows = [[f"`{key}`", _entry(value)] for key, value in thing.items()]
        return [*([EOS_NOTE] if name == "POOLINGS" else []), _table(["name", "what"], rows)]
    if name == "TrainConfig":
        return [_summary(thing), "Its fields are listed in [settings](settings.md)."]
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return [_summary(thing), "All errors are drawn in [errors](errors.md)."]
    parts = _explained(name, thing)
    for member, value in _members(thing) if inspect.isclass(thing) else []:
        parts += [f"### {name}.{member}", *_explained(member, value)]
    return parts


def _explained(name: str, thing: Any) -> list[str]:
    """Signature, first paragraph, arguments or attributes, result."""
    doc = inspect.getdoc(thing) or ""
    parts = [] if isinstance(thing, property) else [f"```python\n{_signature(name, thing)}\n```"]
    parts.append(_summary(thing))
    for section, head in (("Attributes", "attribute"), ("Args", "argument")):
        entries = re.findall(r"^    ([\w*, ]+): (.+(?:\n     .+)*)", _section(doc, section), re.MULTILINE)
        rows = [[f"`{entry}`", " ".join(about.split())] for entry, about in entries]
        parts += [_table([head, "what"], rows)] if rows else []
    result = " ".join(_section(doc, "Returns").split())
    return [*parts, f"Returns: {result}"] if result else parts


def _section(doc: str, name: str) -> str:
    """The indented lines under a heading of a docstring."""
    found = re.search(rf"^{name}:\n((?:(?:    .*)?\n)*)", doc + "\n", re.MULTILINE)
    return found[1] if found else ""


def _entry(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else _summary(getattr(value, "pool", value))


def _members(kind: type) -> list[tuple[str, Any]]:
    """Public methods and properties of a class, in the order they are written."""
    return [
        (name, value if isinstance(value, property) else getattr(kind, name))
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and isinstance(value, property | classmethod | staticmethod | types.FunctionType)
    ]


def _signature(name: str, thing: Any) -> str:
    """A signature as it is written in the source, on one line or one parameter to a line."""
    signature = inspect.signature(thing)
    parts, after_star = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not after_star:
            parts.append("*")
            after_star = True
        parts.append(_parameter(parameter))
    result = "" if inspect.isclass(thing) else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= LINE_WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{stars}{parameter.name}: {parameter.annotation}{default}"


def error_tree() -> str:
    """The tree at the top of errors.py."""
    lines = (errors.__doc__ or "").split("\n\n")[1]
    return f"```text\n{inspect.cleandoc(lines)}\n```"


def _summary(thing: Any) -> str:
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar inside a cell would end it, so it is escaped."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"
