"""The adapter alone, as peft reads it: over the base model it gives the vectors of the merged model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from lastword.bundled import SMOLLM2, SMOLLM2_ON_HUB, model_source
from lastword.embedding import Embedder
from lastword.embedding.adapters import SETTINGS
from lastword.embedding.folder import write_description
from lastword.embedding.golden import GOLDEN
from lastword.files.run_folder import write_json


def write_adapter(adapter: Path, embedder: Embedder, standard: Path, folder: Path) -> None:
    """Write the adapter with the tokenizer, modules, golden vectors and card of the merged model.

    Args:
        adapter: that training kept.
        embedder: the merged model.
        standard: its folder.
        folder: to write.
    """
    base = embedder.provenance.base
    shutil.copytree(adapter, folder)
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    # What other libraries can resolve: they do not know the names that lastword has for models.
    settings["base_model_name_or_path"] = SMOLLM2_ON_HUB if base == SMOLLM2 else str(model_source(base))
    write_json(folder / SETTINGS, settings)
    write_description(embedder.pipeline, embedder.provenance, folder, adapter_alone=True)
    shutil.copy(standard / GOLDEN, folder / GOLDEN)
