"""Give freed memory back to the system.

The C library of Linux keeps what was freed, for each shape that was ever used. Activations come in
other shapes at every step, so work on the CPU would hold several times what it needs.
"""

from __future__ import annotations

import ctypes
import sys


def release_memory() -> None:
    """Return free pages to the system; does nothing where the C library has no such call."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
    if trim is not None:
        trim(0)
