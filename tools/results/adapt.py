"""Whether `lastword adapt` helps: models adapted to five corpora, compared on texts that training has not seen.

    python tools/results/adapt.py                                       # writes results/adapt.json; hours on a CPU
    python tools/results/adapt.py --models mini --corpora products      # measured again, the others are kept
    python tools/results/adapt.py --models smollm2-adapted --texts 4000  # as committed: an hour on one core
    python tools/results/adapt.py --ways texts --sources crop,words=2 --recipe longer.toml

Corpora are public (LASTWORD_DATA or ../shared/data) and the bundled products; of each a fixed sample. In the way
"texts" labels choose the setting and the checkpoint, and score; in the way "labels" pairs of training texts with the
same label are a source too. The baseline is all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from real_texts import ROOT, data_folder, minilm_folder

import lastword
from lastword import console
from lastword.adaptation.request import pair_sources
from lastword.bundled import path_of, trained_settings
from lastword.cli.adapt import read_weights

RESULTS = ROOT / "results" / "adapt.json"
CORPORA = {
    "products": (None, "label"),
    "walmart_amazon_category": ("clustering/walmart_amazon_category.parquet", "label"),
    "arxiv_s2s": ("clustering/arxiv_s2s.parquet", "label_main"),
    "stackoverflow_titles": ("clustering/stackoverflow_titles.parquet", "label"),
    "agnews": ("clustering/agnews.parquet", "label"),
}  # fmt: skip
MODELS, WAYS = ("mini", "smollm2-adapted"), ("texts", "labels")
PEER = "all-MiniLM-L6-v2"


def minilm() -> str | None:
    """The baseline as `lastword adapt` takes it, if its package is installed."""
    folder = minilm_folder()
    return f"sentence-transformers:{folder}" if folder else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpora", default=",".join(CORPORA))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--texts", type=int, default=8000, help="rows of a corpus")
    parser.add_argument("--sources", help="of the way texts, such as crop,words=2")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    console.show_messages()
    content = json.loads(given.output.read_text()) if given.output.exists() else {"runs": {}}
    for corpus in given.corpora.split(","):
        for model in given.models.split(","):
            for way in given.ways.split(","):
                content["runs"][f"{corpus} {model} {way}"] = measured(corpus, model, way, given)
                content["label_free"] = label_free(content["runs"])
                text = json.dumps(content, indent=1) + "\n"
                given.output.write_text(text.replace(str(minilm()), PEER))


def measured(corpus: str, model: str, way: str, given: argparse.Namespace) -> dict[str, Any]:
    """One run of `lastword adapt`, without what takes much space."""
    again = bool(trained_settings(model)) and given.recipe is None
    sources = pair_sources(read_weights(given.sources), labelled=False, rewriting=False, again=again)
    if way == "labels":
        sources |= {"labels": 1.0}
    baselines = [peer] if (peer := minilm()) else []
    with tempfile.TemporaryDirectory() as folder:
        file = corpus_file(corpus, given.texts, Path(folder))
        result = lastword.adapt_corpus(
            file, Path(folder) / "adapted", model, recipe=given.recipe, label_column="label", sources=sources,
            baselines=baselines, device=given.device, map="none",
        )  # fmt: skip
    plain = result.to_dict()
    kept = ("rows", "training", "development", "test", "gain", "kept", "choice", "differences", "seconds")
    summary = {name: plain[name] for name in kept}
    summary["sources"] = {
        source.name: [source.weight, source.pairs, source.drawn] for source in result.sources
    }
    summary["selection"] = {name: plain["selection"][name] for name in ("step", "scores")}
    summary["models"] = [
        {"kind": row.kind, "name": row.name, "setting": row.setting}
        | {name: round(100 * score.value, 1) for name, score in row.scores.items()}
        for row in result.models
    ]
    return summary


def label_free(runs: dict[str, Any]) -> dict[str, str]:
    """How often a score without labels prefers the same of two models as V-measure, where that can tell them apart."""
    counts: dict[str, list[bool]] = {}
    for run in runs.values():
        for difference in run["differences"]:
            if difference["v_measure"]["verdict"] == "not distinguishable":
                continue
            for name in ("stability", "agreement"):
                same = (difference[name]["value"] > 0) == (difference["v_measure"]["value"] > 0)
                kind = "unadapted" if "unadapted" in difference["kind"] else "others"
                counts.setdefault(f"{name}, against {kind}", []).append(same)
    return {name: f"{sum(same)} of {len(same)}" for name, same in counts.items()}


def corpus_file(corpus: str, texts: int, folder: Path) -> Path:
    """A fixed sample of the distinct texts of a corpus, with labels."""
    file, label = CORPORA[corpus]
    table = pq.read_table(data_folder() / file if file else path_of(corpus), columns=["text", label])
    rows = list(dict(zip(table["text"].to_pylist(), table[label].to_pylist(), strict=True)).items())
    rows = random.Random(0).sample(rows, min(texts, len(rows)))
    path = folder / f"{corpus}.parquet"
    pq.write_table(
        pa.table({"text": [text for text, _ in rows], "label": [str(label) for _, label in rows]}), path
    )
    return path


if __name__ == "__main__":
    main()
