"""A base model in 8 or 4 bits: less memory for its frozen weights, at some cost in time and quality.

bitsandbytes does it on CUDA and on the CPU. `bench/quantize.py` measures the cost.

Source: LLM.int8, arXiv:2208.07339; NF4 and training adapters over it (QLoRA), arXiv:2305.14314.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn

from lastword.errors import RequestError, unknown_name
from lastword.extras import needed

QUANTIZATIONS = ("int8", "nf4")
# It logs when it is imported, which peft does wherever it is installed, and at every matrix product.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def quantization_config(kind: str, precision: torch.dtype) -> Any:
    """The settings that `transformers` loads a quantised model with.

    Args:
        kind: a name in `QUANTIZATIONS`.
        precision: precision of the matrix products; the weights are expanded to it.

    Raises:
        RequestError: an unknown kind, or bitsandbytes is not installed.
    """
    if kind not in QUANTIZATIONS:
        raise RequestError(unknown_name("quantization", kind, QUANTIZATIONS))
    needed("bitsandbytes", "quantize", f"quantize={kind!r}")
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=precision
    )


def keep_unpacked(model: nn.Module) -> None:
    """Leave 4-bit weights in their stored layout on a CPU.

    At its first inference bitsandbytes would pack them for the processor, in a layout that it cannot
    differentiate: gradients through such a layer would be silently wrong, and the hash of the weights would change.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  (mypy takes it for a submodule)
