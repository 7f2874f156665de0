"""The device that a model runs on, and its precision."""

from __future__ import annotations

import json
import platform
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from lastword.errors import RequestError, first_line, unknown_name
from lastword.files.cache_folder import cache_folder
from lastword.files.run_folder import hash_of, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def torch_device(device: str | None) -> torch.device:
    """The device of this name, or the best available.

    Raises:
        RequestError: there is no such device.
    """
    name = preferred_device() if device is None else device
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
    """bfloat16 if the hardware multiplies it natively, and on a CPU faster than float32; else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported() and _bfloat16_is_faster():
        return torch.bfloat16
    return torch.float32


@cache
def _bfloat16_is_faster() -> bool:
    """What was measured first on this machine: under other load, a resumed run might get another precision."""
    facts = (torch.__version__, torch.backends.cpu.get_cpu_capability(), *sorted(_processor()))
    path = cache_folder("machine") / f"bfloat16-{hash_of(facts)}.json"
    with suppress(OSError, ValueError):
        return bool(json.loads(path.read_text(encoding="utf-8")))
    faster = _measured_bfloat16_is_faster()
    with suppress(OSError):  # no folder for caches: it is measured each time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, faster)
    return faster


def _processor() -> set[str]:
    """The names of the processors."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return {line for line in lines if line.startswith("model name")}
    return {platform.processor()}


def _measured_bfloat16_is_faster() -> bool:
    """Whether this CPU multiplies matrices faster in bfloat16 than in float32, measured in less than 0.1 s.

    Having the instructions does not tell: without matrix units (AMX), Intel's take twice as long as those for
    float32, AMD's half as long.
    """
    best = dict.fromkeys(DTYPES.values(), float("inf"))
    factors = {
        dtype: (torch.ones(256, 576, dtype=dtype), torch.ones(576, 1024, dtype=dtype)) for dtype in best
    }
    with torch.inference_mode():
        for _ in range(6):  # interleaved, so that other load slows both
            for dtype, (left, right) in factors.items():
                started = time.perf_counter()
                left @ right
                best[dtype] = min(best[dtype], time.perf_counter() - started)
    return best[torch.bfloat16] < best[torch.float32]


def attention_kernels(device: torch.device) -> AbstractContextManager[None]:
    """On CUDA, leave out cuDNN's attention, which torch prefers on Hopper.

    It plans anew for every shape, in tenths of a second, and batches of texts hardly ever have the same shape: the
    first 20 training steps of the bundled model took 50 s with it on an H100.
    """
    return sdpa_kernel(_KERNELS) if device.type == "cuda" else nullcontext()
