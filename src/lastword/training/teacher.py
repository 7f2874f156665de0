"""What a teacher thinks of the similarities of the texts: another model, a server, or vectors in a file.

Only similarities are learned, so a teacher's vectors may have any width; see `losses.distillation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lastword.bundled import SELF
from lastword.config import TrainConfig
from lastword.embedding import Embedder
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import TfidfEncoder
from lastword.encoders.by_name import load_encoder
from lastword.encoders.stored import StoredVectors, is_stored
from lastword.parity.targets import Server
from lastword.training.pairs import Pairs
from lastword.training.settings import ADDRESS
from lastword.training.vectors import TextVectors, texts_of


class Endpoint:
    """A server with OpenAI's API for embeddings, or text-embeddings-inference, as an encoder.

    Args:
        address: URL, or MODEL@URL with the name of the model for the server.

    Raises:
        WorkError: it does not answer.
    """

    def __init__(self, address: str) -> None:
        model, url = re.findall(ADDRESS, address)[0]
        self.name, self._server = address, Server(url, model or None)

    @property
    def identity(self) -> str:
        """Address and model: what the server runs behind these is not known."""
        return f"{self._server.base}{self._server.route} {self._server.api_model}"

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32."""
        size = self._server.most
        starts = range(0, len(texts), size)
        return np.concatenate([self._server.vectors(texts[start : start + size]) for start in starts])


def make_teacher(
    config: TrainConfig, pairs: Pairs, model: Embedder, device: str | None, folder: Path
) -> TextVectors | None:
    """Vectors of the texts of the pairs by the teacher of the settings; None where they name none.

    Args:
        config: teacher and teacher_template.
        pairs: to train on.
        model: what is about to be trained.
        device: of another model.
        folder: for the vectors.

    Raises:
        RequestError: a file that lacks texts.
        MissingFileError, ModelError, WorkError: see the message.
    """
    if not (name := config.teacher):
        return None
    return TextVectors.by(_encoder(name, config.teacher_template, model, device), pairs, "teacher", folder)


def require_stored(config: TrainConfig, pairs: Pairs) -> None:
    """Refuse a teacher that is a file without a text of the pairs, before a model is loaded.

    Raises:
        RequestError, TableError: see the message.
    """
    if config.teacher and is_stored(config.teacher):
        StoredVectors(config.teacher).require(texts_of(pairs))


def _encoder(name: str, template: str | None, model: Embedder, device: str | None) -> TextEncoder:
    if name == SELF:
        return model.variant(template=template) if template else model
    if is_stored(name):
        return StoredVectors(name)
    if re.match(ADDRESS, name):
        return Endpoint(name)
    return load_encoder(name, template=template, device=None if name == TfidfEncoder.name else device)
