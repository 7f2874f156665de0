"""Requests that schemathesis makes from the server's own description: no status that it does not name, and no 500."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.serving.conftest import Running


@pytest.mark.slow
def test_the_description_is_true(server: Running) -> None:
    """All checks but one: a description cannot say which prompts, token ids and layers each model has."""
    program = shutil.which("schemathesis")
    if program is None:
        pytest.skip("no schemathesis: pip install schemathesis")
    command = [program, "run", f"{server.url}/openapi.json", "--checks", "all", "--no-color", "--max-examples", "150",
               "--exclude-checks", "positive_data_acceptance", "--generation-deterministic"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout[-6000:]
    assert server.http.get("/health").json()["status"] == "ok"
