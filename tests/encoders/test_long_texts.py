"""Long texts read whole: means of their windows, and windows of their own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lastword.embedding import Embedder
from lastword.encoders.by_name import load_encoder, precision, with_batches
from lastword.encoders.long_texts import LongTextEncoder
from lastword.errors import RequestError
from lastword.geometry import unit

Load = Callable[..., Embedder]
Refused = Callable[..., str]
LONG = "a man is driving a car and a cat is sleeping on it. " * 12
TEXTS = ["a cat", LONG, "the river was low", LONG[5:]]


@pytest.mark.parametrize("kind", ["windows:20:4", "late:20:4"])
@pytest.mark.parametrize("normalize", [True, False])
def test_short_texts_have_their_ordinary_vector(load: Load, kind: str, normalize: bool) -> None:
    embedder = load(template="ccw", pooling="mean", normalize=normalize)
    encoder = LongTextEncoder(embedder, kind)
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert encoder.dim == vectors.shape[1]
    np.testing.assert_allclose(vectors[[0, 2]], embedder.encode([TEXTS[0], TEXTS[2]]), atol=1e-5)
    assert np.abs(vectors[1] - embedder.encode(LONG)).max() > 1e-3
    assert encoder.encode([]).shape == (0, 32)


@pytest.mark.parametrize("kind", ["windows", "late"])
def test_an_empty_text_has_its_ordinary_vector(load: Load, kind: str) -> None:
    embedder = load(template="ccw", pooling="mean:text", normalize=False)
    texts = ["", "a", "a cat"]
    np.testing.assert_allclose(
        LongTextEncoder(embedder, kind).encode(texts), embedder.encode(texts), atol=1e-5
    )


def test_windows_are_texts_of_their_own(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    encoder = LongTextEncoder(embedder, "windows:20:4")
    ((*windows,),) = encoder.cut([LONG])
    parts = embedder.encode([window.part for window in windows])
    np.testing.assert_allclose(encoder.encode_window(windows[::-1]), parts[::-1], atol=1e-6)
    weights = np.array([window.last - window.first for window in windows])
    np.testing.assert_allclose(
        encoder.encode([LONG])[0], unit((weights[:, None] * parts).sum(0, keepdims=True))[0], atol=1e-5
    )


def test_late_means_without_overlap_are_mean_pooling_over_the_whole_text(load: Load) -> None:
    embedder = load(template="ccw", pooling="mean", max_tokens=64)
    text = LONG[:200]
    whole = embedder.variant(max_tokens=128).encode(text)
    assert len(embedder.pipeline.tokenizer.text_ids([text])[0]) > 60
    np.testing.assert_allclose(LongTextEncoder(embedder, "late:20:0").encode([text])[0], whole, atol=1e-5)
    windows = LongTextEncoder(embedder, "windows:20:0").encode([text])[0]
    assert np.abs(windows - whole).max() > 1e-3


def test_windows_of_late_chunking_know_what_came_before(load: Load) -> None:
    encoder = LongTextEncoder(load(pooling="mean"), "late:20:4")
    one, other = (encoder.cut([text])[0] for text in (LONG, f"dogs and houses, {LONG}"))
    assert one[1].part != one[2].part
    vectors = encoder.encode_window([one[2], other[3], one[0]])
    np.testing.assert_allclose(vectors[0], encoder.encode_window(one)[2], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    same = next(window for window in other if one[2].part[:40] in window.part)
    assert np.abs(encoder.encode_window([same])[0] - vectors[0]).max() > 1e-3


@pytest.mark.parametrize("kind", ["windows:20:4", "late:20:4"])
def test_prompts(load: Load, kind: str) -> None:
    prompts = {"query": "search: ", "document": "an entry of a long list: "}
    embedder = load(pooling="mean", prompts=prompts)
    encoder = LongTextEncoder(embedder, kind)
    np.testing.assert_allclose(encoder.encode_query(["a cat"]), embedder.encode_query(["a cat"]), atol=1e-5)
    np.testing.assert_allclose(
        encoder.encode_document(["a cat"]), embedder.encode_document(["a cat"]), atol=1e-5
    )
    assert np.abs(encoder.encode_document([LONG]) - encoder.encode([LONG])).max() > 1e-4
    if kind.startswith("windows"):
        parts = [window.part for window in encoder.cut([LONG])[0]]
        np.testing.assert_allclose(
            encoder.encode_window(encoder.cut([LONG])[0]), embedder.encode_document(parts), atol=1e-6
        )


def test_the_prompt_takes_room(load: Load) -> None:
    plain, prompted = load(max_tokens=100), load(max_tokens=100, prompts={"query": "search for this text: "})
    room = [LongTextEncoder(each, "windows").windows.window for each in (plain, prompted)]
    assert room[0] == 100 - 1 - 8
    assert room[1] == room[0] - len(plain.pipeline.tokenizer.part_ids("search for this text: "))


def test_no_window_is_truncated(load: Load, said: list[str]) -> None:
    for template in ("ccw", "echo", "eol+sum"):
        encoder = LongTextEncoder(load(template=template, pooling="mean"), "windows")
        encoder.encode([LONG * 5])
    assert not said


def test_identities_differ(load: Load) -> None:
    embedder = load(pooling="mean")
    encoders = [
        LongTextEncoder(embedder, kind) for kind in ("windows", "windows:20", "windows:20:4", "late:20:4")
    ]
    assert len({embedder.identity, *(each.identity for each in encoders)}) == 5
    assert LongTextEncoder(embedder, "windows:20", 64).identity == encoders[1].identity


def test_what_it_refuses(load: Load, refused: Refused) -> None:
    assert "what the model does alone" in refused(RequestError, LongTextEncoder, load(), "truncate")
    assert "use pooling='mean'" in refused(RequestError, LongTextEncoder, load(pooling="lasttoken"), "late")
    message = refused(RequestError, LongTextEncoder, load(template="ccw", max_tokens=40), "windows:30")
    assert "raise max_tokens" in message
    assert "text 1 is int" in refused(RequestError, LongTextEncoder(load()).encode, ["a", 1])


def test_by_name(llama_folder: object, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"dtype": "float32", "device": "cpu"}
    encoder = load_encoder(str(llama_folder), long_texts="windows:20", **settings)
    assert isinstance(encoder, LongTextEncoder)
    assert precision(encoder) == "float32"
    batched = with_batches(encoder, 64)
    assert batched.identity == encoder.identity
    np.testing.assert_allclose(batched.encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)
    assert isinstance(load_encoder(str(llama_folder), long_texts="truncate", **settings), Embedder)
    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "from_pretrained", None)  # refused before it is loaded
        for settings in ({"pooling": "lasttoken"}, {"template": "echo"}):
            message = refused(RequestError, load_encoder, "mini", long_texts="late", **settings)
            assert message.startswith("long_texts='late' ")
    assert refused(RequestError, load_encoder, "tfidf", long_texts="late") == (
        "long_texts='late': tfidf takes no long_texts; leave it out"
    )
