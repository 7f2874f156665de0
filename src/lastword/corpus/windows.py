"""Rows of long texts → a row for each window, with the row and the characters that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lastword.corpus.texts import Rows, require_new
from lastword.embedding.windows import LongTexts
from lastword.encoder import TextEncoder
from lastword.errors import RequestError

ROW, START, END, FILE = "text_row", "text_start", "text_end", "text_file"
"""Columns that are added: row of the text in its file, from 0; characters of the window; of several files, which."""


@dataclass(frozen=True)
class PerWindow:
    """How texts are cut into rows.

    Attributes:
        long_texts: as `LongTexts` has it.
        text_column: column of the texts, which has the text of the window afterwards.
        files: whether there are several files, so that each row names its own.
    """

    long_texts: LongTexts
    text_column: str
    files: bool

    @property
    def role(self) -> str:
        """How windows are embedded: as texts, or of late chunking each as a part of its text."""
        return "window" if self.long_texts.kind == "late" else "document"

    def split(self, encoder: TextEncoder, rows: Rows) -> tuple[Rows, Sequence[Any]]:
        """A row for each window.

        Args:
            encoder: a decoder, or a `LongTextEncoder` of one.
            rows: of the texts.

        Returns:
            The rows, and what the encoder gets for each: a string, or a `Window`.

        Raises:
            RequestError: another kind of model.
            TableError: a column that is added is there already.
        """
        columns = (ROW, START, END, *([FILE] if self.files else []))
        for column in columns:
            require_new(rows.table, column, "the input", "rename it")
        of_texts = _cutter(encoder, self.long_texts).cut(rows.texts)
        windows = [window for own in of_texts for window in own]
        origin = [row for row, own in enumerate(of_texts) for _ in own]
        table, places = rows.table.take(pa.array(origin, pa.int64())), [rows.places[row] for row in origin]
        texts = [window.part for window in windows]
        position = table.schema.get_field_index(self.text_column)
        table = table.set_column(position, self.text_column, pa.array(texts, pa.string()))
        values = (
            [row for _, row in places], [each.start for each in windows], [each.end for each in windows],
            [file for file, _ in places],
        )  # fmt: skip
        for column, cells in zip(columns, values, strict=False):
            table = table.append_column(column, pa.array(cells))
        split = Rows(rows.number, table, texts, places, rows.rejected)
        return split, windows if self.role == "window" else texts


def _cutter(encoder: Any, long_texts: LongTexts) -> Any:
    if hasattr(encoder, "cut") and hasattr(encoder, "encode_window"):
        return encoder
    decoder = getattr(encoder, "encoder", encoder)
    if not hasattr(decoder, "pipeline"):
        raise RequestError(
            f"per_window=True needs a decoder, whose tokens are counted, not {getattr(encoder, 'name', 'this model')}"
        )
    from lastword.encoders.long_texts import LongTextEncoder  # imports torch

    return LongTextEncoder(decoder, long_texts)
