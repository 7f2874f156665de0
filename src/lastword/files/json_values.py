"""JSON: objects on lines of their own, one after another, or in an array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import IO

from lastword.files.delimited import MalformedError

Row = dict[str, object]
_READ_CHARACTERS = 1 << 20
_BETWEEN = re.compile(r"\s*,?\s*")


def json_lines(file: IO[str]) -> Iterator[Row]:
    """One object a line; a file that is an array all the same is read as one."""
    decode = json.JSONDecoder().raw_decode
    for number, line in enumerate(file, 1):
        if number == 1 and line.lstrip().startswith("["):
            yield from json_objects(file, line)
        elif text := line.strip():
            try:
                value, end = decode(text)
                if end < len(text):
                    raise MalformedError("Extra data")
                yield _object(value)
            except (ValueError, RecursionError, MalformedError) as error:
                raise MalformedError(f"line {number}: {getattr(error, 'msg', error)}") from error


def json_objects(file: IO[str], text: str = "") -> Iterator[Row]:
    """Objects in an array, or one after another, on one or on several lines each.

    Args:
        file: an open file.
        text: what has been read of it.
    """
    decoder, line, first, at_end, in_array = json.JSONDecoder(), 1, True, False, False
    while not at_end:
        part = file.read(_READ_CHARACTERS)
        text, at_end, position = text + part, not part, 0
        while (start := _BETWEEN.match(text, position).end()) < len(text):  # type: ignore[union-attr]
            if text[start] == ("]" if in_array else "[") and (in_array or first):
                in_array, position = not in_array, start + 1
                continue
            try:
                value, position = decoder.raw_decode(text, start)
                row = _object(value)
            except json.JSONDecodeError as error:
                if at_end:
                    raise MalformedError(f"{_line(line, text, error.pos)}: {error.msg}") from error
                break  # it may continue in the next part
            except (ValueError, RecursionError, MalformedError) as error:
                raise MalformedError(f"{_line(line, text, start)}: {error}") from error
            first = False
            yield row
        line += text.count("\n", 0, start)
        text = text[start:]
    if in_array:
        raise MalformedError("the array has no closing ]: the file is truncated")


def _line(first: int, text: str, position: int) -> str:
    return f"line {first + text.count(chr(10), 0, position)}"


def _object(value: object) -> Row:
    if not isinstance(value, dict):
        raise MalformedError('not an object, such as {"text": "a red apple"}')
    if isinstance(next(iter(value.values()), None), dict) and all(
        isinstance(cell, dict) for cell in value.values()
    ):
        raise MalformedError(
            "an object of columns: write one object for each row, in pandas by orient='records'"
        )
    return value
