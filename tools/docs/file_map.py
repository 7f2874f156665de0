"""The map of the package for ARCHITECTURE.md: every file with the first line of its docstring."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

NAME_WIDTH = 20


def file_map(root: Path) -> str:
    """One line for each file, packages in the order of the layers: imports go downwards only."""
    package = root / "src" / "lastword"
    lines = []
    for path in sorted(package.iterdir(), key=lambda path: _place(root, path)):
        if path.is_dir() and not path.name.startswith("_"):
            lines += _folder_lines(path)
        elif path.suffix == ".py" and path.name != "__init__.py":
            lines.append(_line(path.name, docstring(path)))
    return "```text\n" + "\n".join(lines) + "\n```"


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def layers(root: Path) -> list[str]:
    """Names under `lastword.` from the top layer to the bottom, as import-linter is told."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [name.strip().removeprefix("lastword.") for layer in contract for name in layer.split("|")]


def _place(root: Path, path: Path) -> tuple[int, str]:
    order = layers(root)
    return (order.index(path.stem) if path.stem in order else len(order)), path.name


def _folder_lines(folder: Path) -> list[str]:
    if not (folder / "__init__.py").exists():
        return [_line(f"{folder.name}/", ", ".join(sorted(path.name for path in folder.iterdir())))]
    about = docstring(folder / "__init__.py")
    files = sorted(folder.glob("*.py"), key=lambda path: (_mention(path.stem, about), path.stem))
    named = {path.name: docstring(path) for path in files if path.name != "__init__.py"}
    commands = [name for name, text in named.items() if re.fullmatch(r"`lastword \w+`\.", text)]
    lines = [_line(f"  {name}", text) for name, text in named.items() if name not in commands]
    if commands:
        lines.append(_line("  one per command", ", ".join(commands)))
    lines += [
        _line(f"  {inner.parent.name}/", docstring(inner)) for inner in sorted(folder.glob("*/__init__.py"))
    ]
    return [_line(f"{folder.name}/", about), *lines]


def _mention(stem: str, about: str) -> int:
    """Where the package's docstring names a file: the order it is to be read in."""
    found = re.search(rf"\b{stem}\b(?=\.py|[,.]|$)", about, re.MULTILINE)
    return found.start() if found else len(about)


def _line(name: str, about: str) -> str:
    first = about.partition("\n")[0].partition("; files in ")[0].rstrip(".:;")
    return f"{name:{NAME_WIDTH}} {first}".rstrip()
