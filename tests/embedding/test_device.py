"""The device and the precision that are chosen where none is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lastword.embedding import device
from lastword.embedding.device import (
    attention_kernels,
    preferred_device,
    preferred_dtype,
    torch_device,
    torch_dtype,
)
from lastword.errors import RequestError

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_best_device(cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert preferred_device() == expected


def test_a_device_that_is_not_there_is_refused_at_once(refused: Callable[..., str]) -> None:
    assert torch_device("cpu") == CPU
    message = refused(RequestError, torch_device, "cuda:63")
    assert message.startswith("no device 'cuda:63' here: ")
    assert message.endswith("; use cpu, cuda, cuda:1 or mps")


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_on_a_gpu_that_multiplies_it(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return including_emulation is not False or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert preferred_dtype(CUDA) == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize(
    ("chosen", "has_instructions", "faster", "expected"),
    [
        (CPU, True, True, torch.bfloat16),
        (CPU, True, False, torch.float32),
        (CPU, False, True, torch.float32),
        (MPS, True, True, torch.float32),
    ],
)
def test_bfloat16_on_a_processor_that_is_faster_with_it(
    chosen: torch.device,
    has_instructions: bool,
    faster: bool,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operators = SimpleNamespace(_is_mkldnn_bf16_supported=lambda: has_instructions)
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    monkeypatch.setattr(device, "_bfloat16_is_faster", lambda: faster)
    assert preferred_dtype(chosen) == expected
    assert torch_dtype("float32", chosen) == torch.float32
    assert torch_dtype(None, chosen) == expected


@pytest.mark.parametrize(("chosen", "cudnn"), [(CUDA, False), (CPU, True)])
def test_attention_of_cudnn_is_left_out_on_a_gpu(chosen: torch.device, cudnn: bool) -> None:
    backends = torch.backends.cuda
    with attention_kernels(chosen):
        assert backends.cudnn_sdp_enabled() is cudnn
        assert backends.flash_sdp_enabled()
        assert backends.mem_efficient_sdp_enabled()
        assert backends.math_sdp_enabled()
    assert backends.cudnn_sdp_enabled()


def test_the_precision_is_measured_once_for_a_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else other load might change the precision, and with it the model, of a run that is resumed."""
    measured = iter([True, False, False])
    monkeypatch.setattr(device, "_measured_bfloat16_is_faster", lambda: next(measured))
    monkeypatch.setenv("LASTWORD_CACHE", str(tmp_path))
    decide = device._bfloat16_is_faster.__wrapped__  # each call as in a new process
    assert [decide(), decide()] == [True, True]
    file = next((tmp_path / "machine").iterdir())
    file.write_text("broken")
    assert [decide(), decide()] == [False, False]
    monkeypatch.setattr(device, "_processor", lambda: {"another"})
    assert decide() is False
    assert len(list((tmp_path / "machine").iterdir())) == 2


def test_without_a_folder_for_caches_it_is_measured_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LASTWORD_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(device, "_measured_bfloat16_is_faster", lambda: True)
    assert device._bfloat16_is_faster.__wrapped__() is True
