"""What a process keeps after a batch is gone."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from lastword.embedding import memory
from lastword.embedding.memory import _free_in_groups, bound_primitive_cache, free_bytes, release_memory

# Forty shapes that never come again, as batches of forty numbers of tokens are; prints the growth in MiB.
WORK = """
import torch
from lastword.embedding import memory
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


def groups(root: Path, files: dict[str, dict[str, str]]) -> Path:
    for group, contents in files.items():
        (root / group).mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (root / group / name).write_text(content + "\n")
    return root


def version_2(limit: str, used: int, file: int = 0) -> dict[str, str]:
    return {"memory.max": limit, "memory.current": str(used), "memory.stat": f"anon 1\ninactive_file {file}"}


def version_1(limit: int, used: int, file: int) -> dict[str, str]:
    return {
        "memory.limit_in_bytes": str(limit), "memory.usage_in_bytes": str(used),
        "memory.stat": f"inactive_file 1\ntotal_inactive_file {file}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "files", "free"),
    [
        ("0::/", {".": version_2("1000", 300, 50)}, [750]),
        ("0::/a/b", {"a/b": version_2("max", 10), "a": version_2("800", 500)}, [300]),  # an outer group limits
        ("0::/gone", {".": version_2("1000", 300)}, [700]),  # the path of the host, inside a container
        ("4:memory:/docker/x", {"memory/docker/x": version_1(900, 100, 20), "memory": version_1(2**63, 5, 0)},
         [820, 2**63 - 5]),
        ("3:cpu:/", {".": version_2("1", 1)}, []),
        ("0::/", {}, []),
    ],
)  # fmt: skip
def test_the_limits_of_control_groups_are_read(
    tmp_path: Path, line: str, files: dict[str, dict[str, str]], free: list[int]
) -> None:
    (tmp_path / "membership").write_text(f"7:cpuset:/\n{line}\n")
    mounted = groups(tmp_path / "mounted", files)
    assert list(_free_in_groups(tmp_path / "membership", mounted)) == free
    assert list(_free_in_groups(tmp_path / "absent", mounted)) == []


def test_free_memory_is_what_the_system_and_the_groups_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    assert 0 < free_bytes(device) <= psutil.virtual_memory().total
    for groups, free in (([], 1000), ([300, 2000], 300), ([-5], 0)):
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
        monkeypatch.setattr(memory, "_free_in_groups", lambda groups=groups: iter(groups))
        assert free_bytes(device) == free


def test_the_cache_of_primitives_is_bounded_unless_the_user_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "7")
    bound_primitive_cache()
    assert os.environ[name] == "7"
    monkeypatch.delenv(name)
    bound_primitive_cache()
    assert os.environ[name] == str(memory.CACHED_PRIMITIVES)


@pytest.mark.parametrize(("platform", "calls"), [("linux", [0]), ("darwin", [])])
def test_freed_pages_are_returned_where_the_c_library_can(
    platform: str, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[int] = []

    def library(name: None) -> SimpleNamespace:
        assert name is None, "the library of this process"
        return SimpleNamespace(malloc_trim=trimmed.append)

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", library)
    release_memory()
    assert trimmed == calls
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    release_memory()


def test_free_memory_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch has reserved and does not use is free for this process."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", {torch.device("cuda:1"): (1000, 5000)}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {torch.device("cuda:1"): 300}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_allocated", {torch.device("cuda:1"): 100}.__getitem__)
    assert free_bytes(torch.device("cuda:1")) == 1200
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 900)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 300)
    assert free_bytes(torch.device("mps")) == 600
