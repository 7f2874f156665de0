"""Hand-written text files → the Parquet files of the bundled data, and the report in their README.

    python tools/bundle/build.py

Takes no options and gives the same tables every time. Nothing is written when a source file is
malformed or a check finds a fault.
"""

from __future__ import annotations

import random
import sys
import unicodedata
from pathlib import Path

import checks
import likeness
import pyarrow as pa
import pyarrow.parquet as pq

import report

HERE = Path(__file__).resolve().parent
TEXTS = HERE / "texts"
BUNDLED = HERE.parents[1] / "src" / "lastword" / "bundled"
README = BUNDLED / "README.md"

FILES = {"topics": 28, "products": 18, "pairs": 72, "subjects": 40}  # folder → number of files
LINES = 40  # of a file of topics or products
BLOCKS = 10  # of a file of pairs
SUBJECTS, SIDES = 20, 5  # subjects of a file of subjects, texts of a subject
SEED = 20250729  # of the order of the pairs
BEGIN, END = "<!-- begin of the report, written by tools/bundle/build.py -->", "<!-- end of the report -->"


class SourceError(ValueError):
    """A source file that is not as it should be; the message names file and line."""


def read_lines(path: Path) -> list[str]:
    """Read a source file, refusing stray blanks, control characters and decomposed letters."""
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n") or text.endswith("\n\n"):
        raise SourceError(f"{path}: must end with exactly one line break")
    lines = text[:-1].split("\n")
    for number, line in enumerate(lines, 1):
        if line != " ".join(line.split()) or not all(map(str.isprintable, line)):
            raise SourceError(f"{path}:{number}: blanks at an end, doubled blanks or a control character")
        if line != unicodedata.normalize("NFC", line):
            raise SourceError(f"{path}:{number}: not in Unicode form NFC")
    return lines


def source_files(name: str) -> list[Path]:
    """The files of one set in order, as many as there must be and nothing else beside them."""
    files = sorted((TEXTS / name).iterdir())
    strange = [path.name for path in files if path.suffix != ".txt"]
    if strange or len(files) != FILES[name]:
        raise SourceError(
            f"{TEXTS / name}: {len(files)} files instead of {FILES[name]} .txt files; strange: {strange}"
        )
    return files


def label_of(path: Path) -> str:
    """The label or subject that a file name stands for."""
    return path.stem.replace("_", " ")


def read_labelled(name: str) -> pa.Table:
    """One set of labelled texts; the odd lines of every file are `dev`, the even ones `test`."""
    columns: dict[str, list[str]] = {"text": [], "label": [], "split": []}
    for path in source_files(name):
        lines = read_lines(path)
        if len(lines) != LINES or not all(lines):
            raise SourceError(f"{path}: {LINES} lines wanted, none of them empty; {len(lines)} found")
        columns["text"] += lines
        columns["label"] += [label_of(path)] * LINES
        columns["split"] += ["dev", "test"] * (LINES // 2)
    return pa.table(columns)


def read_blocks(path: Path) -> list[dict[str, str]]:
    """The blocks of one file of pairs: key → text, keys in the fixed order."""
    keys = ("sentence", *checks.STYLES)
    lines = [*read_lines(path), ""]
    if len(lines) != BLOCKS * (len(keys) + 1):
        raise SourceError(f"{path}: {BLOCKS} blocks of {len(keys)} lines wanted, with one empty line between")
    blocks = []
    for start in range(0, len(lines), len(keys) + 1):
        block = {}
        for number, key in enumerate(keys, start):
            found, colon, text = lines[number].partition(": ")
            if found != key or not colon or not text:
                raise SourceError(f"{path}:{number + 1}: wanted '{key}: …', found {lines[number]!r}")
            block[key] = text
        if lines[start + len(keys)]:
            raise SourceError(f"{path}:{start + len(keys) + 1}: wanted an empty line between blocks")
        blocks.append(block)
    return blocks


def read_pairs() -> pa.Table:
    """All pairs, shuffled once, so that the first rows already show every subject and style."""
    rows = [
        {"anchor": block["sentence"], "positive": block[style], "source": style, "subject": label_of(path)}
        for path in source_files("pairs")
        for block in read_blocks(path)
        for style in checks.STYLES
    ]
    random.Random(SEED).shuffle(rows)
    return pa.Table.from_pylist(rows)


def read_subjects() -> pa.Table:
    """Pairs of texts on one subject: each text with the next one of its subject, the last with the first."""
    rows = [
        {"anchor": text, "positive": following, "subject": subject, "domain": label_of(path)}
        for path in source_files("subjects")
        for subject, texts in read_sides(path).items()
        for text, following in zip(texts, [*texts[1:], texts[0]], strict=True)
    ]
    random.Random(SEED).shuffle(rows)
    return pa.Table.from_pylist(rows)


def read_sides(path: Path) -> dict[str, list[str]]:
    """The blocks of one file of subjects: subject → texts."""
    blocks, lines = {}, [*read_lines(path), ""]
    for start in range(0, len(lines), SIDES + 2):
        head, *texts, empty = lines[start : start + SIDES + 2]
        key, _, subject = head.partition(": ")
        if key != "subject" or not subject or len(texts) != SIDES or not all(texts) or empty:
            raise SourceError(f"{path}:{start + 1}: wanted 'subject: …', {SIDES} texts and an empty line")
        blocks[subject] = texts
    if len(blocks) != SUBJECTS:
        raise SourceError(f"{path}: {SUBJECTS} subjects wanted, {len(blocks)} found")
    return blocks


def read_sources() -> dict[str, pa.Table]:
    """Set → table, as it is shipped.

    Raises:
        SourceError: the first line or file that is not as it should be.
    """
    strange = sorted({path.name for path in TEXTS.iterdir()} - FILES.keys())
    if strange:
        raise SourceError(f"{TEXTS}: holds more than the folders {', '.join(FILES)}: {', '.join(strange)}")
    return {
        "topics": read_labelled("topics"), "products": read_labelled("products"), "pairs": read_pairs(),
        "subjects": read_subjects(),
    }  # fmt: skip


def find(tables: dict[str, pa.Table]) -> checks.Findings:
    """Run the checks on the tables."""
    columns = {name: table.to_pydict() for name, table in tables.items()}
    return checks.check(
        {
            "topics": likeness.items_of_labelled(columns["topics"]),
            "products": likeness.items_of_labelled(columns["products"]),
            "pairs": likeness.items_of_pairs(columns["pairs"]),
            "subjects": likeness.items_of_subjects(columns["subjects"]),
        }
    )


def put_report(readme: str, body: str) -> str:
    """Replace what stands between the two markers."""
    before, _, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SourceError(f"{README}: the markers of the report are missing: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def main() -> None:
    """Read, check, write."""
    tables = read_sources()
    findings = find(tables)
    body = report.render(findings)
    print(body)
    if findings.faults:
        sys.exit(f"{len(findings.faults)} faults, nothing written: mend the lines named above")
    readme = put_report(README.read_text(encoding="utf-8"), body)
    for name, table in tables.items():
        partial = BUNDLED / f"{name}.parquet.partial"
        pq.write_table(table, partial, compression="zstd")
        partial.replace(BUNDLED / f"{name}.parquet")
    README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
