"""What share of a small chat model's rewritings is of use? SmolLM2-135M rewrites sentences of Wikipedia.

    python tools/results/rewriting_real.py      # writes results/rewriting_real.json; call again to resume

The same sentences (LASTWORD_DATA or ../shared/data) with each of the paper's five instructions. Counted, with reasons:
answers that the rules reject when pairs are generated, and pairs in which the pair checker then finds an issue. Some
pairs of each instruction are shown, for reading: neither rules nor checker know whether a rewriting is true.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import lzma
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, data_folder

from lastword import Embedder, check_pairs, console
from lastword.pairs import make_pairs
from lastword.pairs.generating import INSTRUCTIONS, Rewriting
from lastword.pairs.generating.chat import LocalChat

RESULTS = ROOT / "results" / "rewriting_real.json"
MODEL, MAX_TOKENS = "smollm2", 160
CHUNK = 10  # sentences that an interruption loses
SHOWN = 4
WORDS = (8, 40)  # of a sentence


def write_sample(texts: int, target: Path) -> Path:
    """Sentences of a middle length, drawn once."""
    if not target.exists():
        with lzma.open(
            data_folder() / "text" / "wiki_sentences_200k.txt.xz", "rt", encoding="utf-8"
        ) as lines:
            sentences = [line.strip() for line in lines]
        usable = [text for text in sentences if WORDS[0] <= len(text.split()) <= WORDS[1]]
        pq.write_table(pa.table({"text": random.Random(0).sample(usable, texts)}), target)
    return target


def rewritten(engine: LocalChat, name: str, sample: Path, work: Path) -> dict[str, Any]:
    """Counts and examples of one instruction; generated once."""
    record = work / f"{name}.json"
    if not record.exists():
        method = Rewriting(engine, instructions={name: INSTRUCTIONS[name]})
        method = dataclasses.replace(method, chunk=CHUNK)
        made = make_pairs(method, sample, work / f"{name}.parquet", resume=True, overwrite=False)
        facts = {
            "sentences": made.rows,
            "pairs": made.pairs,
            "rejected": made.rejected,
            "seconds": made.seconds,
        }
        record.write_text(json.dumps(facts), encoding="utf-8")
    return dict(json.loads(record.read_text(encoding="utf-8")))


def checked(name: str, work: Path) -> dict[str, Any]:
    """Issues that the pair checker finds, and the first pairs."""
    file = work / f"{name}.parquet"
    embedder = Embedder.from_pretrained("mini", template="ccw", pooling="mean")
    check = check_pairs(file, embedder=embedder)
    issues = {issue.name: len(issue.rows) for issue in check.issues if issue.rows}
    rows = {row for issue in check.issues for row in issue.rows}
    pairs = pq.read_table(file).select(["anchor", "positive"]).slice(0, SHOWN).to_pylist()
    return {
        "issues": issues,
        "pairs_with_an_issue": len(rows),
        "removed": len(check.removed),
        "examples": pairs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=40, help="sentences, each with five instructions")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "rewriting_real")
    args = parser.parse_args()
    console.show_messages()
    work = args.work / str(args.texts)
    work.mkdir(parents=True, exist_ok=True)
    sample = write_sample(args.texts, work / "sample.parquet")
    engine = LocalChat(MODEL, MAX_TOKENS)
    content: dict[str, Any] = {
        "about": __doc__.splitlines()[0], "model": MODEL, "max_tokens": MAX_TOKENS,
        "temperature": engine.temperature, "instructions": {},
    }  # fmt: skip
    for name in INSTRUCTIONS:
        content["instructions"][name] = rewritten(engine, name, sample, work) | checked(name, work)
        RESULTS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
