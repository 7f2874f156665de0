"""The page at /: its files, and what it asks the server for: models, similarities with groups, attention."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from lastword.bundled import model_source
from lastword.corpus.clustering.names import name_of, unique
from lastword.corpus.clustering.partition import Centroids, k_means
from lastword.corpus.clustering.terms import distinctive_terms
from lastword.embedding import TEMPLATES, Embedder
from lastword.embedding.template import SLOT
from lastword.errors import LastwordError
from lastword.explanation.attention import token_attention
from lastword.geometry import unit
from lastword.serving.app import Service, allowed, errors, json_body
from lastword.serving.messages import RefusedError, Text, WholeNumber, parse
from lastword.serving.models import Row, Served, ServedDecoder, shortened

_MOST_TEXTS = 300
_CARD_CHARACTERS = 100_000
_FILES = {
    "/": ("lastword.serving", "page/index.html", "text/html"),
    "/page/page.css": ("lastword.serving", "page/page.css", "text/css"),
    "/page/page.js": ("lastword.serving", "page/page.js", "text/javascript"),
    "/page/palette.css": ("lastword.report", "palette.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Setting(BaseModel):
    """A model, and what else than its own template and layer to use."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: StrictStr
    template: Annotated[str, Field(max_length=2000)] | None = None
    layer: Annotated[WholeNumber, Field(ge=0, le=10_000)] | None = None


class ExploreRequest(_Setting):
    """Texts to compare with each other."""

    texts: Annotated[list[Text], Field(min_length=2, max_length=_MOST_TEXTS)]
    groups: Annotated[WholeNumber, Field(ge=1, le=50)] | None = None


class AttentionRequest(_Setting):
    """A text whose last token's attention is shown."""

    text: Annotated[Text, Field(max_length=20_000)]


class PageModel(BaseModel):
    """A model, for people.

    `layers` is 0 for a model without a template, layers and attention.
    """

    name: str
    kind: str
    dim: int
    max_tokens: int | None
    template: str | None
    pooling: str | None
    layer: int
    layers: int
    prompts: list[str]
    card: str


class PageModels(BaseModel):
    """The models, and the templates that have names."""

    models: list[PageModel]
    templates: dict[str, str]


class Group(BaseModel):
    """Texts that are near to each other: their numbers, the nearest to the centre first."""

    name: str
    texts: list[int]


class Explored(BaseModel):
    """Cosine of every two texts, row by row, and groups, the largest first."""

    similarity: list[list[float]]
    groups: list[Group]


class TokenWeight(BaseModel):
    """A token, its part of the sequence, and its share of the attention."""

    token: str
    part: str
    weight: float


def add_page(app: FastAPI, service: Service, sources: dict[str, str]) -> None:
    """Add the page and its routes.

    Args:
        app: the application.
        service: what computes.
        sources: name → model, whose card is shown if it has one.
    """
    for path, (package, name, media_type) in _FILES.items():
        content = files(package).joinpath(name).read_bytes()
        app.add_api_route(path, _file(content, media_type), include_in_schema=False)
    refused = [401] if service.keys else []
    guarded: dict[str, Any] = {"dependencies": allowed(service), "tags": ["page"]}
    computed = errors(400, *refused, 404, 408, 413, 429, 500, 503, 504)

    @app.get("/page/models", responses=errors(*refused), **guarded)
    async def page_models() -> PageModels:
        """Describe the models for the page."""
        models = [_described(name, model, sources[name]) for name, model in service.models.items()]
        return PageModels(models=models, templates=TEMPLATES)

    @app.post(
        "/page/explore",
        response_model=Explored,
        responses=computed,
        openapi_extra=json_body(ExploreRequest, service),
        **guarded,
    )
    async def explore(request: Request) -> Response:
        """Compare texts with each other, and group them."""
        return await _answer(service, request, _explore)

    @app.post(
        "/page/attention",
        response_model=list[TokenWeight],
        responses=computed,
        openapi_extra=json_body(AttentionRequest, service),
        **guarded,
    )
    async def attention(request: Request) -> Response:
        """Show what the last token of a text attends to, in the last layer, mean over heads."""
        return await _answer(service, request, _attention)


def _file(content: bytes, media_type: str) -> Callable[[], Any]:
    async def send() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return send


async def _answer(service: Service, request: Request, work: Callable[[Service, bytes], Any]) -> Response:
    body = await service.body(request)

    async def answered() -> Response:
        try:
            return Response(await work(service, body), media_type="application/json")
        except LastwordError as error:
            raise RefusedError(400, str(error)) from error

    async with service.room_for(len(body)):
        return await service.answered(request, answered())


async def _explore(service: Service, body: bytes) -> bytes:
    def read() -> tuple[ExploreRequest, Served, list[Row]]:
        request = parse(ExploreRequest, body)
        model = _with_setting(service.model(request.model), request)
        return request, model, model.rows(request.texts)[0]

    request, model, rows = await service.in_thread(False, read)
    vectors = unit(shortened(await service.batcher.vectors(model, rows), None, model.normalized))

    def explored() -> bytes:
        similarity = np.round(vectors @ vectors.T, 4).astype(float).tolist()
        groups = _grouped(vectors, request.texts, request.groups)
        return Explored(similarity=similarity, groups=groups).model_dump_json().encode()

    return await service.in_thread(False, explored)


async def _attention(service: Service, body: bytes) -> bytes:
    request = parse(AttentionRequest, body)
    model = _with_setting(service.model(request.model), request)
    if not isinstance(model, ServedDecoder):
        raise RefusedError(400, f"{request.model} has no attention to show: choose a decoder", param="model")
    weights = await service.batcher.call(lambda: _token_weights(model, request.text))
    return b"[" + b",".join(weight.model_dump_json().encode() for weight in weights) + b"]"


def _token_weights(model: ServedDecoder, text: str) -> list[TokenWeight]:
    model.activate()
    return [TokenWeight(**dataclasses.asdict(token)) for token in token_attention(model.encoder, text)]


def _with_setting(model: Served, setting: _Setting) -> Served:
    """The model with another template or layer; weights are shared.

    Raises:
        RefusedError: 400, a model without them, or a template with the examples of a file.
        RequestError, TemplateError: a template or layer that the model cannot use.
    """
    if setting.template is None and setting.layer is None:
        return model
    if not isinstance(model, ServedDecoder):
        raise RefusedError(
            400, f"{setting.model} has no template and no layers: leave them out", param="template"
        )
    if setting.template and "@" in setting.template and SLOT not in setting.template:
        raise RefusedError(400, "a request names no files: write the template out", param="template")
    encoder = model.encoder.variant(template=setting.template, layer=setting.layer)
    return dataclasses.replace(model, encoder=encoder)


def _grouped(vectors: np.ndarray, texts: list[str], count: int | None) -> list[Group]:
    """Groups of k-means; their number is the root of half the number of texts, if none is given."""
    different = len(np.unique(vectors.round(6), axis=0))
    count = min(count or max(2, round(math.sqrt(len(texts) / 2))), different)
    centroids = k_means(vectors, count, seed=0)
    groups = Centroids(centroids).assign(vectors)[0]
    names = unique(
        [name_of(t, number) for number, t in enumerate(distinctive_terms(texts, groups, count, 3))]
    )
    closeness = (vectors * centroids[groups]).sum(1)
    order = np.argsort(-closeness, kind="stable")
    found = [
        Group(name=name, texts=order[groups[order] == number].tolist()) for number, name in enumerate(names)
    ]
    return sorted((group for group in found if group.texts), key=lambda group: -len(group.texts))


def _described(name: str, model: Served, source: str) -> PageModel:
    card = Path(model_source(source.removeprefix("sentence-transformers:"))) / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace")[:_CARD_CHARACTERS] if card.is_file() else ""
    common: dict[str, Any] = {"name": name, "dim": model.dim, "prompts": list(model.prompts), "card": text}
    if not isinstance(model, ServedDecoder):
        longest = getattr(model.encoder.model, "max_seq_length", None)
        limit = int(longest) if longest and math.isfinite(longest) else None
        return PageModel(
            **common,
            kind="sentence-transformers",
            max_tokens=limit,
            template=None,
            pooling=None,
            layer=0,
            layers=0,
        )
    embedder: Embedder = model.encoder
    return PageModel(
        **common,
        kind="adapter of a shared decoder" if model.adapter else "decoder",
        max_tokens=embedder.pipeline.max_tokens,
        template=embedder.spec.template.text,
        pooling=embedder.spec.pooling.spec,
        layer=embedder.pipeline.layer,
        layers=embedder.backbone.layers,
    )
