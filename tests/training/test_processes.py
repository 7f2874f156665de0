"""Two processes give the gradients of one: every anchor sees the positives of both."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lastword.training import train

WORKER = """
import json, sys
from lastword.training import train
settings = json.loads(sys.argv[1])
train(settings.pop("out"), **settings)
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    settings = {**settings, "steps": 4, "dropout": 0.0}
    train(tmp_path / "one", **settings)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1",
        "--main_process_port", str(port), "--mixed_precision", "no", "--dynamo_backend", "no", str(script),
        json.dumps({**settings, "out": str(tmp_path / "two")}),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=240)
    one, two = (
        load_file(tmp_path / name / "training/step-000004/adapter_model.safetensors")
        for name in ("one", "two")
    )
    for key, weight in one.items():
        assert torch.allclose(two[key], weight, atol=2e-4), key
    losses = [
        [
            json.loads(line)["loss"]
            for line in (tmp_path / name / "training" / "log.jsonl").read_text().splitlines()
        ]
        for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
