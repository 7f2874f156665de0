"""The bundled model, for what compares texts by their vectors."""

from __future__ import annotations

import pytest

from lastword.embedding import Embedder


@pytest.fixture(scope="session")
def mini() -> Embedder:
    return Embedder.from_pretrained("mini", template="ccw", pooling="mean", device="cpu", dtype="float32")
