"""Memory that would stay in use for nothing: freed pages, and matrix products compiled for shapes seen once."""

from __future__ import annotations

import ctypes
import os
import sys

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
