"""A labelled file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.samples import topic_texts


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    """A table with text, label and split: 12 training and 10 test texts of each of three topics."""
    path = tmp_path / "tickets.jsonl"
    rows = []
    for split, per_label, seed in (("train", 12, 1), ("test", 10, 2)):
        texts, labels = topic_texts(per_label, seed)
        rows += [{"text": t, "label": lab, "split": split} for t, lab in zip(texts, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
