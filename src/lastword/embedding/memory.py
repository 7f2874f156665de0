"""What would stay in memory after its use: freed pages, and products compiled for shapes that are gone."""

from __future__ import annotations

import ctypes
import os
import sys

CACHED_PRIMITIVES = 256


def bound_primitive_cache() -> None:
    """Let oneDNN cache no more primitives, its compiled matrix products, than a few batches need.

    It compiles one for each shape and keeps 1,024 of them, some 0.3 GiB. Batches of other numbers of tokens are
    other shapes, which hardly come again; the layers of one batch share theirs. To be called before the
    first product of the process, which is when oneDNN reads it; the user's own setting stays.

    Source: oneDNN, "Primitive Cache", https://oneapi-src.github.io/oneDNN/dev_guide_primitive_cache.html
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(CACHED_PRIMITIVES))


def release_memory() -> None:
    """Return freed pages to the system; does nothing where the C library has no such call.

    The C library of Linux keeps what was freed, for each shape that was ever used. Activations come in
    other shapes at every step, so work on the CPU would hold several times what it needs.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is not None:
        trim(0)
