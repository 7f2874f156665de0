"""The routes: OpenAI's embeddings and models, health and metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lastword.console import warn
from lastword.encoder import checked_dim
from lastword.errors import RequestError, unknown_name
from lastword.serving.batches import Batcher
from lastword.serving.messages import (
    EmbeddingRequest,
    EmbeddingResponse,
    ErrorBody,
    ModelEntry,
    ModelList,
    RefusedError,
    embedding_response,
    parse_request,
)
from lastword.serving.metrics import Metrics
from lastword.serving.models import Row, Served, shortened
from lastword.serving.settings import Keys, ServerSettings

ROUTES = ("/v1/embeddings", "/v1/models", "/health", "/metrics", "/openapi.json")
"""Answer to a request for another path."""
_INLINE_BYTES = 8192  # of a body: larger ones are read in a thread, so that others need not wait
_INLINE_NUMBERS = 16_384  # of an answer
_BODIES_AT_ONCE = 16  # bodies of the largest size in memory
_LOOK_EVERY_S = 10.0
_ERRORS = {
    400: "The request is wrong.",
    401: "No API key, or a wrong one.",
    404: "No such model.",
    408: "The request was sent too slowly.",
    413: "The body is too large.",
    429: "Too much is waiting; see the header Retry-After.",
    500: "The model failed.",
    503: "The server is stopping, or short of memory.",
    504: "The request took too long.",
}
Result = TypeVar("Result")


@dataclass
class Service:
    """What the routes share.

    Attributes:
        models: name → model.
        settings: limits.
        keys: API keys; None lets everyone in.
        changed: names of the models whose folder is no longer what was loaded; called every few seconds.
        device: type of the models' device.
    """

    models: Mapping[str, Served]
    settings: ServerSettings
    keys: Keys | None = None
    changed: Callable[[], list[str]] = list
    device: str = "cpu"
    metrics: Metrics = field(default_factory=Metrics)
    batcher: Batcher = field(init=False)
    changed_models: list[str] = field(default_factory=list)
    started: int = field(default_factory=lambda: int(time.time()))
    _body_bytes: int = 0

    def __post_init__(self) -> None:
        """Make the batcher; `running` starts it."""
        self.batcher = Batcher(self.settings, self.metrics, self.device)
        self._thread = ThreadPoolExecutor(1, "requests")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compute, and look at the models' folders, while the server runs."""
        self.batcher.start()
        watch = asyncio.ensure_future(self._watch())
        yield
        watch.cancel()
        await asyncio.to_thread(self.batcher.stop)
        self._thread.shutdown()

    def model(self, name: str) -> Served:
        """A served model.

        Raises:
            RefusedError: 404; it is not served.
        """
        if name not in self.models:
            raise RefusedError(
                404, unknown_name("model", name, self.models), param="model", code="model_not_found"
            )
        return self.models[name]

    async def body(self, request: Request) -> bytes:
        """The body of a request.

        Raises:
            RefusedError: 413, 408 or 429.
        """
        limit, chunks, size = self.settings.max_body, [], 0
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size <= limit:
                        chunks.append(chunk)
                    elif size > 8 * limit:
                        break  # a client that gets the answer while it sends may never read it, but there is an end
        except TimeoutError:
            raise RefusedError(
                408, f"the body took longer than {self.settings.timeout_s:g} s to arrive"
            ) from None
        if size > limit:
            raise RefusedError(
                413, f"the body is larger than {limit:,} bytes: send fewer texts in one request"
            )
        return b"".join(chunks)

    @asynccontextmanager
    async def room_for(self, size: int) -> AsyncIterator[None]:
        """Keep the bodies that are in memory together within bounds.

        Raises:
            RefusedError: 429.
        """
        if self._body_bytes and self._body_bytes + size > _BODIES_AT_ONCE * self.settings.max_body:
            raise RefusedError(429, "too many large requests at once: try again in 5 s", retry_after_s=5)
        self._body_bytes += size
        try:
            yield
        finally:
            self._body_bytes -= size

    async def in_thread(self, small: bool, function: Callable[[], Result]) -> Result:
        """Call a function that computes: here if it is quick, else in a thread."""
        if small:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def answered(self, request: Request, work: Coroutine[Any, Any, Response]) -> Response:
        """The answer, unless the client goes away first or the time is over.

        Raises:
            RefusedError: 504.
            ClientDisconnect: nobody waits for an answer.
        """
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait(
                {task, gone}, timeout=self.settings.timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if task.done():
                return task.result()
            if gone.done():
                raise ClientDisconnect
            raise RefusedError(
                504, f"no answer within {self.settings.timeout_s:g} s: send fewer texts, or try later"
            )
        finally:
            task.cancel()
            gone.cancel()

    async def embed(self, body: bytes) -> Response:
        """Answer a request for embeddings."""
        small = len(body) <= _INLINE_BYTES
        request, model, rows, truncated = await self.in_thread(small, lambda: self._read(body))
        vectors = await self.batcher.vectors(model, rows)
        tokens = sum(row.tokens for row in rows)
        self.metrics.texts.labels(request.model).inc(len(rows))
        self.metrics.tokens.labels(request.model).inc(tokens)
        self.metrics.truncated.labels(request.model).inc(truncated)

        def content() -> bytes:
            kept = shortened(vectors, request.dimensions, model.normalized)
            return embedding_response(kept, request.model, tokens, request.encoding_format)

        body = await self.in_thread(vectors.size <= _INLINE_NUMBERS, content)
        return Response(body, media_type="application/json")

    def _read(self, body: bytes) -> tuple[EmbeddingRequest, Served, list[Row], int]:
        request = parse_request(body, self.settings.max_inputs)
        model = self.model(request.model)
        try:
            checked_dim(model.encoder, request.dimensions, model.dim, "dimensions")
        except RequestError as error:
            raise RefusedError(400, str(error), param="dimensions") from error
        prompt = ""
        if request.prompt_name is not None:
            if request.prompt_name not in model.prompts:
                message = unknown_name("prompt", request.prompt_name, model.prompts)
                raise RefusedError(400, message, param="prompt_name")
            if not isinstance(request.inputs[0], str):
                raise RefusedError(
                    400, "prompt_name is for texts: token ids get no prompt", param="prompt_name"
                )
            prompt = model.prompts[request.prompt_name]
        try:
            rows, truncated = model.rows(request.inputs, prompt)
        except RequestError as error:
            raise RefusedError(400, str(error), param="input") from error
        return request, model, rows, truncated

    async def _watch(self) -> None:
        """Say once that the folder of a model has changed.

        The first look, which finds nothing, starts the thread: the server has all its threads from the beginning.
        """
        while True:
            changed = await asyncio.to_thread(self.changed)
            for name in changed:
                if name not in self.changed_models:
                    warn(f"the files of {name} have changed; what was loaded is served: restart to load them")
            self.changed_models = changed
            await asyncio.sleep(_LOOK_EVERY_S)


def create_app(service: Service) -> FastAPI:
    """The application; it computes while its lifespan runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="lastword",
        description="Text embeddings, as OpenAI's API has them.",
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(_Measured, metrics=service.metrics)
    _add_error_handlers(app)
    _add_api(app, service)
    _add_operations(app, service)
    return app


def allowed(service: Service) -> list[Any]:
    """The dependency that lets only requests with a key in; none if there are no keys."""
    if service.keys is None:
        return []
    keys = service.keys

    async def require_key(request: Request) -> None:
        if not keys.allow(request.headers.get("authorization", "")):
            message = "no API key, or a wrong one: send the header Authorization: Bearer KEY"
            raise RefusedError(401, message, code="invalid_api_key")

    # the scheme describes the header; it reads nothing
    return [Depends(require_key), Depends(HTTPBearer(auto_error=False))]


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for its description."""
    return {status: {"model": ErrorBody, "description": _ERRORS[status]} for status in statuses}


def json_body(kind: Any, service: Service) -> dict[str, Any]:
    """The body of a route that reads it itself, for its description."""
    schema = kind.model_json_schema()
    schema["properties"]["model"]["enum"] = list(service.models)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _add_api(app: FastAPI, service: Service) -> None:
    guarded: dict[str, Any] = {"dependencies": allowed(service), "tags": ["OpenAI"]}
    refused = [401] if service.keys else []

    @app.post(
        "/v1/embeddings",
        response_model=EmbeddingResponse,
        responses=errors(400, *refused, 404, 408, 413, 429, 500, 503, 504),
        openapi_extra=json_body(EmbeddingRequest, service),
        **guarded,
    )
    async def create_embeddings(request: Request) -> Response:
        """Embed texts, or token ids of the model's own tokenizer."""
        body = await service.body(request)
        async with service.room_for(len(body)):
            return await service.answered(request, service.embed(body))

    def entry(name: str) -> ModelEntry:
        return ModelEntry(id=name, object="model", created=service.started, owned_by="lastword")

    @app.get("/v1/models", responses=errors(*refused), **guarded)
    async def list_models() -> ModelList:
        """List the models that are served."""
        return ModelList(object="list", data=[entry(name) for name in service.models])

    @app.get("/v1/models/{model:path}", responses=errors(*refused, 404), **guarded)
    async def retrieve_model(model: str) -> ModelEntry:
        """Look up one model."""
        service.model(model)
        return entry(model)


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", responses={503: {"description": "The models do not compute any more."}})
    async def health() -> JSONResponse:
        """Whether the server works, what waits, and which models have changed on the disk since they were loaded."""
        alive = service.batcher.alive
        content = {
            "status": "ok" if alive else "failed",
            "models": list(service.models),
            "changed": service.changed_models,
            "queued_tokens": service.batcher.queued_tokens,
        }
        return JSONResponse(content, 200 if alive else 503)

    @app.get(
        "/metrics",
        dependencies=allowed(service),
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **errors(*([401] if service.keys else []))},
    )
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_error_handlers(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if error.status in (408, 413):
            headers["Connection"] = "close"
        return JSONResponse(error.body, error.status, headers)

    async def no_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = f"; the routes are {', '.join(ROUTES)}" if error.status_code == 404 else ""
        refusal = RefusedError(
            error.status_code, f"{request.method} {request.url.path}: {error.detail}{known}"
        )
        return JSONResponse(refusal.body, error.status_code, error.headers)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse(RefusedError(500, "the server failed").body, 500)

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, failed)


class _Measured:
    """Counts requests and measures their time, by the route that answered; HEAD is GET whose body is not sent."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server, which has the original, leaves the body out
        status, began = 500, time.perf_counter()

        def noted(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        self._metrics.open_requests.inc()
        try:
            await self._app(scope, receive, noted)
        finally:
            self._metrics.open_requests.dec()
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)
