"""What the defects of the paper's own code cost on the bundled model: each switch alone, and some together.

python tools/results/defects.py               # writes results/defects.json; call again to resume
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from real_texts import ROOT

from lastword import console
from lastword.paper.defects import measure_defects

RESULTS = ROOT / "results" / "defects.json"
# Whole micro-batches of 12, and few enough steps for all runs to take about ten minutes on two cores.
SIZE = {"batch_pairs": 36, "steps": 15}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "defects")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    console.show_messages()
    args.work.parent.mkdir(parents=True, exist_ok=True)
    measure_defects(args.work, seeds=args.seeds, resume=True, overwrite=True, **SIZE)
    shutil.copyfile(args.work / "defects.json", RESULTS)


if __name__ == "__main__":
    main()
