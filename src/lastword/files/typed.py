"""Columns of a file with the types that they have in it, whole or a block at a time.

Parquet and Arrow files say the types of their columns. In other files they follow from the cells: those of one type
are taken as they are, those of several types as the text that they have in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import pyarrow as pa

from lastword.errors import NoRowsError
from lastword.files.formats import (
    STORED,
    Columns,
    hub_files,
    read_blocks,
    readable,
    stored_table,
)
from lastword.files.sources import Source, table_file
from lastword.files.tables import usable_text

Cells = list[object]
_VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def read_table(source: Source, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns.

    Args:
        source: a file or data set, as for `lastword.files.formats.read_blocks`.
        columns: their names; None reads all.

    Raises:
        MissingFileError, TableError: see the message.
    """
    tables = [table for table, _ in _tables(source, Columns(columns or (), all=columns is None))]
    return join_tables(tables)


def read_tables(source: Source, text_column: str) -> Iterator[tuple[pa.Table, Cells]]:
    """Yield all columns, at most `BLOCK_ROWS` rows at a time, in constant memory.

    Args:
        source: as for `read_table`.
        text_column: a column that the file must have.

    Yields:
        A table, in which a cell of that column that is no usable text may be null; and the cells of that column:
        `UnicodeDecodeError` where bytes that should be text are not UTF-8.

    Raises:
        MissingFileError, TableError: see the message.
    """
    yield from _tables(source, Columns([text_column], all=True), text_column)


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one below another; a column that one lacks is null there."""
    schema = common_schema(table.schema for table in tables)
    return pa.concat_tables([with_schema(table, schema) for table in tables])


def common_schema(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The columns of all schemas, each with a type that the cells of all can have: text, if there is no other."""
    common: dict[str, pa.Field] = {}
    metadata: dict[bytes, bytes] = {}
    for schema in schemas:
        metadata |= schema.metadata or {}
        for field in schema:
            before = common.get(field.name, field)
            common[field.name] = field if field.equals(before) else _common_field(before, field)
    return pa.schema(common.values(), metadata or None)


def with_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """A table with the columns and types of `common_schema`."""
    if table.schema.equals(schema, check_metadata=True):
        return table
    columns = []
    for field in schema:
        if field.name not in table.schema.names:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif table.schema.field(field.name).type == field.type:
            columns.append(table[field.name])
        elif field.type == pa.string():
            columns.append(_as_text(table[field.name].to_pylist()))
        else:
            columns.append(table[field.name].cast(field.type))
    return pa.table(columns, schema=schema)


def _tables(source: Source, columns: Columns, text_column: str = "") -> Iterator[tuple[pa.Table, Cells]]:
    file = table_file(source)
    if inside := hub_files(file):
        yield from chain.from_iterable(_tables(each, columns, text_column) for each in inside)
    elif file.format in STORED:
        file.require()
        with readable(file):
            schema, batches, rows = stored_table(file)
            chosen = columns.choose(file, (schema.names, lambda name: []))
            if not rows:
                raise NoRowsError(f"{file} has columns but no rows: it needs at least one row")
            for batch in batches([*chosen]):
                table = _storable(pa.Table.from_batches([batch]))
                yield table, _cells(table[text_column]) if text_column else []
    else:
        for block in read_blocks(file, columns):
            arrays = {name: _array(cells, name == text_column) for name, cells in block.items()}
            yield _storable(pa.table(arrays)), block.get(text_column, [])


def _storable(table: pa.Table) -> pa.Table:
    """A table of types that all formats have, for which some newer ones of Arrow are exchanged; else cells are text."""
    for position, field in enumerate(table.schema):
        column, kind = table[field.name], _common_type(field.type)
        if kind == field.type:
            continue
        if field.type in _VIEWS:
            cells = column.cast(kind)
        else:  # some casts of nested types are missing, and one gives invalid arrays
            cells = _as_text(column.to_pylist()) if kind is None else pa.array(column.to_pylist(), kind)
        table = table.set_column(position, field.name, cells)
    return table


def _common_type(kind: pa.DataType) -> pa.DataType | None:
    """The type itself, an older one for the same values, or None where there is none for all of them."""
    types = pa.types
    if kind in _VIEWS:
        return _VIEWS[kind]
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        value = _common_type(kind.value_type)
        return kind if types.is_dictionary(kind) and value == kind.value_type else value
    if types.is_interval(kind) or types.is_union(kind) or (types.is_struct(kind) and not kind.num_fields):
        return None
    inner = [kind.field(number) for number in range(kind.num_fields)] if types.is_nested(kind) else []
    common = [_common_type(field.type) for field in inner]
    if common == [field.type for field in inner]:
        return kind
    if None in common or types.is_map(kind):
        return None
    fields = [field.with_type(each) for field, each in zip(inner, common, strict=True)]
    return pa.struct(fields) if types.is_struct(kind) else pa.large_list(fields[0])


def _cells(column: pa.ChunkedArray) -> Cells:
    """The cells of a column; those that are no UTF-8, which other programs may have written, as errors."""
    try:
        cells: Cells = column.to_pylist()
    except UnicodeDecodeError:
        return [_decoded(cell) for cell in column.cast(pa.binary()).to_pylist()]
    return cells


def _decoded(cell: bytes | None) -> object:
    try:
        return cell if cell is None else cell.decode()
    except UnicodeDecodeError as error:
        return error


def _array(cells: Cells, text: bool) -> pa.Array:
    if text:
        return pa.array([usable_text(cell) for cell in cells], pa.string())
    try:
        return pa.array(cells)
    except UnicodeEncodeError:
        return _array([_without_halves(cell) for cell in cells], text)
    except (pa.ArrowException, OverflowError):
        return _as_text(cells)


def _without_halves(cell: object) -> object:
    """A cell with U+FFFD for halves of characters, which JSON may have and no other format."""
    if isinstance(cell, dict):
        return {name: _without_halves(value) for name, value in cell.items()}
    if isinstance(cell, list):
        return [_without_halves(value) for value in cell]
    return (
        cell.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(cell, str) else cell
    )


def _as_text(cells: Cells) -> pa.Array:
    texts = [
        cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)
        for cell in cells
    ]
    return pa.array(texts, pa.string())


def _common_field(first: pa.Field, second: pa.Field) -> pa.Field:
    try:
        schemas = [pa.schema([field.remove_metadata()]) for field in (first, second)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0)
    except pa.ArrowException:
        return pa.field(first.name, pa.string())
