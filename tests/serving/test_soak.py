"""Good and bad requests for LASTWORD_SOAK_S seconds: memory, threads and open files do not grow."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.serving.test_command import serving

STATM = Path("/proc/self/statm")


def resources(pid: int) -> tuple[float, int, int]:
    """Memory in MiB, threads, open files."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    threads, descriptors = (len(list(Path(f"/proc/{pid}/{kind}").iterdir())) for kind in ("task", "fd"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, threads, descriptors


def misbehave(url: str, draw: random.Random) -> None:
    """One request that goes wrong in some way."""
    body = json.dumps({"model": "mine", "input": ["the river was low " * 20] * 30}).encode()
    port = int(url.rpartition(":")[2])
    kind = draw.randrange(4)
    if kind == 0:  # gone in the middle of the request, or before the answer
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            connection.sendall((head + body)[: draw.randrange(1, len(head) + len(body) + 1)])
    elif kind == 1:
        assert (
            httpx.post(f"{url}/v1/embeddings", content=body[: draw.randrange(len(body))]).status_code == 400
        )
    elif kind == 2:
        assert httpx.post(f"{url}/v1/embeddings", content=b"x" * 9_000_000, timeout=60).status_code == 413
    else:
        many = {"model": "mine", "input": ["a"] * 100_000}
        assert httpx.post(f"{url}/v1/embeddings", json=many, timeout=60).status_code == 400


@pytest.mark.slow
@pytest.mark.skipif(not STATM.exists(), reason="reads /proc")
def test_nothing_grows(embedder_folder: Path, tmp_path: Path) -> None:
    seconds = float(os.environ.get("LASTWORD_SOAK_S", "60"))
    with serving(f"mine={embedder_folder}", tmp_path / "stderr.txt") as (server, url):
        until, faults = time.monotonic() + 0.4 * seconds, []

        def work(seed: int) -> None:
            draw = random.Random(seed)
            with httpx.Client(timeout=60) as client:
                while time.monotonic() < until:
                    try:
                        texts = ["the river was low " * draw.randrange(1, 20)] * draw.randrange(1, 20)
                        request = {"model": "mine", "input": texts, "encoding_format": "base64"}
                        answer = client.post(f"{url}/v1/embeddings", json=request)
                        assert answer.status_code == 200, answer.text
                        misbehave(url, draw)
                    except Exception as error:  # reported below, whatever it is
                        faults.append(repr(error))
                        return

        def run() -> None:
            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(3)

        run()  # memory reaches what it needs
        assert server.pid
        before = resources(server.pid)
        until = time.monotonic() + 0.6 * seconds
        run()
        after = resources(server.pid)
        assert faults == []
        assert after[0] < 1.1 * before[0] + 20
        assert after[1:] <= (before[1], before[2] + 2)
        assert httpx.get(f"{url}/health").json() == {
            "status": "ok", "models": ["mine"], "changed": [], "queued_tokens": 0,
        }  # fmt: skip
        maps = Path(f"/proc/{server.pid}/maps").read_text()
        assert "model.safetensors" not in maps, "weights that are mapped would change with the file"
