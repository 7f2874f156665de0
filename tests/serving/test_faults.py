"""Whatever clients do and whatever fails: the right status, nothing left behind, and the server lives."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from lastword.serving.app import Service
from lastword.serving.models import Row, Served
from lastword.serving.settings import Keys, ServerSettings
from tests.serving.conftest import Running, running


class Slow:
    """A model of three dimensions that is as slow, or as faulty, as its texts say."""

    dim, normalized, device, encoder = 3, False, "cpu", None
    prompts: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    def rows(self, inputs: Sequence[str], prompt: str = "") -> tuple[list[Row], int]:
        return [Row([], (0, 0), len(text), text) for text in inputs], 0

    def vectors(self, rows: Sequence[Row], batch_tokens: int | None) -> np.ndarray:
        texts = [row.text for row in rows]
        self.batches.append(texts)
        if "wait" in texts:
            assert self.go.wait(30)
        if "fail" in texts:
            raise ValueError("a fault at /secret/path")
        if "memory" in texts or len(texts) > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
        return np.array([[len(text), float("nan") if text == "nan" else 0, 1] for text in texts], np.float32)


@pytest.fixture
def slow() -> Slow:
    return Slow()


def serving(slow: Slow, **limits: Any) -> Any:
    settings = {"batch_tokens": 50, "queue_tokens": 200, "timeout_s": 20.0, "max_body": 4096, **limits}
    models: dict[str, Served] = {"slow": slow}  # type: ignore[dict-item]
    return running(Service(models, ServerSettings(**settings)))


def wait_while(condition: Callable[[], object]) -> None:
    """Fail after twenty seconds."""
    until = time.monotonic() + 20
    while condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def settled(server: Running) -> bool:
    """Whether nothing is left of any request."""
    for _ in range(100):
        service = server.service
        left = (service.batcher.queued_tokens, len(service.batcher._jobs), service._body_bytes)
        if left == (0, 0, 0) and server.service.metrics.open_requests._value.get() == 0:
            return True
        time.sleep(0.05)
    return False


def lives(server: Running) -> bool:
    answer = server.post(model="slow", input="abc")
    return answer.status_code == 200 and answer.json()["data"][0]["embedding"] == [3, 0, 1]


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("fail", 500, "the model failed; the log of the server says why"),
        ("memory", 503, "the server is short of memory: send shorter texts, or try later"),
        ("nan", 500, "the model gives no finite vector for one of these texts"),
    ],
)
def test_only_the_request_with_the_fault_fails(slow: Slow, text: str, status: int, message: str) -> None:
    with serving(slow) as server, ThreadPoolExecutor(8) as pool:
        slow.go.clear()
        first = pool.submit(server.post, model="slow", input="wait")
        wait_while(lambda: not slow.batches)
        inputs = [["one", "two"], ["x", text, "y"], ["three"]]
        others = [pool.submit(server.post, model="slow", input=each) for each in inputs]
        wait_while(lambda: len(server.service.batcher._jobs) < 3)
        slow.go.set()
        assert first.result().status_code == 200
        answers = [other.result() for other in others]
        assert [answer.status_code for answer in answers] == [200, status, 200]
        assert answers[1].json()["error"]["message"] == message
        assert len(slow.batches[1]) == 6, "they were one batch"
        assert lives(server)
        assert settled(server)


def test_a_batch_that_is_too_large_for_the_memory_is_divided(slow: Slow) -> None:
    with serving(slow, batch_tokens=1000, queue_tokens=10_000) as server:
        answer = server.post(model="slow", input=[f"{i:03}" for i in range(256)])
        assert answer.status_code == 200
        assert max(len(batch) for batch in slow.batches[1:]) > 50


def test_a_full_queue_is_answered_at_once(slow: Slow) -> None:
    slow.go.clear()
    with serving(slow) as server, ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(server.post, model="slow", input="wait")]
        wait_while(lambda: not slow.batches)
        waiting += [pool.submit(server.post, model="slow", input="x" * 60) for _ in range(3)]
        wait_while(lambda: server.service.batcher.queued_tokens < 180)
        answer = server.post(model="slow", input="y" * 60)  # while the others wait
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.json()["error"]["type"] == "rate_limit_error"
        with pytest.raises(openai.RateLimitError, match="180 tokens are waiting: try again in"):
            server.client().embeddings.create(model="slow", input="y" * 60)
        slow.go.set()
        assert [each.result().status_code for each in waiting] == [200] * 4
        assert settled(server)


def test_requests_take_turns(slow: Slow) -> None:
    """A request of many texts does not keep a small one waiting until it is finished."""
    slow.go.clear()
    with serving(slow, queue_tokens=10_000) as server, ThreadPoolExecutor(4) as pool:
        pool.submit(server.post, model="slow", input="wait")
        wait_while(lambda: not slow.batches)
        large = pool.submit(server.post, model="slow", input=[f"large {i:04}" for i in range(100)])
        wait_while(lambda: not server.service.batcher._jobs)
        small = pool.submit(server.post, model="slow", input="small")
        wait_while(lambda: len(server.service.batcher._jobs) < 2)
        slow.go.set()
        assert small.result().status_code == large.result().status_code == 200
        numbers = [number for number, batch in enumerate(slow.batches) if "small" in batch]
        assert numbers[0] <= 2
        found = [entry["embedding"][0] for entry in large.result().json()["data"]]
        assert found == [10] * 100


def test_a_request_that_takes_too_long_is_given_up(slow: Slow) -> None:
    slow.go.clear()
    with serving(slow, timeout_s=0.5) as server, ThreadPoolExecutor(4) as pool:
        first = pool.submit(server.post, model="slow", input="wait")
        wait_while(lambda: not slow.batches)
        second = pool.submit(server.post, model="slow", input="never")
        answers = [first.result(), second.result()]
        assert [answer.status_code for answer in answers] == [504, 504]
        assert (
            answers[0].json()["error"]["message"] == "no answer within 0.5 s: send fewer texts, or try later"
        )
        slow.go.set()
        assert lives(server)
        assert all("never" not in batch for batch in slow.batches), "it was forgotten"
        assert settled(server)


def raw(server: Running, body: bytes, length: int | None = None) -> socket.socket:
    """A connection on which a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(head(len(body) if length is None else length) + body)
    return connection


def head(length: int) -> bytes:
    return f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_client_that_goes_away_is_forgotten(slow: Slow) -> None:
    slow.go.clear()
    body = json.dumps({"model": "slow", "input": "gone"}).encode()
    with serving(slow) as server, ThreadPoolExecutor(4) as pool:
        waiting = pool.submit(server.post, model="slow", input="wait")
        wait_while(lambda: not slow.batches)
        connections = [raw(server, body) for _ in range(5)]
        wait_while(lambda: len(server.service.batcher._jobs) < 5)
        for connection in connections:
            connection.close()
        wait_while(lambda: server.service.batcher._jobs)
        slow.go.set()
        assert waiting.result().status_code == 200
        assert lives(server)
        assert all("gone" not in batch for batch in slow.batches)
        assert settled(server)


def test_a_client_that_goes_away_while_it_sends(slow: Slow) -> None:
    with serving(slow) as server:
        for _ in range(5):
            raw(server, b'{"model": "slow", "inp', 4000).close()
        assert lives(server)
        assert settled(server)


def test_a_slow_writer_is_given_up(slow: Slow) -> None:
    with serving(slow, timeout_s=0.5) as server:
        connection = raw(server, b'{"model": "slow", ', 4000)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"the body took longer than 0.5 s to arrive" in answer
        connection.close()
        assert lives(server)
        assert settled(server)


def test_a_slow_reader_keeps_nobody_waiting(slow: Slow) -> None:
    body = json.dumps({"model": "slow", "input": ["abc"] * 2048}).encode()
    with serving(slow, batch_tokens=300, queue_tokens=100_000, max_body=2**20) as server:
        connections = []
        for _ in range(5):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(head(len(body)) + body)
            connections.append(connection)
        assert lives(server)
        for connection in connections:
            connection.close()
        assert settled(server)


def test_bodies_beyond_the_limit(slow: Slow) -> None:
    with serving(slow) as server:
        for body in (b"x" * 5000, b'{"model": "slow", "input": "' + b"a" * 10_000_000 + b'"}'):
            answer = server.http.post("/v1/embeddings", content=body)
            assert answer.status_code == 413
            assert answer.json()["error"]["message"] == (
                "the body is larger than 4,096 bytes: send fewer texts in one request"
            )

        def chunks() -> Any:
            for _ in range(10):
                yield b"x" * 1000

        assert server.http.post("/v1/embeddings", content=chunks()).status_code == 413
        assert lives(server)
        assert settled(server)


def test_more_inputs_than_allowed(slow: Slow) -> None:
    with serving(slow, max_body=2**22) as server:
        for inputs in (["a"] * 100_000, [[1]] * 100_000, ["a"] * 2049):
            answer = server.post(model="slow", input=inputs)
            assert answer.status_code == 400
            assert answer.json()["error"]["message"] == (
                f"input has {len(inputs)} entries: send at most 2048 in one request"
            )


def test_many_large_bodies_at_once(slow: Slow) -> None:
    slow.go.clear()
    with serving(slow, queue_tokens=10**9) as server, ThreadPoolExecutor(32) as pool:
        sent = [pool.submit(server.post, model="slow", input=["wait", "x" * 3000]) for _ in range(32)]
        time.sleep(1)
        slow.go.set()
        statuses = [each.result().status_code for each in sent]
        assert {200, 429} == set(statuses)
        assert settled(server)


def test_a_key_is_needed(slow: Slow, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text("first-key-of-the-file\nsecond-key-of-the-file\n")
    file.chmod(0o600)
    models: dict[str, Served] = {"slow": slow}  # type: ignore[dict-item]
    with running(Service(models, ServerSettings(), Keys(file))) as server:
        for key in ("first-key-of-the-file", "second-key-of-the-file"):
            assert server.client(api_key=key).embeddings.create(model="slow", input="abc").data[
                0
            ].embedding == [3, 0, 1]
        for headers in (
            {}, {"Authorization": "first-key-of-the-file"}, {"Authorization": "Bearer first-key-of-the-fil"},
            {"Authorization": "Bearer"}, {"Authorization": b"Bearer \xff"},
            {"Authorization": "Basic first-key-of-the-file"},
        ):  # fmt: skip
            for route in ("/v1/models", "/metrics"):
                answer = server.http.get(route, headers=headers)  # type: ignore[arg-type]
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.json()["error"]["code"] == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError, match="no API key, or a wrong one"):
            server.client(api_key="third").embeddings.create(model="slow", input="abc")
        assert server.http.get("/health").status_code == 200
        assert "bearer" in json.dumps(
            server.http.get("/openapi.json").json()["components"]["securitySchemes"]
        )


def test_a_stopping_server_finishes_what_it_took(slow: Slow) -> None:
    slow.go.clear()
    pool = ThreadPoolExecutor(8)
    with serving(slow) as server:
        url = f"{server.url}/v1/embeddings"
        requests = [{"model": "slow", "input": text} for text in ("wait", "one", "two")]
        taken = [pool.submit(httpx.post, url, json=requests[0], timeout=30)]
        wait_while(lambda: not slow.batches)  # the others must not join its batch
        taken += [pool.submit(httpx.post, url, json=request, timeout=30) for request in requests[1:]]
        wait_while(lambda: len(server.service.batcher._jobs) < 2)
        threading.Timer(0.5, slow.go.set).start()
    assert [each.result().status_code for each in taken] == [200, 200, 200]
    assert not server.service.batcher.alive
    pool.shutdown()


def test_a_changed_folder_is_said_once(slow: Slow, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr("lastword.serving.app._LOOK_EVERY_S", 0.05)
    models: dict[str, Served] = {"slow": slow}  # type: ignore[dict-item]
    changed: Callable[[], list[str]] = lambda: ["slow"]  # noqa: E731
    with running(Service(models, ServerSettings(), changed=changed)) as server:
        time.sleep(0.5)
        assert server.http.get("/health").json()["changed"] == ["slow"]
    message = "the files of slow have changed; what was loaded is served: restart to load them"
    assert said.count(message) == 1
