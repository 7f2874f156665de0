"""Memory that is free, and memory that would stay in use for nothing: freed pages, products for shapes seen once."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

CACHED_PRIMITIVES = 256


def bound_primitive_cache() -> None:
    """Let oneDNN cache no more primitives, its compiled matrix products, than a few batches need.

    It compiles one for each shape and keeps 1,024 of them, some 0.3 GiB. Each number of tokens in a batch is
    another shape, which rarely occurs again; the layers of one batch share their primitives. Call this before the
    first matrix product of the process, when oneDNN reads the setting. A value set by the user is kept.

    Source: oneDNN, "Primitive Cache", https://oneapi-src.github.io/oneDNN/dev_guide_primitive_cache.html
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(CACHED_PRIMITIVES))


def release_memory() -> None:
    """Return freed pages to the system; does nothing if the C library has no such call.

    The C library of Linux keeps freed memory for each shape that was ever used. Activations have other shapes
    at every step, so work on the CPU would hold several times the memory that it needs.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is not None:
        trim(0)


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still use on a device, within the limits of its control groups (containers)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return max(0, min([int(psutil.virtual_memory().available), *_free_in_groups()]))


def peak_memory_mb() -> int:
    """Largest memory of this process so far, in MiB: on the GPU if it used one, else resident."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the process that this one was started from
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(peak.split()[1]) / 2**10)
    import resource  # absent on Windows

    return round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
    )


def _free_in_groups(
    membership: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """What the limit of each control group leaves; pages of files that can be dropped are free.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1/memory.html.
    """
    lines = membership.read_text().splitlines() if membership.is_file() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controllers not in ("", "memory"):
            continue
        root = mounted / controllers
        limit, used, file = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if controllers
            else ("memory.max", "memory.current", "inactive_file")
        )
        inner = root / path.strip("/")
        for group in (inner, *inner.parents):
            if group.is_relative_to(root) and (group / limit).is_file():
                most = (group / limit).read_text().strip()
                if most != "max":
                    statistics = dict(
                        line.split() for line in (group / "memory.stat").read_text().splitlines()
                    )
                    yield int(most) - int((group / used).read_text()) + int(statistics.get(file, 0))
