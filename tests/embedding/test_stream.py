"""Streaming: any number of texts, in their order, in constant memory, with the vectors of `encode`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from lastword.embedding import Embedder, encoding
from lastword.errors import RequestError

Load = Callable[..., Embedder]
TEXTS = [f"{word} {i}" for i in range(9) for word in ("a man is driving", "the river", "so it ends there")]


@pytest.mark.parametrize("window", [1, 4, 27, 100])
@pytest.mark.parametrize("pooling", ["lasttoken", "eos", "mean:text"])
def test_the_vectors_are_those_of_encode(
    load: Load, monkeypatch: pytest.MonkeyPatch, window: int, pooling: str
) -> None:
    embedder = load(template="ccw", pooling=pooling)
    expected = embedder.encode(TEXTS, normalize=False, truncate_dim=8)
    monkeypatch.setattr(encoding, "WINDOW", window)
    parts = list(embedder.encode_stream(iter(TEXTS), normalize=False, truncate_dim=8))
    assert [len(part) for part in parts] == [len(TEXTS[i : i + window]) for i in range(0, len(TEXTS), window)]
    assert all(part.dtype == np.float32 for part in parts)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)


def test_texts_are_read_only_as_they_are_needed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window is embedded while at most the two after it have been read: memory does not grow."""
    monkeypatch.setattr(encoding, "WINDOW", 3)
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"text {read}"

    stream = load(template="ccw").encode_stream(endless())
    for window in range(1, 6):
        next(stream)
        assert read <= 3 * (window + 2)
    stream.close()


def test_the_caller_keeps_gradients_between_windows(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 2)
    for _ in load().encode_stream(TEXTS[:6]):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_an_error_names_the_text_by_its_number(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "WINDOW", 2)
    stream = load(bos=False).encode_stream(["a", "a", "b", " ", "c"])
    assert next(stream).shape == (2, 32)
    with pytest.raises(RequestError, match=r"^text 3 is empty and template 'none' adds no token to it$"):
        list(stream)


def test_no_texts_give_no_windows(load: Load) -> None:
    assert list(load().encode_stream([])) == []
