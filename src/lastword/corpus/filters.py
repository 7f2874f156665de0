"""Conditions on the columns of a store, such as `price<20`: as a mask of Arrow, and as SQL for LanceDB."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastword.errors import RequestError, unknown_name

_FORM = re.compile(r"\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_OPERATORS = {
    "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """A comparison of a column with a value; an empty cell fulfils none.

    Attributes:
        column: its name.
        operator: one of =, !=, <, <=, >, >=.
        value: of the column's type.
        as_number: cells are compared as floating-point numbers, which those of text or integers become; text that is
            no number does not fulfil it.
    """

    column: str
    operator: str
    value: pa.Scalar
    as_number: bool = False

    @classmethod
    def parse(cls, text: str, schema: pa.Schema) -> Condition:
        """Read a condition such as `price<20`.

        Args:
            text: column, operator, value.
            schema: the columns and their types.

        Raises:
            RequestError: another form, no such column, or a value that is not of its type.
        """
        parts = _FORM.fullmatch(text)
        if not parts or (parts[2] not in ("=", "!=") and not parts[3]):
            raise RequestError(
                f"where={text!r}: write COLUMN, one of {' '.join(_OPERATORS)}, VALUE: price<20"
            )
        column, operator, value = parts.groups()
        if column not in schema.names:
            raise RequestError(unknown_name("column", column, schema.names))
        kind = _value_type(schema.field(column).type)
        if _is_text(kind) and operator not in ("=", "!=") and re.match(_NUMBER, value):
            return cls(column, operator, pa.scalar(float(value)), as_number=True)
        if pa.types.is_boolean(kind) and operator not in ("=", "!="):
            raise RequestError(f"where={text!r}: {column} is true or false; compare it with = or !=")
        fraction = pa.types.is_integer(kind) and re.match(_NUMBER, value) and not value.lstrip("+-").isdigit()
        return cls(column, operator, _scalar(value, pa.float64() if fraction else kind, text), bool(fraction))

    def mask(self, table: pa.Table) -> np.ndarray:
        """Which rows fulfil it, (n,) bool."""
        cells = table[self.column].cast(_value_type(table.schema.field(self.column).type))
        if self.as_number and _is_text(cells.type):
            cells = pc.if_else(pc.match_substring_regex(cells, _NUMBER), cells, None)
        if self.as_number:
            cells = cells.cast(pa.float64(), safe=False)  # beyond 2**53 they are rounded
        fulfilled = pc.fill_null(_OPERATORS[self.operator](cells, self.value), False)
        mask: np.ndarray = fulfilled.combine_chunks().to_numpy(zero_copy_only=False)
        return mask

    @property
    def sql(self) -> str:
        """The same for LanceDB."""
        column = f"`{self.column}`"
        return (
            f"{f'TRY_CAST({column} AS DOUBLE)' if self.as_number else column} {self.operator} {self._literal}"
        )

    @property
    def _literal(self) -> str:
        kind, value = self.value.type, str(self.value)
        if pa.types.is_boolean(kind):
            return value.lower()
        if _is_number(kind):
            return value
        quoted = "'" + value.replace("'", "''") + "'"
        if _is_text(kind):
            return quoted
        return f"CAST({quoted} AS {'DATE' if pa.types.is_date(kind) else 'TIMESTAMP'})"


def fulfilled(conditions: Iterable[Condition], table: pa.Table) -> np.ndarray:
    """Which rows fulfil all conditions, (n,) bool."""
    mask = np.ones(table.num_rows, bool)
    for condition in conditions:
        mask &= condition.mask(table)
    return mask


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_number(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))


def _scalar(value: str, kind: pa.DataType, text: str) -> pa.Scalar:
    """The value in the column's type."""
    expected = "text"
    try:
        if _is_text(kind):
            return pa.scalar(value, kind)
        if pa.types.is_boolean(kind):
            expected = "true or false"
            return pa.scalar({"true": True, "false": False}[value.lower()])
        if _is_number(kind):
            expected = "a number"
            return pa.scalar(value.removeprefix("+")).cast(kind)
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            expected = "a date, such as 2026-01-31 or 2026-01-31T12:00:00"
            zone = pa.types.is_timestamp(kind) and kind.tz and not re.search(r"(Z|[+-]\d\d:?\d\d)$", value)
            return pa.scalar(
                f"{value}T00:00Z" if zone and "T" not in value else value + "Z" * bool(zone)
            ).cast(kind)
    except (KeyError, pa.ArrowException) as error:
        raise RequestError(
            f"where={text!r}: {value!r} is no value of that column, which needs {expected}"
        ) from error
    raise RequestError(
        f"where={text!r}: the column is {kind}; text, numbers, truth values and dates can be compared"
    )
