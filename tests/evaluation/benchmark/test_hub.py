"""A missing network is noticed in seconds, and everything missing has a reason."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from huggingface_hub import constants

from lastword.evaluation.benchmark.hub import Hub, MissingDataError, reachable, where_from
from lastword.evaluation.benchmark.scoring import make_task


@pytest.fixture
def online(monkeypatch):
    """No offline setting and no proxy."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    """Something that answers every request with "not found"."""
    handler = type("Handler", (BaseHTTPRequestHandler,), {
        "do_HEAD": lambda self: self.send_error(404), "log_message": lambda *_: None,
    })  # fmt: skip
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_any_status_counts_as_an_answer(online, monkeypatch, server):
    monkeypatch.setattr(constants, "ENDPOINT", server)
    assert reachable()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    assert not reachable()


def test_a_proxy_answers_for_the_hub(online, monkeypatch, server):
    monkeypatch.setattr(constants, "ENDPOINT", "http://nowhere.invalid")
    monkeypatch.setenv("http_proxy", server)
    assert reachable()


def test_a_silent_server_costs_no_more_than_the_timeout(online, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert not reachable(0.5)


def test_offline_mode_sends_no_request(monkeypatch, server):
    monkeypatch.setattr(constants, "ENDPOINT", server)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not reachable()


def test_missing_texts_are_reported_quickly(online, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    hub = Hub()
    for name in ("SIB200ClusteringS2S", "EmotionClassification", "ClusTREC-Covid"):
        with pytest.raises(MissingDataError) as caught:
            hub.load(make_task(name, 42))
        assert str(caught.value).startswith("no network, and not in the cache of datasets (")
    assert constants.HF_HUB_OFFLINE is False


def test_where_texts_are_from():
    assert where_from(make_task("EmotionClassification", 42)) == (
        "mteb/emotion@4f58c6b202a23cf9a4da393831edf4f9183cad37"
    )
