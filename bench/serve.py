"""Load: throughput and latency of `lastword serve` beside a minimal server of sentence-transformers and FastAPI.

    python bench/serve.py --output results/bench/serve.json
    python bench/serve.py --seconds 2 --clients 1,16 --output /tmp/short.json

Both servers run in a process of their own on loopback, one after the other, and embed the same texts with the same
model: the bundled one, and a static model. Each client sends one text, waits for its vector and sends the next.
Batches save most where texts are short, as queries are; long texts keep the cores busy one by one.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lastword.bundled import path_of
from lastword.embedding import Embedder
from lastword.files.tables import read_texts

MINIMAL = """
import sys, torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model, app = SentenceTransformer(sys.argv[1], device="cpu"), FastAPI()

class Request(BaseModel):
    model: str
    input: str | list[str]

@app.post("/v1/embeddings")
def embed(request: Request):
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = model.encode(texts, show_progress_bar=False).tolist()
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning")
"""
_START_S = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(kind: str, folder: Path) -> Iterator[int]:
    """A server in a process of its own; yields its port when it answers."""
    port = free_port()
    model = f"sentence-transformers:{folder}" if folder.name == "static" else str(folder)
    command = {
        "lastword": ["-m", "lastword", "serve", f"m={model}", "--port", str(port), "--device", "cpu"],
        "minimal": ["-c", MINIMAL, str(folder), str(port)],
    }[kind]
    process = subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < until:
            try:
                request(http.client.HTTPConnection("127.0.0.1", port), "warm up")
                break
            except OSError:
                time.sleep(0.2)
        else:
            raise SystemExit(f"{kind} did not start")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def request(connection: http.client.HTTPConnection, text: str) -> np.ndarray:
    body = json.dumps({"model": "m", "input": text})
    connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    assert answer.status == 200, content
    return np.array(json.loads(content)["data"][0]["embedding"], np.float32)


async def client(port: int, texts: list[str], until: float, times: list[float]) -> None:
    """Send one text after the other; vectors are not decoded, which would load the machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for text in texts:
        body = json.dumps({"model": "m", "input": text}).encode()
        fields = (
            "POST /v1/embeddings HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        )
        head = "\r\n".join(fields) + "\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        header = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in header.partition(b"\r\n")[0], header
        length = re.search(rb"content-length: (\d+)", header, re.IGNORECASE)
        assert length
        await reader.readexactly(int(length[1]))
        times.append(time.perf_counter() - began)
        if time.perf_counter() > until:
            break
    writer.close()


async def load(port: int, clients: int, seconds: float, texts: list[str]) -> dict[str, float]:
    """Bounded: each client stops after `seconds`, or when it has sent all texts."""
    times: list[float] = []
    began = time.perf_counter()
    orders = [random.Random(number).sample(texts, len(texts)) for number in range(clients)]
    await asyncio.gather(*(client(port, order, began + seconds, times) for order in orders))
    took = time.perf_counter() - began
    p50, p95, p99 = (float(np.percentile(times, p)) * 1000 for p in (50, 95, 99))
    latency = {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    return {"clients": clients, "requests": len(times), "per_s": len(times) / took, **latency}


def largest_difference(port: int, folder: Path, texts: list[str]) -> float:
    """Between vectors that 16 clients get at the same time and those of the model, each text alone."""
    from concurrent.futures import ThreadPoolExecutor

    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    alone = np.stack([model.encode([text], show_progress_bar=False)[0] for text in texts])
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(lambda text: request(http.client.HTTPConnection("127.0.0.1", port), text), texts)
        )
    return float(np.abs(np.stack(found) - alone).max())


def static_folder(parent: Path, texts: list[str]) -> Path:
    from lastword import distill

    distill("mini", texts, parent / "static", vocabulary=5000, truncate_dim=256)
    return parent / "static"


def measure(args: argparse.Namespace) -> dict[str, Any]:
    texts = read_texts(path_of("products"), ["text"])["text"]
    sets = {"queries": [" ".join(text.split()[:6]) for text in texts], "texts": texts}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as parent:
        mini = Embedder.from_pretrained("mini", device="cpu", dtype="float32").save(Path(parent) / "mini")
        folders = {"mini": mini, "static": static_folder(Path(parent), texts)}
        for name in args.models.split(","):
            for kind in ("minimal", "lastword"):
                with server(kind, folders[name]) as port:
                    asyncio.run(load(port, 4, 1, texts))
                    difference = largest_difference(port, folders[name], texts[:128])
                    for kind_of_text, clients in itertools.product(sets, map(int, args.clients.split(","))):
                        row = asyncio.run(load(port, clients, args.seconds, sets[kind_of_text]))
                        facts = {"model": name, "texts": kind_of_text, "server": kind, **row}
                        rows.append({**facts, "largest_difference": difference})
                        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {
        "about": "one text in each request, closed loops on loopback", "seconds": args.seconds, "rows": rows,
        "cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--models", default="mini,static")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    result = measure(arguments)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
