"""What a process keeps after a batch is gone."""

import os
import subprocess
import sys

import pytest

# Forty shapes that never come again, as batches of forty numbers of tokens are; prints the growth in MiB.
WORK = """
import torch
from lastword.embedding.memory import bound_primitive_cache, release_memory
bound_primitive_cache()
def resident():
    release_memory()
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
weights = [torch.randn(32, width).bfloat16() for width in range(64, 84)]
torch.randn(8, 32).bfloat16() @ weights[0]
before = resident()
for rows in range(100, 140):
    for weight in weights:
        torch.randn(rows, 32).bfloat16() @ weight
print(resident() - before)
"""


def growth(**environment: str) -> float:
    command, variables = [sys.executable, "-c", WORK], {**os.environ, **environment}
    return float(subprocess.check_output(command, env=variables, text=True))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_products_of_shapes_gone_by_are_not_kept() -> None:
    bounded, all_kept = growth(), growth(ONEDNN_PRIMITIVE_CACHE_CAPACITY="1024")
    if all_kept < 8:
        pytest.skip("this processor compiles no products of its own for bfloat16")
    assert bounded < 0.8 * all_kept
