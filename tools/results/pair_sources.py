"""Which source of pairs is better: training runs of the bundled model with equal budgets, one source each.

    python tools/results/pair_sources.py              # writes results/pair_sources.json and a picture; resumable

Sources from public text (LASTWORD_DATA or ../shared/data), the bundled rewritings, and mixtures. The
scores are those of development texts: the bundled development splits, and parts of public sets that the
sample scored by `real_texts.py` leaves out.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, data_folder, unreported

from lastword import console
from lastword.bundled import path_of
from lastword.config import read_recipe
from lastword.experiments import Comparison, compare_pairs, read_sources
from lastword.experiments.pair_sources import LEAST_STEPS
from lastword.experiments.picture import render
from lastword.files.tables import read_texts
from lastword.pairs import Crop, Import, Method, Noise, SameLabel, SameText, make_pairs
from lastword.report.page import write_page

PICTURE = ROOT / "docs" / "assets" / "pair_sources.svg"
TEXTS, DEVELOPMENT_TEXTS = 6000, 500
STYLES = ("detail", "simple", "teacher", "metaphor", "question")
SOURCES = ("dropout", "noise", "crop", "title_lead", "rewritings", "detail+simple+teacher")
PUBLIC_SETS = ("stackoverflow_titles", "agnews", "twentynewsgroups_subject", "walmart_amazon_category")


def write_table(path: Path, **columns: Sequence[str]) -> Path:
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    return path


def lines(path: Path, separator: str, count: int) -> list[str]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [text for text in file.read(8_000_000).split(separator)[:-1] if text.strip()][:count]


def write_sources(work: Path) -> None:
    """Every source as a file of pairs in `work`."""
    data = data_folder()
    sentences = write_table(
        work / "texts.parquet", text=lines(data / "text" / "wiki_sentences_200k.txt.xz", "\n", TEXTS)
    )
    documents = write_table(
        work / "documents.parquet", text=lines(data / "text" / "wiki_docs.txt.xz", "\n\n", TEXTS)
    )
    bundled = read_texts(path_of("pairs"), ["anchor", "positive", "source", "subject"])
    subject_of = dict(zip(bundled["anchor"], bundled["subject"], strict=True))
    anchors = write_table(work / "anchors.parquet", text=list(subject_of), label=list(subject_of.values()))
    split = pq.read_schema(data / "pairs" / "wikisplit_pairs.parquet").names
    sick = Import("sentence1", "sentence2", score_column="score", min_score=4.0)
    methods: dict[str, tuple[Path, Method]] = {
        "dropout": (sentences, SameText()),
        "noise": (sentences, Noise()),
        "crop": (documents, Crop()),
        "title_lead": (data / "pairs" / "wiki_title_lead.parquet", Import("title", "lead")),
        "wikisplit": (data / "pairs" / "wikisplit_pairs.parquet", Import(split[0], split[1])),
        "sick": (data / "pairs" / "sick.parquet", sick),
        "same_subject": (anchors, SameLabel(anchors, negatives=False)),
    }
    for name, (file, method) in methods.items():
        if not (work / f"{name}.parquet").exists():
            make_pairs(method, file, work / f"{name}.parquet", resume=True)
    rows = list(zip(bundled["anchor"], bundled["positive"], bundled["source"], strict=True))
    for style in ("rewritings", *STYLES):
        pairs = [(anchor, positive) for anchor, positive, source in rows if style in ("rewritings", source)]
        write_table(work / f"{style}.parquet", anchor=[a for a, _ in pairs], positive=[p for _, p in pairs])


def development(most: int = DEVELOPMENT_TEXTS) -> dict[str, tuple[list[str], list[str]]]:
    """Name → (texts, labels); nothing that `real_texts.py` reports on."""
    sets = {}
    for name in ("topics", "products"):
        columns = read_texts(path_of(name), ["text", "label"], where={"split": "dev"})
        sets[name] = (columns["text"], columns["label"])
    sets |= {name: unreported(name, most, seed=1) for name in PUBLIC_SETS}
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "pair_sources")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sources", nargs="+", help="only these; nothing is stored")
    args = parser.parse_args()
    console.show_messages()
    args.work.mkdir(parents=True, exist_ok=True)
    write_sources(args.work)
    names = args.sources or SOURCES
    files = ["+".join(str(args.work / f"{part}.parquet") for part in name.split("+")) for name in names]
    settings = {key: value for key, value in read_recipe("mini").items() if key not in ("pairs", "seed")}
    # No need to be small here; the gradients are the same.
    settings |= {"steps": LEAST_STEPS, "graph_gib": 2.0}
    output = args.work / "compared"
    shutil.rmtree(output, ignore_errors=True)
    comparison = compare_pairs(
        read_sources(files), development(), output, seeds=args.seeds, resume=True, **settings
    )
    if not args.sources:
        write_comparison(ROOT / "results" / "pair_sources.json", comparison)
        write_page(PICTURE, render(comparison))


def write_comparison(path: Path, comparison: Comparison) -> None:
    """One training run on each line, so that a change can be read."""
    content = comparison.to_dict()
    rows = {
        name: ",\n".join(f"  {json.dumps(row, ensure_ascii=False)}" for row in content.pop(name))
        for name in ("ranking", "runs")
    }
    base = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in content.pop("base").items())
    head = json.dumps(content, indent=1, ensure_ascii=False).removesuffix("\n}")
    parts = [f' "base": {{\n{base}\n }}', *(f' "{name}": [\n{lines}\n ]' for name, lines in rows.items())]
    content_text = ",\n".join([head, *parts]) + "\n}\n"
    path.write_text(content_text.replace(f"{ROOT}/", ""), encoding="utf-8")


if __name__ == "__main__":
    main()
