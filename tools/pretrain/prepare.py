"""Text files → tokenizer.json and two packed token files.

    python tools/pretrain/prepare.py --text wiki_docs.txt.xz arxiv_docs.txt.xz --out runs/mini

`--tokenizer` takes an earlier tokenizer instead of training one, and `--seen` a list of the documents an
earlier model has read (see seen.py). They are left out, which is how a run goes on from that model with
text new to it; with `--train-on seen` it trains on them alone. Neither holds a document out that was read.

Documents are separated by a blank line. The last 2 % of every file are held out: neither the
tokenizer nor the model sees them. Each document becomes `BOS tokens EOS`, and documents are packed
into rows so that a row begins where a document begins; a document longer than a row is cut, and the
rest of it becomes a piece of its own.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS, EOS, PAD = "<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"
HELD_OUT = 0.02
# Llama 3's splitting: contractions, words with their leading mark, numbers of up to three digits.
SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_documents(path: Path) -> list[str]:
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [doc for doc in file.read().split("\n\n") if doc.strip()]


def split_held_out(
    documents: list[str], seen: set[int] = frozenset(), train_on: str = "unseen"
) -> tuple[list[str], list[str]]:
    """The documents to train on, and the last 2 % without those whose index is in `seen`."""
    cut = len(documents) - int(len(documents) * HELD_OUT)
    train = [doc for i, doc in enumerate(documents[:cut]) if (i in seen) == (train_on == "seen")]
    return train, [doc for i, doc in enumerate(documents[cut:], cut) if i not in seen]


def read_seen(path: Path | None) -> dict[str, set[int]]:
    """{file name: indexes of its documents} as seen.py writes it; nothing without a path."""
    return {name: set(indexes) for name, indexes in json.loads(path.read_text()).items()} if path else {}


def train_tokenizer(documents: list[str], vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    bos_id = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, bos_id)]
    )
    return tokenizer


def pieces(tokenizer: Tokenizer, documents: list[str], row: int) -> Iterator[list[int]]:
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    for start in range(0, len(documents), 4096):
        for encoding in tokenizer.encode_batch(documents[start : start + 4096], add_special_tokens=False):
            ids = [bos, *encoding.ids, eos]
            yield from (ids[i : i + row] for i in range(0, len(ids), row))


def pack(items: list[list[int]], row: int, pad: int) -> np.ndarray:
    """Best-fit packing of the pieces into rows of `row` ids; what stays free is padding."""
    open_rows: dict[int, list[list[int]]] = {room: [] for room in range(row + 1)}
    rows = []
    for item in items:
        room = next((r for r in range(len(item), row) if open_rows[r]), row)
        target = open_rows[room].pop() if room < row else []
        if not target:
            rows.append(target)
        target.extend(item)
        open_rows[row - len(target)].append(target)
    packed = np.full((len(rows), row), pad, dtype=np.uint16)
    for i, ids in enumerate(rows):
        packed[i, : len(ids)] = ids
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json of an earlier run")
    parser.add_argument("--seen", type=Path, help="documents read before, as seen.py writes them")
    parser.add_argument("--train-on", choices=["unseen", "seen"], default="unseen")
    parser.add_argument(
        "--row", type=int, default=257, help="ids per row: inputs and targets overlap, so sequence + 1"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    seen = read_seen(args.seen)
    splits = [
        split_held_out(read_documents(path), seen.get(path.name, set()), args.train_on) for path in args.text
    ]
    train = [doc for kept, _ in splits for doc in kept]
    held_out = [doc for _, last in splits for doc in last]
    random.Random(args.seed).shuffle(train)

    if args.tokenizer:
        tokenizer = Tokenizer.from_file(str(args.tokenizer))
    else:
        tokenizer = train_tokenizer(train[:80_000], args.vocabulary)
    tokenizer.save(str(args.out / "tokenizer.json"))
    pad = tokenizer.token_to_id(PAD)
    for name, documents in {"train": train, "held_out": held_out}.items():
        packed = pack(list(pieces(tokenizer, documents, args.row)), args.row, pad)
        np.save(args.out / f"{name}.npy", packed)
        print(
            f"{name}: {len(documents):,} documents, {(packed != pad).sum():,} tokens, "
            f"{len(packed):,} rows, {(packed == pad).mean():.1%} padding",
            flush=True,
        )


if __name__ == "__main__":
    main()
