"""Which documents the first stage of the pretraining read, so that the second can leave them out.

    python tools/pretrain/seen.py --text wiki_docs.txt.xz arxiv_docs.txt.xz --out runs/mini/seen.json

The first stage shuffled the documents of both files with one seed, joined them to a stream of tokens
and read windows of it in the order of another. Both orders are drawn again here. A document counts as
read when a single token of it was.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from prepare import read_documents
from tokenizers import Tokenizer

TOKENIZER = Path("src/lastword/bundled/mini/tokenizer.json")
WINDOW, HELD_OUT_WINDOWS, WINDOWS_READ = 256, 100, 2621 * 32


def shuffled(texts: list[Path]) -> list[tuple[str, int, str]]:
    """(file, index in it, text) of every document, in the order of the stream."""
    documents = [(path.name, i, doc) for path in texts for i, doc in enumerate(read_documents(path))]
    random.seed(1)
    random.shuffle(documents)
    return documents


def stream_ends(tokenizer: Tokenizer, documents: list[tuple[str, int, str]]) -> np.ndarray:
    """Where each document ends in the stream; each begins with one begin-of-text token."""
    lengths = [
        1 + len(encoding.ids)
        for start in range(0, len(documents), 4096)
        for encoding in tokenizer.encode_batch(
            [doc for _, _, doc in documents[start : start + 4096]], add_special_tokens=False
        )
    ]
    return np.cumsum(lengths)


def read_tokens(total: int) -> np.ndarray:
    """True for each token of the stream that a training window of the first stage held."""
    windows = (total - HELD_OUT_WINDOWS * WINDOW) // WINDOW - 1
    order = np.random.RandomState(0).permutation(windows)[:WINDOWS_READ]
    read = np.zeros(total, dtype=bool)
    read[(order[:, None] * WINDOW + np.arange(WINDOW + 1)).ravel()] = True
    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    documents = shuffled(args.text)
    ends = stream_ends(Tokenizer.from_file(str(TOKENIZER)), documents)
    read = np.add.reduceat(read_tokens(int(ends[-1])), np.concatenate([[0], ends[:-1]])) > 0
    seen: dict[str, list[int]] = {path.name: [] for path in args.text}
    for (name, index, _), was_read in zip(documents, read, strict=True):
        if was_read:
            seen[name].append(index)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({name: sorted(indexes) for name, indexes in seen.items()}))
    print(
        f"{int(ends[-1]):,} tokens in the stream; documents read: "
        + ", ".join(f"{name} {len(indexes):,}" for name, indexes in seen.items())
    )


if __name__ == "__main__":
    main()
