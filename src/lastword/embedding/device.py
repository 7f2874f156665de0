"""The device that a model runs on, and its precision."""

from __future__ import annotations

import torch

from lastword.errors import RequestError, first_line, unknown_name

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def torch_device(device: str | None) -> torch.device:
    """The device of this name, or the best available.

    Raises:
        RequestError: there is no such device.
    """
    name = device or preferred_device()
    try:
        checked = torch.device(name)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise RequestError(f"no device {name!r} here: {reason}; use cpu, cuda, cuda:1 or mps") from error
    return checked


def torch_dtype(dtype: str | None, device: torch.device) -> torch.dtype:
    """The precision of this name, or the best that the device supports.

    Raises:
        RequestError: there is no such precision.
    """
    if dtype is not None and dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    return DTYPES[dtype] if dtype else preferred_dtype(device)


def preferred_device() -> str:
    """CUDA, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def preferred_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32
