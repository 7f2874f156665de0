"""Try every decoder architecture of transformers at a tiny size: results/zoo.json, a row for each.

python tools/results/zoo.py               all of them, about twenty minutes on two cores
python tools/results/zoo.py llama phi3    only these; the other rows stay as they are
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests import zoo  # noqa: E402

PATH = ROOT / "results" / "zoo.json"


def main(types: list[str]) -> None:
    stored = json.loads(PATH.read_text(encoding="utf-8"))["models"] if PATH.exists() else []
    rows = {row["type"]: row for row in stored if row["type"] in zoo.TYPES}
    for model_type in types or zoo.TYPES:
        with tempfile.TemporaryDirectory() as folder:
            rows[model_type] = zoo.row(model_type, Path(folder))
        print(json.dumps(rows[model_type]), flush=True)
        versions = {
            name: version(name) for name in ("transformers", "peft", "sentence-transformers", "torch")
        }
        content = {"versions": versions, "models": [rows[name] for name in sorted(rows)]}
        PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
