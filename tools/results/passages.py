"""Pairs of public documents that the real model is trained on, besides the bundled rewritings.

Pieces of the beginnings of Wikipedia articles and of arXiv abstracts (LASTWORD_DATA or ../shared/data): two pieces that
do not overlap (`crop`, and `short` for a few words each), the first sentence and a later piece (`first`), and the rare
words of one half in their order, which read like a title, with a piece of the other half (`key`).

Source: random cropping as in Contriever, arXiv:2112.09118; a sentence and its context as in the inverse cloze task,
arXiv:1906.00300.
"""

from __future__ import annotations

import lzma
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lastword.bundled import path_of
from lastword.files.tables import read_texts

Pairs = list[tuple[str, ...]]
"""Anchor, positive and perhaps a hard negative."""
DOCUMENTS = {"wiki": "wiki_docs.txt.xz", "arxiv": "arxiv_docs.txt.xz"}
COUNT, CHARACTERS = 8000, 16_000_000
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9'+-]{2,}")
_COMMON = 0.02  # share of the documents that a rare word is in at most
_LEAST_WORDS = 24


def piece(words: Sequence[str], count: int, rng: random.Random) -> str:
    """So many consecutive words."""
    start = rng.randint(0, len(words) - count)
    return " ".join(words[start : start + count])


def crops(texts: Sequence[str], least: int, most: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    for text in texts:
        words = text.split()
        if len(words) >= 2 * least:
            split = rng.randint(least, len(words) - least)
            halves = words[:split], words[split:]
            sides = [piece(half, rng.randint(least, min(most, len(half))), rng) for half in halves]
            rng.shuffle(sides)
            yield sides[0], sides[1]


def first_sentences(texts: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    for text in texts:
        first, *rest = _SENTENCE_END.split(text, maxsplit=1)
        words = rest[0].split() if rest else []
        if len(words) >= 8:
            yield first, piece(words, min(len(words), rng.randint(10, 50)), rng)


def keywords(texts: Sequence[str], rng: random.Random) -> Iterator[tuple[str, str]]:
    frequency = Counter(word for text in texts for word in {w.lower() for w in _WORD.findall(text)})
    for text in texts:
        words = text.split()
        if len(words) < _LEAST_WORDS:
            continue
        half, other = words[: len(words) // 2], words[len(words) // 2 :]
        if rng.random() < 0.5:
            half, other = other, half
        found = dict.fromkeys(_WORD.findall(" ".join(half)))
        rare = [word for word in found if frequency[word.lower()] < _COMMON * len(texts)]
        if len(rare) >= 4:
            kept = set(rng.sample(rare, min(len(rare), rng.randint(4, 9))))
            yield (
                " ".join(word for word in rare if word in kept),
                piece(other, min(len(other), rng.randint(8, 40)), rng),
            )


METHODS: dict[str, Callable[[Sequence[str], random.Random], Iterator[tuple[str, str]]]] = {
    "crop": lambda texts, rng: crops(texts, 5, 60, rng),
    "short": lambda texts, rng: crops(texts, 4, 16, rng),
    "first": first_sentences,
    "key": keywords,
}


def write_pairs(path: Path, pairs: Pairs) -> None:
    columns = zip(("anchor", "positive", "negative"), zip(*pairs, strict=True), strict=False)
    pq.write_table(pa.table({name: list(texts) for name, texts in columns}), path)


def with_negatives(rows: Sequence[dict[str, str]]) -> Pairs:
    """Each pair with a text of another subject of its domain, drawn at random."""
    domains: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        domains.setdefault(row["domain"], []).append(row)
    rng, found = random.Random(0), []
    for row in rows:
        other = rng.choice([one for one in domains[row["domain"]] if one["subject"] != row["subject"]])
        found.append((row["anchor"], row["positive"], other["anchor"]))
    return found


def source_pairs(data: Path) -> dict[str, Pairs]:
    """Every source by its name: `crop_wiki`, `key_arxiv` …; `rewritings`, and `re_STYLE` for each style of them."""
    found: dict[str, Pairs] = {}
    for name, file in DOCUMENTS.items():
        with lzma.open(data / "text" / file, "rt", encoding="utf-8") as stream:
            texts = [text for text in stream.read(CHARACTERS).split("\n\n")[:-1] if text.strip()][:COUNT]
        rng = random.Random(0)
        found |= {f"{method}_{name}": list(make(texts, rng)) for method, make in METHODS.items()}
    columns = read_texts(path_of("pairs"), ["anchor", "positive", "source"])
    rows = list(zip(columns["anchor"], columns["positive"], columns["source"], strict=True))
    found["rewritings"] = [(anchor, positive) for anchor, positive, _ in rows]
    for style in sorted(set(columns["source"])):
        found[f"re_{style}"] = [(anchor, positive) for anchor, positive, source in rows if source == style]
    subjects = pq.read_table(path_of("subjects")).to_pylist()
    found["subjects"] = [(row["anchor"], row["positive"]) for row in subjects]
    found["subjects_hard"] = with_negatives(subjects)
    leads = read_texts(data / "pairs" / "wiki_title_lead.parquet", ["title", "lead"])
    found["title_lead"] = list(zip(leads["title"], leads["lead"], strict=True))[:COUNT]
    return found | {"sentences": _sentences(data)}


def _sentences(data: Path) -> Pairs:
    """Sentences that public sets call equal or entailed; their training parts."""
    pairs: Pairs = []
    for name, least in (("rte_nli", 1.0), ("mrpc", 1.0), ("sick", 4.0), ("stsb_en", 4.0)):
        table = pq.read_table(data / "pairs" / f"{name}.parquet").to_pylist()
        pairs += [
            (row["sentence1"], row["sentence2"])
            for row in table
            if float(row["score"]) >= least and row["split"] in ("train", "training")
        ]
    random.Random(0).shuffle(pairs)
    return pairs[:COUNT]


def write_mixture(folder: Path, sources: dict[str, Pairs], parts: dict[str, int]) -> list[str]:
    """The first pairs of some sources as files, as many of each as `parts` says."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in parts.items():
        write_pairs(folder / f"{name}.parquet", sources[name][:count])
    return [str(folder / f"{name}.parquet") for name in parts]
