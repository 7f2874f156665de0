"""A real HTTP server on loopback with enough of the OpenAI protocol, which can fail on purpose."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """What the server does.

    Attributes:
        answer: prompt → the answer's text.
        trouble: errors in answer to the first requests for each prompt.
        key: the valid key.
        seen: how often each prompt came.
        together: the most requests at the same time.
        arrivals: when requests came.
        fields: their fields other than model and messages.
    """

    answer: Callable[[str], str]
    trouble: list[str] = field(default_factory=list)
    key: str = "secret"
    slow_s: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    together: int = 0
    arrivals: list[float] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    finish: str = "stop"
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, prompt: str) -> int:
        with self._lock:
            self._now += 1
            self.together = max(self.together, self._now)
            self.arrivals.append(time.monotonic())
            self.seen[prompt] += 1
            return self.seen[prompt] - 1

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that stopped in the middle
            super().handle_error(request, client_address)


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Run the server; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._reply(200, {"object": "list", "data": [{"id": "good-model", "object": "model"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = request["messages"][0]["content"]
            turn = behaviour.enter(prompt)
            behaviour.fields.append({k: v for k, v in request.items() if k not in ("model", "messages")})
            try:
                time.sleep(behaviour.slow_s)
                if self.headers["authorization"] != f"Bearer {behaviour.key}":
                    self._reply(401, {"error": {"message": "Incorrect API key provided"}})
                elif request["model"] != "good-model":
                    self._reply(404, {"error": {"message": "no such model"}})
                elif "poison" in prompt:
                    self._reply(400, {"error": {"message": "this prompt breaks our policy"}})
                elif turn < len(behaviour.trouble):
                    self._fail(behaviour.trouble[turn], prompt)
                else:
                    self._reply(200, completion(behaviour.answer(prompt), behaviour.finish))
            finally:
                behaviour.leave()

        def _fail(self, how: str, prompt: str) -> None:
            if how.startswith("429"):
                headers = {"retry-after": how.partition(" ")[2]} if " " in how else {}
                self._reply(429, {"error": {"message": "too many requests"}}, headers)
            elif how == "500":
                self._reply(500, {"error": {"message": "it broke"}})
            elif how == "drop":
                self.close_connection = True
                self.connection.close()
            elif how == "malformed":
                self._send(200, b'{"choices": [{"mess')
            elif how == "truncated":
                body = json.dumps(completion(behaviour.answer(prompt))).encode()
                self._send(200, body[: len(body) // 2], announced=len(body))
            elif how == "html":
                self._send(200, b"<html>a proxy's page</html>", kind="text/html")
            elif how == "empty list":
                self._reply(200, completion("", choices=False))
            else:
                raise AssertionError(how)

        def _reply(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self._send(status, json.dumps(content).encode(), headers)

        def _send(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, *,
            announced: int | None = None, kind: str = "application/json",
        ) -> None:  # fmt: skip
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body) if announced is None else announced))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if announced is not None:
                self.close_connection = True

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: str, finish: str = "stop", choices: bool = True) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1", "object": "chat.completion", "created": 0, "model": "good-model",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}] if choices else [],
    }  # fmt: skip
