"""A real server on loopback, in a thread, over tiny models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn

from lastword.distillation.static import save_static
from lastword.distillation.tokens import train_tokenizer
from lastword.serving.app import Service, create_app
from lastword.serving.models import Served, load_models
from lastword.serving.pages import add_page
from lastword.serving.settings import ServerSettings, bound_socket, listen

WORDS = "a man is driving a car and the river was low while she sold the house"


class Running:
    """A server that answers.

    Attributes:
        url: where.
        service: what it shares between requests.
    """

    def __init__(self, port: int, service: Service) -> None:
        self.port, self.url, self.service = port, f"http://127.0.0.1:{port}", service
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def post(self, **request: Any) -> httpx.Response:
        """A request for embeddings, as it is."""
        return self.http.post("/v1/embeddings", json=request)

    def client(self, **settings: Any) -> openai.OpenAI:
        """The real client."""
        return openai.OpenAI(base_url=f"{self.url}/v1", **{"api_key": "none", "max_retries": 0, **settings})


@contextmanager
def running(service: Service, sources: dict[str, str] | None = None) -> Iterator[Running]:
    with bound_socket("127.0.0.1", 0, 10) as bound:
        listen(bound)
        app = create_app(service)
        if sources:
            add_page(app, service, sources)
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=10)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        port = bound.getsockname()[1]
        thread.start()
        found = Running(port, service)
        try:
            yield found
        finally:
            found.http.close()
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture(scope="session")
def static_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static model with random vectors."""
    tokenizer = train_tokenizer([WORDS] * 10, 1000)
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 12)).astype(np.float32)
    return save_static(tmp_path_factory.mktemp("static") / "student", tokenizer, table)


@pytest.fixture(scope="session")
def embedder_folder(load: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedder with a template and prompts."""
    embedder = load(template="ccw", pooling="lasttoken", prompts={"query": "search: "})
    return Path(embedder.save(tmp_path_factory.mktemp("saved") / "adapted"))


@pytest.fixture(scope="session")
def sources(embedder_folder: Path, static_folder: Path, sentence_folder: Path) -> dict[str, str]:
    return {
        "adapted": str(embedder_folder),
        "student": f"sentence-transformers:{static_folder}",
        "other": f"sentence-transformers:{sentence_folder}",
    }


@pytest.fixture(scope="session")
def models(sources: dict[str, str]) -> dict[str, Served]:
    return load_models(sources, device="cpu")


@pytest.fixture(scope="session")
def server(models: dict[str, Served], sources: dict[str, str]) -> Iterator[Running]:
    settings = ServerSettings(
        batch_tokens=256, max_inputs=64, max_body=2**18, timeout_s=20, queue_tokens=100_000
    )
    with running(Service(models, settings), sources) as found:
        yield found
