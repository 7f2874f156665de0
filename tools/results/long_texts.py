"""Texts longer than a model reads: truncated, in windows, or by late chunking; quality and cost against their length.

    python tools/results/long_texts.py                    # writes results/long_texts.json; minutes for mini
    python tools/results/long_texts.py --model smollm2    # that model too; an hour
    python tools/results/long_texts.py --texts 60 --lengths 128,256 --output /tmp/tiny.json

News articles of MasakhaNEWS (English, test split) with 1,024 tokens or more, each shortened to its first 128, 256, 512
and 1,024 tokens: V-measure of their 6 topics by the protocol of MTEB, and milliseconds per text. Texts: LASTWORD_DATA
or ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from real_texts import ROOT, UNTRAINED, Known, data_folder

from lastword.embedding import Embedder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.long_texts import LongTextEncoder
from lastword.evaluation import cluster_score
from lastword.files.inputs import LabelledTexts, sample_rows
from lastword.files.run_folder import write_json

RESULTS = ROOT / "results" / "long_texts.json"
LENGTHS = (128, 256, 512, 1024)
READS = {"mini": 128, "smollm2": 128}
"""Tokens that the model reads of a truncated text, and that a window has."""


def ways(model: str) -> dict[str, Any]:
    """What is compared."""
    window = READS[model]
    settings = UNTRAINED[model] | {"max_tokens": window + 40}
    mean = Embedder.from_pretrained(model, template="none", pooling="mean", **settings)
    last = Embedder.from_pretrained(model, template="ccw", pooling="lasttoken", **settings)
    longest = min(mean.backbone.positions, max(LENGTHS) + 40)
    windows = f"{window}:{window // 8}"
    return {
        f"mean, first {window}": mean.variant(max_tokens=window + 1),
        f"mean, first {longest}": mean.variant(max_tokens=longest),
        "mean, windows": LongTextEncoder(mean, f"windows:{windows}"),
        "mean, late": LongTextEncoder(mean, f"late:{windows}"),
        f"ccw, first {window}": last,
        f"ccw, first {longest}": last.variant(max_tokens=longest),
        "ccw, windows": LongTextEncoder(last, f"windows:{windows}"),
    }


def shortened(texts: Sequence[str], offsets: Sequence[Sequence[tuple[int, int]]], length: int) -> list[str]:
    """The first tokens of each text."""
    return [text[: spans[min(length, len(spans)) - 1][1]] for text, spans in zip(texts, offsets, strict=True)]


def measured(encoder: Any, texts: list[str], labels: list[str]) -> dict[str, float]:
    """V-measure with its standard error, and milliseconds per text."""
    distinct = list(dict.fromkeys(texts))
    started = time.perf_counter()
    vectors = encoder.encode(distinct)
    seconds = time.perf_counter() - started
    score = cluster_score(Known(distinct, vectors), texts, labels)
    return {
        "v_measure": score.value, "text_se": score.text_se, "draw_se": score.draw_se,
        "ms_per_text": round(1000 * seconds / len(distinct), 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", choices=READS)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)))
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    lengths = [int(length) for length in args.lengths.split(",")]
    data = LabelledTexts.read(
        data_folder() / "clustering" / "masakhanews_eng.parquet", ("body", "label"), "test", True
    )
    compared = ways(args.model)
    tokenizer = next(iter(compared.values())).pipeline.tokenizer
    offsets = tokenizer.text_offsets(list(data.texts))
    long = [row for row, spans in enumerate(offsets) if len(spans) >= max(lengths)]
    rows = [long[at] for at in sample_rows(len(long), args.texts, 0)]
    texts, labels = [data.texts[row] for row in rows], [data.labels[row] for row in rows]
    content = json.loads(args.output.read_text(encoding="utf-8")) if args.output.exists() else {}
    of_model: dict[str, Any] = {
        "texts": len(texts),
        "long": len(long),
        "window": READS[args.model],
        "scores": {},
    }
    content[args.model] = of_model
    for length in lengths:
        cut = shortened(texts, [offsets[row] for row in rows], length)
        scores = of_model["scores"][str(length)] = {}
        for name, encoder in (compared | {"TF-IDF": TfidfEncoder().fit(cut)}).items():
            scores[name] = measured(encoder, cut, labels)
            print(
                f"{length} tokens, {name}: {100 * scores[name]['v_measure']:.1f}, {scores[name]['ms_per_text']} ms",
                flush=True,
            )
        write_json(args.output, content)


if __name__ == "__main__":
    main()
