"""The adapter of a finished run of the recipe `small` → src/lastword/bundled/smollm2-adapted/.

    lastword train --recipe small --output run
    python tools/bundle/adapted.py run

The weights are stored in float16. README.md beside them is written by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lastword.bundled import ADAPTED, SMOLLM2_ON_HUB, path_of
from lastword.embedding.adapters import SETTINGS
from lastword.embedding.spec import LASTWORD_JSON
from lastword.embedding.weights import hash_tensors
from lastword.exporting.formats import adapter_of
from lastword.files.plain_json import json_text

WEIGHTS = "adapter_model.safetensors"
OF_THE_FOLDER = ("golden", "prefix_ids", "suffix_ids", "bos")  # depend on files that are not shipped


def write_json(path: Path, content: object) -> None:
    path.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    adapter, folder = adapter_of(run), path_of(ADAPTED)
    folder.mkdir(exist_ok=True)
    weights = {name: tensor.to(torch.float16) for name, tensor in load_file(adapter / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)
    settings = json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))
    write_json(folder / SETTINGS, settings | {"base_model_name_or_path": SMOLLM2_ON_HUB})
    facts = json.loads((run / LASTWORD_JSON).read_text(encoding="utf-8"))
    facts = {name: value for name, value in facts.items() if name not in OF_THE_FOLDER}
    facts["adapter"]["sha256"] = hash_tensors(weights)
    write_json(folder / LASTWORD_JSON, facts)


if __name__ == "__main__":
    main()
