"""What may be checked: a folder that sentence-transformers loads, or a server; more kinds are in `runtimes.py`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Protocol

import httpx
import numpy as np

from lastword.encoders.baselines import SentenceTransformerEncoder
from lastword.errors import WorkError, first_line

_TIMEOUT_S = 120.0
_SHOWN = 200
OPENAI, TEI = "/v1/embeddings", "/embed"


class Target(Protocol):
    """Something that embeds texts.

    Attributes:
        kind: what it is, in a few words.
        precision: that it computes in, such as "float32"; None where it does not say.
        most: texts in one batch at most.
    """

    kind: str
    precision: str | None
    most: int

    def ids(self, texts: Sequence[str]) -> list[list[int]] | None:
        """Token ids of each text, special tokens included; None where it does not tell."""

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts in one batch, (n, dim) float32."""


class Folder:
    """A folder, or a name on the Hub, in sentence-transformers: its own tokenizer, modules and stored precision."""

    kind, most = "sentence-transformers folder", 64

    def __init__(self, name: str) -> None:
        self.encoder = SentenceTransformerEncoder(name, device="cpu")
        self.precision: str | None = next(
            (str(weight.dtype).removeprefix("torch.") for weight in self.encoder.model.parameters()), None
        )

    def ids(self, texts: Sequence[str]) -> list[list[int]] | None:
        """What the folder's tokenizer gives; None for a model without an ordinary one."""
        model = self.encoder.model
        try:
            rows: list[list[int]] = model.tokenizer(
                list(texts), truncation=True, max_length=model.max_seq_length, padding=False
            )["input_ids"]
        except (TypeError, AttributeError, ValueError):
            return None
        return rows

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """See `Target`."""
        model = self.encoder.model
        vectors: np.ndarray = model.encode(list(texts), batch_size=len(texts), show_progress_bar=False)
        return vectors.astype(np.float32, copy=False)


class Server:
    """A server: `/v1/embeddings` as OpenAI has it, or `/embed` of text-embeddings-inference.

    Args:
        url: of the server, or of one of these two.
        api_model: name of the model for the server; None is the first that it lists.

    Raises:
        WorkError: it does not answer as one of the two does.
    """

    precision: str | None = None
    most = 32

    def __init__(self, url: str, api_model: str | None = None) -> None:
        base = re.sub(r"(/v1(/embeddings)?|/embed)?/*$", "", url)
        key = os.environ.get("OPENAI_API_KEY")
        self.client = httpx.Client(
            base_url=base,
            timeout=_TIMEOUT_S,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_keepalive_connections=0),  # nobody closes the client
        )
        self.base = base
        self.route = TEI if url.rstrip("/").endswith(TEI) else OPENAI
        if self.route == OPENAI:
            self.api_model = self._first_model() if api_model is None else api_model
            body = {"input": ["a"], "model": self.api_model}
            # 404 may also say that there is no such model
            if "/v1" not in url and self._lacks(OPENAI, body) and not self._lacks(TEI, {"inputs": ["a"]}):
                self.route = TEI
        self.kind = f"server, {self.route}"

    def ids(self, texts: Sequence[str]) -> list[list[int]] | None:
        """What `/tokenize` of text-embeddings-inference says; None for other servers."""
        if self.route != TEI:
            return None
        status, answer = self._post("/tokenize", {"inputs": list(texts), "add_special_tokens": True})
        try:
            return [[int(token["id"]) for token in row] for row in answer] if status == 200 else None
        except (TypeError, KeyError, ValueError):
            return None

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """See `Target`.

        Raises:
            WorkError: an error, or an answer of another form.
        """
        if self.route == TEI:
            body: dict[str, Any] = {"inputs": list(texts), "truncate": True}
        else:
            body = {"input": list(texts), "model": self.api_model, "encoding_format": "float"}
        status, answer = self._post(self.route, body)
        if status != 200:
            raise WorkError(f"{self.base}{self.route} answered {status}: {str(answer)[:_SHOWN]}")
        try:
            rows = answer if self.route == TEI else [
                row["embedding"] for row in sorted(answer["data"], key=lambda row: row["index"])
            ]  # fmt: skip
            vectors = np.array(rows, dtype=np.float32)
            if vectors.ndim != 2 or len(vectors) != len(texts):
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            raise WorkError(
                f"{self.base}{self.route} did not answer with one vector for each of {len(texts)} texts: "
                f"{str(answer)[:_SHOWN]}"
            ) from error
        return vectors

    def _post(self, path: str, body: object) -> tuple[int, Any]:
        try:
            answer = self.client.post(path, json=body)
        except httpx.HTTPError as error:
            raise WorkError(f"no answer from {self.base}{path}: {first_line(error)}") from error
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, answer.text

    def _lacks(self, path: str, body: object) -> bool:
        return self._post(path, body)[0] in (404, 405)

    def _first_model(self) -> str:
        try:
            return str(self.client.get("/v1/models").json()["data"][0]["id"])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
            return "default"
