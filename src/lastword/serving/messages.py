"""The messages of OpenAI's API: what a request may be, and what is answered.

Source: the OpenAI API reference, "Create embeddings", and the errors that its client reads.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from pydantic_core import to_json

Message = TypeVar("Message", bound=BaseModel)
Item = TypeVar("Item")
TokenId = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
WholeNumber = Annotated[
    StrictInt, BeforeValidator(lambda n: int(n) if isinstance(n, float) and n.is_integer() else n)
]
"""8, and 8.0, which is the same number in JSON."""
Text = Annotated[StrictStr, Field(min_length=1)]
_Some = Annotated[list[Item], Field(min_length=1)]
_INPUTS = "give a string, a list of strings, a list of token ids, or a list of lists of token ids; none empty"


class RefusedError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
        message: what is wrong, and what is allowed.
        param: the field of the request that is wrong, if it is one.
        code: a word for programs.
        retry_after_s: seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's API writes it."""
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


_KINDS = {401: "authentication_error", 429: "rate_limit_error"}


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


class EmbeddingRequest(BaseModel):
    """What to embed, and how."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: Text | _Some[Text] | _Some[TokenId] | _Some[_Some[TokenId]] = Field(
        description="a string, a list of strings, a list of token ids, or a list of lists of token ids"
    )
    model: StrictStr = Field(description="one of /v1/models")
    dimensions: Annotated[WholeNumber, Field(ge=1, le=2**31 - 1)] | None = Field(
        None, description="keep only the first dimensions, scaled to length 1 again"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64 is of little-endian float32; the default is float"
    )
    user: StrictStr | None = Field(None, description="has no effect")
    prompt_name: StrictStr | None = Field(
        None, description="name of a prompt of the model, put before each text; no part of OpenAI's API"
    )

    @property
    def inputs(self) -> list[str] | list[list[int]]:
        """A list of texts, or of lists of token ids."""
        if isinstance(self.input, str):
            return [self.input]
        if isinstance(self.input[0], int):
            return [self.input]
        return self.input


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """The tokens of the inputs, template and prompt included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """The vectors, in the order of the inputs."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class ModelEntry(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The models that are served."""

    object: Literal["list"]
    data: list[ModelEntry]


def parse_request(body: bytes, max_inputs: int) -> EmbeddingRequest:
    """Read the body of a request.

    Raises:
        RefusedError: 400; it is not JSON, or not what the API allows.
    """
    request = parse(EmbeddingRequest, body)
    if len(request.inputs) > max_inputs:
        raise RefusedError(
            400,
            f"input has {len(request.inputs)} entries: send at most {max_inputs} in one request",
            param="input",
        )
    return request


def parse(kind: type[Message], body: bytes) -> Message:
    """Read JSON of one kind.

    Raises:
        RefusedError: 400; the message names the field.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise RefusedError(400, f"the body: {first['msg']}") from error
        field = str(first["loc"][0]) if first["loc"] else None
        if field == "input" and first["type"] != "missing":
            raise RefusedError(400, f"input is not valid: {_INPUTS}", param=field) from error
        if first["type"] == "extra_forbidden":
            raise RefusedError(
                400, f"unknown field {field!r}: allowed are {', '.join(kind.model_fields)}", param=field
            ) from error
        what = field or "the body"
        raise RefusedError(400, f"{what} is not valid: {first['msg']}", param=field) from error


def embedding_response(vectors: np.ndarray, model: str, tokens: int, encoding: str | None) -> bytes:
    """The JSON of a response.

    Args:
        vectors: (n, dim) float32, finite.
        model: name of the model.
        tokens: of all inputs.
        encoding: "float" or "base64"; None is "float".
    """
    rows: Sequence[object]
    if encoding == "base64":
        rows = [base64.b64encode(row).decode() for row in np.ascontiguousarray(vectors, "<f4")]
    else:
        rows = vectors.tolist()
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return to_json({"object": "list", "data": data, "model": model, "usage": usage})
