"""Bits per character of language models on the held-out documents of a text file.

    python tools/pretrain/bits.py --text wiki_docs.txt.xz --models runs/mini/hf other/folder

Each document is scored by itself, after a begin-of-text token, over its first `--tokens` tokens at
most; models with different tokenizers are compared on the same characters: the longest beginning of
each document that every model sees whole.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from prepare import read_documents, read_seen, split_held_out
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM


def tokenizer_of(folder: Path) -> Tokenizer:
    near = folder if (folder / "tokenizer.json").exists() else folder.parent
    return Tokenizer.from_file(str(near / "tokenizer.json"))


def common_beginnings(documents: list[str], tokenizers: list[Tokenizer], tokens: int) -> list[str]:
    """Cut each document where the first of the tokenizers would cut it."""
    ends = [len(document) for document in documents]
    for tokenizer in tokenizers:
        for i, encoding in enumerate(tokenizer.encode_batch(documents, add_special_tokens=False)):
            if len(encoding.ids) > tokens:
                ends[i] = min(ends[i], encoding.offsets[tokens - 1][1])
    return [document[:end] for document, end in zip(documents, ends, strict=True)]


@torch.inference_mode()
def total_nats(folder: Path, texts: list[str], batch: int = 32) -> tuple[float, int]:
    """Negative log-likelihood of all texts, and their number of tokens."""
    tokenizer = tokenizer_of(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    bos, pad = model.config.bos_token_id, model.config.pad_token_id
    rows = sorted(([bos, *e.ids] for e in tokenizer.encode_batch(texts, add_special_tokens=False)), key=len)
    nats, count = 0.0, 0
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        ids = torch.tensor([row + [pad] * (len(part[-1]) - len(row)) for row in part])
        logits = model(input_ids=ids).logits[:, :-1].float()
        targets = ids[:, 1:].masked_fill(
            torch.arange(1, ids.shape[1]) >= torch.tensor([len(r) for r in part])[:, None], -100
        )
        nats += F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
        ).item()
        count += int((targets != -100).sum())
    return nats, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--tokens", type=int, default=255)
    parser.add_argument(
        "--documents", type=int, default=None, help="score only the first of the held-out documents"
    )
    parser.add_argument("--seen", type=Path, help="documents to leave out, as seen.py writes them")
    args = parser.parse_args()
    torch.set_num_threads(2)
    seen = read_seen(args.seen).get(args.text.name, set())
    documents = split_held_out(read_documents(args.text), seen)[1][: args.documents]
    texts = common_beginnings(documents, [tokenizer_of(folder) for folder in args.models], args.tokens)
    characters = sum(map(len, texts))
    for folder in args.models:
        nats, count = total_nats(folder, texts)
        result = {
            "model": str(folder), "documents": len(texts), "characters": characters, "tokens": count,
            "nats_per_token": round(nats / count, 4), "bits_per_character": round(nats / math.log(2) / characters, 4),
        }  # fmt: skip
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
