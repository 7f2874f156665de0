"""What a reproduction was made with: versions, machine, models, texts. Written beside every outcome."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "lastword",
    "torch",
    "transformers",
    "peft",
    "mteb",
    "sentence-transformers",
    "scikit-learn",
    "numpy",
)
_CHUNK = 1 << 20


def manifest(
    settings: dict[str, Any], models: list[str], files: list[Path], tasks: dict[str, str]
) -> dict[str, Any]:
    """Collect the facts.

    Args:
        settings: of the reproduction.
        models: names or folders of base models, each loaded to hash its weights.
        files: texts and pairs that were read.
        tasks: task of MTEB → which texts it has.
    """
    from lastword.embedding import Embedder

    return {
        "settings": settings,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": machine(),
        "weights": {name: Embedder.from_pretrained(name).backbone.weights_hash for name in models},
        "files": {path.name: sha256(path) for path in files if path.is_file()},
        "tasks": tasks,
    }


def machine() -> dict[str, Any]:
    """Processor, cores and GPU."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def sha256(path: Path) -> str:
    """Hash of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8", errors="replace").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
