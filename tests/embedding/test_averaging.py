"""Averages of templates: the mean of what each gives, in every way of encoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lastword.embedding import Embedder, Template, averaging
from lastword.embedding.forward.fused.forward import FusedForward
from lastword.errors import RequestError, TemplateError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEXTS = ["a man is driving a car", "a cat", "a cat", "goes on and on, " * 40]
MEMBERS = ["eol", "sum", "ccp"]


@pytest.fixture
def embedder(load: Load) -> Embedder:
    return load(template="+".join(MEMBERS), pooling="lasttoken", normalize=False)


def _mean(embedder: Embedder) -> np.ndarray:
    mean: np.ndarray = np.mean([embedder.variant(template=name).encode(TEXTS) for name in MEMBERS], axis=0)
    return mean


def test_the_mean_of_what_each_template_gives(embedder: Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, _mean(embedder), atol=1e-5)
    np.testing.assert_allclose(
        embedder.encode_poolings(TEXTS, ["lasttoken"])["lasttoken"], vectors, atol=1e-6
    )
    np.testing.assert_allclose(np.concatenate(list(embedder.encode_stream(iter(TEXTS)))), vectors, atol=1e-6)


def test_equal_alone_and_in_a_batch(embedder: Embedder) -> None:
    alone = np.stack([embedder.encode(text) for text in TEXTS])
    np.testing.assert_allclose(embedder.encode(TEXTS), alone, atol=1e-5)


def test_scaled_after_the_mean(load: Load) -> None:
    embedder = load(template="eol+sum", pooling="lasttoken")
    np.testing.assert_allclose(np.linalg.norm(embedder.encode(TEXTS), axis=1), 1, atol=1e-6)


def test_one_pass_over_a_text_for_templates_that_begin_alike(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, calls = load(template="eol+sum+ccw", pooling="lasttoken"), []
    run = FusedForward.branch_ends

    def counted(path: FusedForward, *args: object) -> object:
        calls.append(args)
        return run(path, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(FusedForward, "branch_ends", counted)
    embedder.encode(["a cat", "a car"])
    assert len(calls) == 1


def test_windows_of_a_stream(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastword.embedding.averaging.WINDOW", 3)
    windows = list(embedder.encode_stream(TEXTS))
    assert [len(window) for window in windows] == [3, 1]
    np.testing.assert_allclose(np.concatenate(windows), embedder.encode(TEXTS), atol=1e-5)


def test_identity_of_an_average(load: Load) -> None:
    templates = ["eol", "eol+sum", "sum+eol", "eol+ccw"]
    assert len({load(template=template).identity for template in templates}) == len(templates)
    members = [Template("mine", *name) for name in (("a", "b"), ("c", "d"))]
    renamed = [Template("yours", *name) for name in (("a", "b"), ("c", "d"))]
    identities = [load(template=Template.average(each)).identity for each in (members, renamed)]
    assert identities[0] == identities[1]


def test_what_an_average_cannot_do(embedder: Embedder, load: Load, tmp_path: Path, refused: Refused) -> None:
    assert refused(RequestError, embedder.save, tmp_path / "model") == (
        "a standard model folder cannot express template 'eol+sum+ccp', an average; use one of its templates"
    )
    with pytest.raises(TemplateError, match="can only be used to embed texts"):
        embedder.pipeline.tokenize(["a"])
    with pytest.raises(TemplateError, match="no room for a text"):
        load(template="none+ke", max_tokens=20)


@pytest.mark.parametrize("template", ["eol", "eol+sum"])
def test_the_size_of_batches_is_passed_on(load: Load, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def recorded(call: Callable[..., object]) -> Callable[..., object]:
        def record(*args: object) -> object:
            seen.append(100 in args)
            return call(*args)

        return record

    for name in ("encode_texts", "stream_texts"):
        monkeypatch.setattr(averaging.encoding, name, recorded(getattr(averaging.encoding, name)))
    monkeypatch.setattr(averaging, "encode_grid", recorded(averaging.encode_grid))
    embedder = load(template=template, pooling="lasttoken")
    embedder.encode(TEXTS, batch_tokens=100)
    list(embedder.encode_stream(TEXTS, batch_tokens=100))
    assert len(seen) >= 2
    assert all(seen)
