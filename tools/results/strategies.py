"""What each strategy of `lastword compare-strategies` gives: on the bundled model and on SmolLM2-135M.

    python tools/results/strategies.py --model mini                       # an hour on one core
    python tools/results/strategies.py --model smollm2 --strategies prompt,pooling,layer,attention
    python tools/results/strategies.py --model mini --strategies echo     # measured again, the others are kept

The texts are development texts: those of the bundled sets, and halves of public sets (LASTWORD_DATA or
../shared/data) that no other results report on. An interrupted run resumes. Writes results/strategies.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from real_texts import ROOT, unreported

import lastword
from lastword import console
from lastword.evaluation.development import BUNDLED_DEVELOPMENT, read_development
from lastword.files.run_folder import write_json

RESULTS = ROOT / "results" / "strategies.json"
RECIPES = {"mini": "mini", "smollm2": "small"}
PUBLIC_SETS = ("stackoverflow_titles", "arxiv_s2s", "agnews")
TEXTS, SEED = 250, 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=RECIPES, default="mini")
    parser.add_argument("--strategies", default="", help="names or groups, A,B,…; all by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "strategies")
    args = parser.parse_args()
    console.show_messages()
    names = [name for name in args.strategies.split(",") if name]
    args.work.mkdir(parents=True, exist_ok=True)
    found = lastword.compare_strategies(
        RECIPES[args.model], args.work / args.model, strategies=names, development=development(),
        seeds=args.seeds, resume=(args.work / f"{args.model}.partial").exists(), overwrite=False,
    ).to_dict()  # fmt: skip
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    write_json(RESULTS, {**content, args.model: merged(content.get(args.model, {}), found)})


def development() -> dict[str, tuple[list[str], list[str]]]:
    """Name → (texts, labels)."""
    return read_development(BUNDLED_DEVELOPMENT) | {
        name: unreported(name, TEXTS, SEED) for name in PUBLIC_SETS
    }


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new rows in place of the old ones of the same name, without the replicates of their scores."""
    settings = {key: value for key, value in new["settings"].items() if key != "compared"}
    measured = {row["name"] for row in new["rows"]}
    kept = [row for row in old.get("rows", []) if row["name"] not in measured]
    return {"settings": settings, "rows": [*kept, *new["rows"]]}


if __name__ == "__main__":
    main()
