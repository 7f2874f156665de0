"""The texts that are timed: real titles, real abstracts, and both together."""

from __future__ import annotations

import lzma
import os
import random
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
KINDS = {
    "short": "Stack Overflow titles",
    "mixed": "titles and abstracts, half of each",
    "long": "arXiv abstracts",
}


def data_folder() -> Path:
    folder = Path(os.environ.get("LASTWORD_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"no folder {folder}: set LASTWORD_DATA to the folder with clustering/ and text/")
    return folder


def read(kind: str, count: int) -> list[str]:
    """Distinct texts in an order of their own, the same in every run; a longer list begins with a shorter one."""
    titles, abstracts = _titles(), _abstracts()
    if kind == "short":
        texts = titles
    elif kind == "long":
        texts = abstracts
    else:
        texts = [text for pair in zip(titles, abstracts, strict=False) for text in pair]
    texts = list(dict.fromkeys(texts))
    if count > len(texts):
        raise SystemExit(f"{count} {kind} texts asked for, {len(texts)} there")
    return texts[:count]


def with_tokens(kind: str, tokens: int, average: dict[str, int] | None = None) -> list[str]:
    """About as many texts as hold this many tokens of the bundled tokenizer, template included."""
    average = average or {"short": 28, "mixed": 140, "long": 250}
    return read(kind, max(8, tokens // average[kind]))


def _titles() -> list[str]:
    texts = pq.read_table(data_folder() / "clustering" / "stackoverflow_titles.parquet")["text"].to_pylist()
    return _shuffled(texts)


def _abstracts() -> list[str]:
    with lzma.open(data_folder() / "text" / "arxiv_docs.txt.xz", "rt", encoding="utf-8") as file:
        return _shuffled([text for text in file.read(30_000_000).split("\n\n")[:-1] if text.strip()])


def _shuffled(texts: list[str]) -> list[str]:
    random.Random(0).shuffle(texts)
    return texts
