"""The error tree is the one drawn at the top of errors.py, and its messages help."""

from __future__ import annotations

import doctest

import pytest

from lastword import errors
from lastword.errors import LastwordError, first_line, unknown_name

TREE = {
    "LastwordError": (Exception, 1),
    "RequestError": (ValueError, 2),
    "MissingFileError": (FileNotFoundError, 2),
    "ExistingOutputError": (FileExistsError, 2),
    "NothingToResumeError": (FileExistsError, 0),
    "TableError": (ValueError, 2),
    "NoRowsError": (ValueError, 2),
    "TemplateError": (ValueError, 2),
    "ModelError": (ValueError, 2),
    "MissingExtraError": (ValueError, 2),
    "WorkError": (RuntimeError, 1),
    "DivergenceError": (RuntimeError, 1),
    "ParityError": (RuntimeError, 1),
}


def _classes() -> dict[str, type[LastwordError]]:
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    return {kind.__name__: kind for kind in classes if issubclass(kind, LastwordError)}


def test_every_class_is_in_the_tree() -> None:
    assert set(_classes()) == set(TREE)


@pytest.mark.parametrize("name", TREE)
def test_class_is_a_builtin_too_and_has_its_exit_code(name: str) -> None:
    builtin, exit_code = TREE[name]
    error = _classes()[name]("what was passed")
    assert isinstance(error, builtin)
    assert error.exit_code == exit_code
    assert str(error) == "what was passed"


def test_drawing_shows_every_class_under_its_parent() -> None:
    drawing = errors.__doc__ or ""
    parents: list[tuple[int, str]] = []
    drawn = {}
    for line in drawing.splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if name in TREE:
            depth = line.index(name)
            parents = [(at, parent) for at, parent in parents if at < depth]
            drawn[name] = parents[-1][1] if parents else None
            parents.append((depth, name))
    bases = {name: kind.__mro__[1].__name__ for name, kind in _classes().items()}
    assert drawn == {**bases, "LastwordError": None}


def test_unknown_name_gives_the_nearest_and_all() -> None:
    assert unknown_name("pooling", "lastoken", ["mean", "lasttoken"]) == (
        "unknown pooling 'lastoken': did you mean 'lasttoken'? Known: mean, lasttoken"
    )


def test_unknown_name_with_nothing_near_gives_all() -> None:
    assert unknown_name("pooling", "xyz", iter(["mean", "max"])) == (
        "unknown pooling 'xyz': Known: mean, max"
    )


def test_docstring_example() -> None:
    results = doctest.testmod(errors)
    assert results.attempted == 2
    assert results.failed == 0


def test_first_line_of_a_message() -> None:
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(OSError("\n  below an empty line\n")) == "below an empty line"
    assert first_line(KeyError()) == "KeyError", "an error without a message must not raise another"


@pytest.mark.parametrize("kind", ["prompt", "column", "table"])
def test_where_nothing_is_known_the_message_says_so(kind: str) -> None:
    assert unknown_name(kind, "first", []) == f"unknown {kind} 'first': there are no {kind}s"
