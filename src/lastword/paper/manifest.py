"""What a reproduction was made with: versions, machine, models, texts."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "lastword", "torch", "transformers", "peft", "mteb", "sentence-transformers", "scikit-learn", "numpy",
)  # fmt: skip


def manifest(
    settings: dict[str, Any], models: list[str], files: list[Path], tasks: dict[str, str]
) -> dict[str, Any]:
    """Collect the facts.

    Args:
        settings: of the reproduction.
        models: names or folders of base models, each loaded to hash its weights.
        files: texts and pairs that were read.
        tasks: MTEB task → which texts it has.
    """
    import torch

    from lastword.embedding import Embedder

    return {
        "settings": settings,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "weights": {name: Embedder.from_pretrained(name).weights_hash for name in models},
        "files": {path.name: _sha256(path) for path in files if path.is_file()},
        "tasks": tasks,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
