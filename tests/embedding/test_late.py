"""Late chunking: windows of states that have seen the text before them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lastword.embedding import Embedder
from lastword.embedding.late import late_vectors
from lastword.errors import RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEXTS = [
    "a man is driving a car and a cat is sleeping on it. " * 6,
    "a cat",
    "the river was low, and so it ends. " * 40,
]


def states(embedder: Embedder, ids: list[int]) -> tuple[np.ndarray, int, int]:
    """The states of a sequence, one by one, and the place of the text in it."""
    sequence, (start, end) = embedder.pipeline.compiled.wrapped(ids)
    tokens = embedder.backbone.model(input_ids=__import__("torch").tensor([sequence])).last_hidden_state
    return tokens[0].detach().numpy(), start, end


@pytest.mark.parametrize(("template", "pooling"), [("none", "mean"), ("ccw", "mean"), ("ccw", "mean:text")])
def test_windows_are_means_of_the_states_of_one_pass(load: Load, template: str, pooling: str) -> None:
    embedder = load(template=template, pooling=pooling, max_tokens=128)
    (ids,) = embedder.pipeline.tokenizer.text_ids(TEXTS[:1])
    ids = ids[:60]
    hidden, start, end = states(embedder, ids)
    vectors, counts = late_vectors(embedder.pipeline, TEXTS[:1], [ids], [[(0, 30), (20, 60)]])
    outer = pooling == "mean"
    expected = [
        hidden[0 if outer else start : start + 30].mean(0), hidden[start + 20 : None if outer else end].mean(0)
    ]  # fmt: skip
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    assert counts.tolist() == [30 + start * outer, 40 + (len(hidden) - end) * outer]


def test_one_window_is_the_ordinary_vector(load: Load) -> None:
    embedder = load(template="ccw", pooling="mean:2layers", normalize=False, max_tokens=128)
    ids = [each[:50] for each in embedder.pipeline.tokenizer.text_ids(["a cat", "the river was low"])]
    vectors, _ = late_vectors(embedder.pipeline, ["a", "b"], ids, [[(0, len(each))] for each in ids])
    np.testing.assert_allclose(vectors, embedder.encode(["a cat", "the river was low"]), atol=1e-4)


def test_batches_and_other_texts_change_nothing(load: Load) -> None:
    embedder = load(pooling="mean", max_tokens=128)
    ids = embedder.pipeline.tokenizer.text_ids(TEXTS)
    windows = [[(at, min(at + 40, len(each))) for at in range(0, len(each), 40)] for each in ids]
    together, counts = late_vectors(embedder.pipeline, TEXTS, ids, windows)
    row = 0
    for text, own, of_text in zip(TEXTS, ids, windows, strict=True):
        alone, _ = late_vectors(embedder.pipeline, [text], [own], [of_text], batch_tokens=64)
        np.testing.assert_allclose(together[row : row + len(of_text)], alone, atol=1e-4)
        row += len(of_text)
    assert counts.sum() == sum(map(len, ids)) + len(TEXTS)  # and <s> of each text


def test_a_text_longer_than_the_model_is_read_in_passes_with_context(load: Load) -> None:
    """Each pass but the first begins one window before those that it is for."""
    embedder = load(template="none", pooling="mean", max_tokens=100)
    (ids,) = embedder.pipeline.tokenizer.text_ids(TEXTS[2:])
    windows = [(at, min(at + 40, len(ids))) for at in range(0, len(ids), 40)]
    assert len(windows) > 4
    vectors, _ = late_vectors(embedder.pipeline, TEXTS[2:], [ids], [windows])
    hidden, start, _ = states(embedder, ids[:99])  # 99 tokens and <s>: windows 0 and 1
    np.testing.assert_allclose(
        vectors[:2], [hidden[: start + 40].mean(0), hidden[start + 40 : start + 80].mean(0)], atol=1e-4
    )
    hidden, start, _ = states(embedder, ids[40:120])
    np.testing.assert_allclose(vectors[2], hidden[start + 40 :].mean(0), atol=1e-4)


def test_a_pass_has_as_many_windows_as_fit(load: Load) -> None:
    embedder = load(template="none", pooling="mean", max_tokens=100)
    (ids,) = embedder.pipeline.tokenizer.text_ids(TEXTS[2:])
    windows = [(at, at + 33) for at in range(0, 165, 33)]
    vectors, _ = late_vectors(embedder.pipeline, TEXTS[2:], [ids[:165]], [windows])
    for row, first in ((2, 0), (4, 66)):  # the last window of each pass, and where the pass begins
        hidden, _, _ = states(embedder, ids[first : first + 99])
        np.testing.assert_allclose(vectors[row], hidden[-33:].mean(0), atol=1e-4)


def test_a_window_as_long_as_the_model_has_the_context_that_fits(load: Load) -> None:
    embedder = load(template="none", pooling="mean", max_tokens=100)
    (ids,) = embedder.pipeline.tokenizer.text_ids(TEXTS[2:])
    vectors, counts = late_vectors(embedder.pipeline, TEXTS[2:], [ids], [[(0, 90), (80, 170)]])
    hidden, start, _ = states(embedder, ids[71:170])
    np.testing.assert_allclose(vectors[1], hidden[start + 9 :].mean(0), atol=1e-4)
    assert counts.tolist() == [91, 90]


def test_a_text_without_a_token(load: Load, refused: Refused) -> None:
    embedder = load(template="none", pooling="mean", bos=False)
    message = refused(RequestError, late_vectors, embedder.pipeline, [""], [[]], [[(0, 0)]])
    assert message == "a text is empty and template 'none' adds no token to it"
