"""`lastword serve` as a process: it says where it is, refuses wrong requests in one line, and stops when told."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from lastword.cli import main
from lastword.errors import RequestError
from lastword.serving.settings import Keys, ServerSettings, bound_socket, listen, served_models
from tests.processes import before, command, run, start


@contextmanager
def serving(model: str, stderr: Path) -> Iterator[tuple[BaseProcess, str]]:
    """The command as a process, and the address that it answers at."""
    process = start(command, ["serve", model, "--port", "0", "--device", "cpu"], stderr)
    try:
        while not stderr.exists() or not (
            found := re.search(r"serving .* on (http://\S+)\n", stderr.read_text())
        ):
            assert process.is_alive()
            time.sleep(0.01)
        yield process, found[1]
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_nothing(
    embedder_folder: Path, number: signal.Signals, tmp_path: Path
) -> None:
    statuses: list[int] = []
    stderr = tmp_path / "stderr.txt"
    with serving(f"mine={embedder_folder}", stderr) as (server, url):
        stopping = threading.Event()

        def work() -> None:
            with httpx.Client(timeout=30) as client:
                for _ in range(10_000):
                    try:
                        request = {"model": "mine", "input": ["the river was low " * 5] * 4}
                        statuses.append(client.post(f"{url}/v1/embeddings", json=request).status_code)
                    except httpx.ConnectError:  # the port is closed: nothing was taken
                        return
                    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                        # an idle connection that was closed at the moment of sending; no answer had begun
                        if not stopping.is_set():
                            statuses.append(0)
                        return

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        while len(statuses) < 20:
            assert server.is_alive()
            time.sleep(0.01)
        stopping.set()
        assert server.pid
        os.kill(server.pid, number)
        for thread in threads:
            thread.join(60)
        server.join()
    assert server.exitcode == 0
    assert stderr.read_text().splitlines()[-1] == "stopped"
    assert set(statuses) == {200}


@pytest.mark.parametrize(
    "step", ["lastword.serving.server.check_server", "lastword.serving.models.load_encoder"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_models_are_loaded_is_no_failure(
    embedder_folder: Path, number: signal.Signals, step: str, tmp_path: Path
) -> None:
    stderr, asked = tmp_path / "stderr.txt", ["serve", f"mine={embedder_folder}", "--port", "0"]
    run(command, asked, stderr, prepare=[before(step, 1, number)], code=0)
    assert stderr.read_text().splitlines()[-1] == "stopped before the models were loaded"


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", "mini", "--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"lastword: --port {port} of 127.0.0.1 cannot be used: in use; stop what uses it, or give another port\n"
    )


def test_a_port_that_another_process_takes_meanwhile(refused: Callable[..., str]) -> None:
    with bound_socket("127.0.0.1", 0, 5) as first, socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.bind(first.getsockname())
        second.listen()
        assert "in use; stop what uses it" in refused(RequestError, listen, first)


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"a-key-of-some-length", 0o640, "others can use {file} (mode 640): chmod 600 {file}"),
        (b"a-key-of-some-length", 0o604, "others can use {file} (mode 604): chmod 600 {file}"),
        (b"a-key-of-some-length", 0o622, "others can use {file} (mode 622): chmod 600 {file}"),
        (b"", 0o600, "{file} has no key: write one of 16 characters or more on each line"),
        (b"\n \n", 0o600, "{file} has no key: write one of 16 characters or more on each line"),
        (
            b"a-key-of-some-length\nshort",
            0o600,
            "{file} has a short key: write one of 16 characters or more on each line",
        ),
        (
            "ein-Schlüssel-der-Länge".encode(),
            0o600,
            "{file} has characters that no header can have: use ASCII",
        ),
    ],
)
def test_key_files_that_are_refused(
    tmp_path: Path, refused: Callable[..., str], content: bytes, mode: int, message: str
) -> None:
    file = tmp_path / "keys.txt"
    file.write_bytes(content)
    file.chmod(mode)
    assert refused(RequestError, Keys, file) == message.format(file=file)
    result = CliRunner().invoke(main, ["serve", "mini", "--api-key-file", str(file)])
    assert (result.exit_code, result.stderr) == (2, f"lastword: {message.format(file=file)}\n")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("adapted", "a=b", "student"):
        Path(name).mkdir()
    assert served_models(["mini", "adapted", "other=adapted", "Qwen/Qwen3-0.6B"]) == {
        "mini": "mini", "adapted": "adapted", "other": "adapted", "Qwen/Qwen3-0.6B": "Qwen/Qwen3-0.6B",
    }  # fmt: skip
    assert served_models(["./adapted", "x=sentence-transformers:student", "sentence-transformers:student"]) == {
        "adapted": "./adapted", "x": "sentence-transformers:student", "student": "sentence-transformers:student",
    }  # fmt: skip
    assert served_models(["b=a=b"]) == {"b": "a=b"}
    assert refused(RequestError, served_models, ["adapted", str(tmp_path / "adapted")]) == (
        f"two models are named 'adapted', adapted and {tmp_path}/adapted: give one another name, such as "
        f"adapted-2={tmp_path}/adapted"
    )
    assert refused(RequestError, served_models, ["a=b"]).startswith(
        "'a=b' makes no name for a model: give it one"
    )
    assert refused(RequestError, served_models, []) == (
        "no model to serve: give the name or folder of at least one"
    )


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from lastword import extras

    real: Any = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "uvicorn" else real(name))
    result = CliRunner().invoke(main, ["serve", "mini"])
    assert result.stderr == (
        "lastword: lastword serve needs uvicorn, which is not installed: pip install 'lastword[serve]'\n"
    )


def test_limits_that_are_refused(refused: Callable[..., str]) -> None:
    for name in ("batch_tokens", "queue_tokens", "max_inputs", "max_body"):
        for value in ("9", 0, 0.5, 100.0, True):
            message = refused(RequestError, ServerSettings, **{name: value})
            assert message == f"{name}={value!r}: give a whole number, 1 or more"
    for value in ("9", 0, None, float("nan")):
        message = refused(RequestError, ServerSettings, timeout_s=value)
        assert message == f"timeout_s={value!r}: give a number above 0"
    assert ServerSettings(max_wait_ms=0, batch_tokens=None).max_wait_ms == 0
