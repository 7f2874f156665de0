"""The API is OpenAI's: its own client gets the vectors of the model, and wrong requests get its error bodies."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from sentence_transformers import SentenceTransformer

from lastword.embedding import Embedder
from lastword.serving.app import ROUTES, Service
from lastword.serving.models import Served, ServedDecoder, load_models, shortened
from lastword.serving.settings import ServerSettings
from tests.serving.conftest import Running, running

TEXTS = [
    "a man is driving a car",
    "the river was low",
    "Größe, 東京, 🚀",
    "  white space  ",
    "she sold the house",
]


@pytest.fixture(scope="module")
def expected(models: Mapping[str, Served]) -> np.ndarray:
    embedder: Embedder = models["adapted"].encoder
    return embedder.encode(TEXTS)


def vectors(response: Any) -> np.ndarray:
    assert [entry.index for entry in response.data] == list(range(len(response.data)))
    return np.array([entry.embedding for entry in response.data], np.float32)


def test_the_client_of_openai_gets_the_vectors_of_the_model(server: Running, expected: np.ndarray) -> None:
    response = server.client().embeddings.create(model="adapted", input=TEXTS)
    assert np.abs(vectors(response) - expected).max() < 1e-5
    lengths = [len(ids) for ids in server.service.models["adapted"].encoder.pipeline.tokenize(TEXTS).ids]
    assert response.usage.prompt_tokens == response.usage.total_tokens == sum(lengths)
    assert (response.model, response.object, response.data[0].object) == ("adapted", "list", "embedding")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_both_encodings_are_the_same_numbers(server: Running, expected: np.ndarray, encoding: str) -> None:
    answer = server.post(model="adapted", input=TEXTS, encoding_format=encoding).json()
    found = [
        np.frombuffer(base64.b64decode(entry["embedding"]), "<f4")
        if encoding == "base64"
        else entry["embedding"]
        for entry in answer["data"]
    ]
    assert np.abs(np.array(found) - expected).max() < 1e-5


@pytest.mark.parametrize("model", ["adapted", "student", "other"])
def test_every_form_of_input(server: Running, model: str) -> None:
    client = server.client()
    whole = vectors(client.embeddings.create(model=model, input=TEXTS))
    for text, row in zip(TEXTS, whole, strict=True):
        assert np.abs(vectors(client.embeddings.create(model=model, input=text))[0] - row).max() < 1e-5


@pytest.mark.parametrize("model", ["adapted", "student"])
def test_token_ids_are_wrapped_as_texts_are(server: Running, model: str) -> None:
    encoder = server.service.models[model].encoder
    text = "the river was low"
    if model == "adapted":
        (ids,) = encoder.pipeline.tokenizer.text_ids([text])
    else:
        ids = encoder.model.tokenizer.encode(text, add_special_tokens=False).ids
    client = server.client()
    wanted = vectors(client.embeddings.create(model=model, input=text))[0]
    for given in (ids, [ids], [ids[:2], ids]):
        assert np.abs(vectors(client.embeddings.create(model=model, input=given))[-1] - wanted).max() < 1e-5
    long = vectors(client.embeddings.create(model=model, input=ids * 100))
    assert np.isfinite(long).all()


def test_a_long_text_and_its_ids_are_truncated_alike(server: Running) -> None:
    encoder, text = server.service.models["adapted"].encoder, "the river was low " * 100
    (ids,) = encoder.pipeline.tokenizer.text_ids([text])
    answers = [server.client().embeddings.create(model="adapted", input=given) for given in (text, ids)]
    assert np.abs(vectors(answers[0]) - vectors(answers[1])).max() < 1e-5
    assert answers[0].usage.total_tokens == answers[1].usage.total_tokens == encoder.pipeline.max_tokens
    assert 'lastword_truncated_texts_total{model="adapted"}' in server.http.get("/metrics").text


@pytest.mark.parametrize("model", ["adapted", "student", "other"])
def test_dimensions_are_the_first_ones(server: Running, model: str) -> None:
    client, served = server.client(), server.service.models[model]
    whole = vectors(client.embeddings.create(model=model, input=TEXTS))
    short = vectors(client.embeddings.create(model=model, input=TEXTS, dimensions=5))
    kept = whole[:, :5]
    if served.normalized:
        kept = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    assert np.abs(short - kept).max() < 1e-5
    message = rf"dimensions={served.dim + 1}: vectors have {served.dim} dimensions; use 1 …"
    with pytest.raises(openai.BadRequestError, match=message):
        client.embeddings.create(model=model, input=TEXTS, dimensions=served.dim + 1)


def test_dimensions_are_those_that_a_model_was_trained_for(embedder_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(embedder_folder, tmp_path / "nested")
    stored = json.loads((folder / "lastword.json").read_text())
    (folder / "lastword.json").write_text(json.dumps(stored | {"recipe": {"widths": [4, 8]}}))
    nested = load_models({"nested": str(folder), "plain": str(embedder_folder)}, device="cpu")
    with running(Service(nested, ServerSettings())) as server:
        client, dim = server.client(), nested["nested"].dim
        for width in (4, 8, dim):
            assert vectors(client.embeddings.create(model="nested", input="a", dimensions=width)).shape == (
                1,
                width,
            )
        assert vectors(client.embeddings.create(model="plain", input="a", dimensions=5)).shape == (1, 5)
        answer = server.post(model="nested", input="a", dimensions=5)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"]) == (
            400,
            "invalid_request_error",
            "dimensions",
        )
        assert error["message"] == (
            f"dimensions=5: the model was trained for vectors of 4, 8, {dim} dimensions; use one of these"
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling": "mean:2layers"}, {"pooling": "mean:ditto"}, {"pooling": "mean+lasttoken"}, {"pooling": "mean:text"},
        {"pooling": "eos"}, {"template": "echo", "pooling": "lasttoken"}, {"template": "ccw", "boundary": "string"},
        {"attention": "bidirectional"}, {"layer": 1, "norm": "pre"},
    ],
    ids=str,
)  # fmt: skip
def test_every_way_of_embedding_is_served(load: Callable[..., Embedder], settings: dict[str, Any]) -> None:
    embedder = load(**settings)
    served = ServedDecoder(embedder)
    rows, _ = served.rows(TEXTS)
    found = shortened(served.vectors(rows, 64), None, served.normalized)
    assert np.abs(found - embedder.encode(TEXTS)).max() < 1e-5


def test_prompts_are_put_before_texts(server: Running, models: Mapping[str, Served]) -> None:
    embedder: Embedder = models["adapted"].encoder
    response = server.client().embeddings.create(
        model="adapted", input=TEXTS, extra_body={"prompt_name": "query"}
    )
    assert np.abs(vectors(response) - embedder.encode_query(TEXTS)).max() < 1e-5
    answer = server.post(model="adapted", input="a", prompt_name="qurey")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "unknown prompt 'qurey': did you mean 'query'? Known: query"
    assert server.post(model="adapted", input=[1, 2], prompt_name="query").status_code == 400


def test_a_static_model_gives_what_sentence_transformers_gives(server: Running, static_folder: Path) -> None:
    wanted = SentenceTransformer(str(static_folder), device="cpu").encode(TEXTS)
    found = vectors(server.client().embeddings.create(model="student", input=TEXTS))
    assert np.abs(found - wanted).max() < 1e-6


def test_vectors_under_load_are_those_alone(server: Running) -> None:
    """Requests of different models and sizes at once: batches are mixed by request, never by model."""
    texts = [" ".join(TEXTS[i % 5].split() * (1 + i % 4)) + f" {i}" for i in range(40)]
    alone = {
        (model, text): vectors(server.client().embeddings.create(model=model, input=text))[0]
        for model in ("adapted", "student") for text in texts
    }  # fmt: skip

    def request(number: int) -> float:
        model = ("adapted", "student")[number % 2]
        own = [texts[(number * 7 + i) % 40] for i in range(1 + number % 9)]
        found = vectors(server.client().embeddings.create(model=model, input=own))
        return max(
            float(np.abs(row - alone[model, text]).max()) for row, text in zip(found, own, strict=True)
        )

    with ThreadPoolExecutor(16) as pool:
        assert max(pool.map(request, range(120))) < 1e-5
    metrics = server.http.get("/metrics").text
    assert 'lastword_batch_texts_bucket{le="1.0"}' in metrics


def test_models_are_listed(server: Running) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["adapted", "student", "other"]
    assert client.models.retrieve("student").owned_by == "lastword"
    with pytest.raises(openai.NotFoundError, match="unknown model 'studnet': did you mean 'student'"):
        client.models.retrieve("studnet")


WRONG: list[tuple[bytes, str]] = [
    (b"", "the body: Invalid JSON: "),
    (b"{", "the body: Invalid JSON: "),
    (b"\xff\xfe", "the body: Invalid JSON: "),
    (b"[" * 100_000, "the body: Invalid JSON: "),
    (b'{"model": "adapted", "input": "\\ud800"}', "the body: Invalid JSON: "),
    (b'{"model": "adapted", "input": "a", "dimensions": ' + b"9" * 5000 + b"}", "the body: Invalid JSON: "),
    (b"[]", "the body is not valid: "),
    (b'"a"', "the body is not valid: "),
    (b"{}", "input is not valid: Field required"),
    (b'{"input": "a"}', "model is not valid: Field required"),
    *((json.dumps({"model": "adapted", "input": value}).encode(), "input is ") for value in (
        [], "", [""], ["a", ""], [[]], [1, "a"], ["a", 1], [[1], []], [[1], "a"], None, 3, 1.5, True, {}, [None], [1.5],
        [True], [[1.5]], [-1], [[[1]]], [2**40], float("nan"), [float("inf")], {"a": 1},
    )),
    *((json.dumps({"model": "adapted", "input": "a", name: value}).encode(), f"{name} is not valid: ")
      for name, value in (
        ("dimensions", 0), ("dimensions", -1), ("dimensions", 1.5), ("dimensions", "8"), ("dimensions", True),
        ("dimensions", float("nan")), ("encoding_format", "int8"), ("encoding_format", 1), ("user", 1),
        ("prompt_name", 1), ("model", 1), ("model", None),
    )),
    (b'{"model": "adapted", "input": "a", "inputs": []}', "unknown field 'inputs': allowed are input, model, "),
    (b'{"model": "adapted", "input": [400]}', "input 0 has token id 400: this model has 400 tokens. "),
    (b'{"model": "student", "input": [[1], [99999]]}', "input 1 has token id 99999: "),
    (b'{"model": "other", "input": [1]}', "this model takes texts only: "),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), WRONG, ids=lambda value: str(value[:60]))
def test_wrong_requests_are_answered_as_openai_does(server: Running, body: bytes, message: str) -> None:
    answer = server.http.post("/v1/embeddings", content=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]
    assert "\n" not in error["message"]


def test_an_unknown_model_is_not_loaded(server: Running, embedder_folder: Path) -> None:
    for name in (
        "mini",
        str(embedder_folder),
        "../adapted",
        "Qwen/Qwen3-0.6B",
        "sentence-transformers:x",
        "",
    ):
        answer = server.post(model=name, input="a")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "model_not_found"


def test_routes_that_do_not_exist(server: Running) -> None:
    for path in ("/v1/nothing", "/embeddings", "/v1/embedding"):
        assert server.http.get(path).json()["error"]["message"] == (
            f"GET {path}: Not Found; the routes are {', '.join(ROUTES)}"
        )
    assert server.http.get("/v1/embeddings").status_code == 405
    assert server.http.get("/v1/embeddings").json()["error"]["message"].endswith("Method Not Allowed")
    for route in ROUTES[1:]:
        assert server.http.get(route).status_code == 200
    assert server.http.get("/docs").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/metrics", "/openapi.json", "/"])
def test_head_is_get_without_a_body(server: Running, path: str) -> None:
    """As load balancers and `wget --spider` ask whether a server is there."""
    answer, whole = server.http.head(path), server.http.get(path)
    assert answer.status_code == whole.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"] == whole.headers["content-type"]
    assert server.http.head("/nothing").status_code == 404
    assert server.http.head("/v1/embeddings").status_code == 405


def test_health_and_description(server: Running) -> None:
    assert server.http.get("/health").json()["status"] == "ok"
    described = server.http.get("/openapi.json").json()["paths"]["/v1/embeddings"]["post"]
    assert {"200", "400", "404", "408", "413", "429", "500", "503", "504"} <= set(described["responses"])
    assert "input" in described["requestBody"]["content"]["application/json"]["schema"]["properties"]
