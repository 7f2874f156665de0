"""Where a model computes, and in which precision."""

from __future__ import annotations

import torch

from lastword.errors import RequestError, unknown_name

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def place_of(device: str | None) -> torch.device:
    """The device of a name, or the best there is.

    Raises:
        RequestError: there is no such device.
    """
    name = device or preferred_device()
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"no device {name!r} here: {reason}; use cpu, cuda, cuda:1 or mps") from error
    return place


def precision_of(dtype: str | None, place: torch.device) -> torch.dtype:
    """The precision of a name, or the one for a device.

    Raises:
        RequestError: there is no such precision.
    """
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    return DTYPES[dtype] if dtype else preferred_dtype(place)


def preferred_device() -> str:
    """CUDA, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def preferred_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32
