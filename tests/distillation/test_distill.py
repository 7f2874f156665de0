"""A static model is near to its teacher on texts that it has not seen, and sentence-transformers loads it unchanged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sentence_transformers import SentenceTransformer

from lastword import distill
from lastword.cli import main
from lastword.distillation import static as module
from lastword.distillation.static import aligned, fitted, principal_directions, weighted
from lastword.distillation.tokens import bags, token_texts, train_tokenizer
from lastword.encoders.baselines import SentenceTransformerEncoder
from lastword.errors import ExistingOutputError, ParityError, RequestError
from lastword.geometry import shared_neighbours, unit

Refused = Callable[..., str]
WORDS = [a + b for a in ("ba", "du", "ki", "mo", "re", "su") for b in ("lan", "tep", "vor", "nix", "gam")]


def sentences(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(4, 9))) for _ in range(count)]


class Teacher:
    """The sum of a fixed vector for each word, longer for some words, and of one for the first word."""

    name, identity = "teacher", "teacher-1"

    def __init__(self, first: float = 0.0) -> None:
        self.first = first

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return np.stack([self._vector(text.split()) for text in texts])

    def _vector(self, words: list[str]) -> np.ndarray:
        total = sum((self._word(word) for word in words), np.zeros(24)) + self.first * self._word(words[0])
        return unit(total[None]).astype(np.float32)[0]

    def _word(self, word: str) -> np.ndarray:
        draw = np.random.default_rng(list(word.encode()))
        vector: np.ndarray = draw.normal(size=24) * draw.choice([0.2, 1, 3])
        return vector


def test_a_student_is_near_to_its_teacher_and_loads_unchanged(tmp_path: Path) -> None:
    texts = sentences(1500)
    result = distill(Teacher(), texts, tmp_path / "out", vocabulary=1000, truncate_dim=24)
    assert result.cosine > 0.97
    assert result.neighbours > 0.75
    assert (result.texts, result.dim, result.model) == (len(set(texts)), 24, "teacher")
    assert json.loads((tmp_path / "out" / "distilled.json").read_text()) == result.to_dict()
    new = sentences(200, seed=1)
    vectors = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(new)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert shared_neighbours(vectors, Teacher().encode(new)) > 0.6
    files = [
        file for file in (tmp_path / "out").rglob("*") if file.is_file() and file.name != "distilled.json"
    ]
    assert result.bytes == sum(file.stat().st_size for file in files)


def test_fitting_to_texts_is_better_than_tokens_alone() -> None:
    """The teacher gives each word alone a vector of length 1, so that only texts show how much a word counts."""
    texts, teacher = sentences(1200), Teacher()
    tokenizer = train_tokenizer(texts, 1000)
    bag, targets = bags(tokenizer, texts), teacher.encode(texts)
    start = aligned(
        weighted(teacher.encode(token_texts(tokenizer)), np.ones(bag.shape[1])), bag[:1000], targets[:1000]
    )

    def score(table: np.ndarray) -> float:
        return float((unit(bag[1000:] @ table) * targets[1000:]).sum(1).mean())

    table, strength = fitted(start, bag[:1000], targets[:1000], score)
    assert score(table) > score(start) + 0.03
    assert 0 < strength < 1


def test_the_ridge_is_the_exact_one() -> None:
    from lastword.distillation.static import _ridge

    bag = bags(train_tokenizer(sentences(300), 1000), sentences(300))
    targets = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)
    dense = bag.toarray()
    exact = np.linalg.solve(dense.T @ dense + 0.1 * np.eye(dense.shape[1]), dense.T @ targets)
    np.testing.assert_allclose(_ridge(bag, targets, 0.1, np.zeros_like(exact, np.float32)), exact, atol=2e-2)


def test_weights_and_directions() -> None:
    shares = weighted(np.ones((2, 3), np.float32), np.array([999, 1]))
    np.testing.assert_allclose(shares, [[1e-3 / 1.0] * 3, [0.5] * 3], atol=1e-6)
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * [9, 8, 7, 1e-3, 1e-3, 1e-3]
    small = vectors @ principal_directions(vectors, 3)
    np.testing.assert_allclose(unit(small) @ unit(small).T, unit(vectors) @ unit(vectors).T, atol=1e-4)


def test_few_dimensions_and_texts_without_a_known_character(tmp_path: Path) -> None:
    result = distill(Teacher(first=1.0), sentences(300), tmp_path / "out", vocabulary=1000, truncate_dim=8)
    vectors = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(
        ["東京", "balan 東京", "BALAN DULAN"]
    )
    assert result.dim == 8
    assert np.isfinite(vectors).all()
    again = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(["balan dulan"])
    np.testing.assert_allclose(vectors[2], again[0], atol=1e-6)


def test_requests_that_cannot_work(tmp_path: Path, refused: Refused) -> None:
    def message(kind: type[Exception], *arguments: Any, **settings: Any) -> str:
        return refused(kind, distill, *arguments, **settings)

    few = ["the same text"] * 500 + sentences(50)
    assert (
        message(RequestError, Teacher(), few, tmp_path / "x")
        == "the list has 51 distinct texts: give at least 100"
    )
    assert message(RequestError, "tfidf", few, tmp_path / "x").startswith("model='tfidf' is cheaper than")
    assert (
        message(RequestError, Teacher(), few, tmp_path / "x", vocabulary=10)
        == "vocabulary=10: give 1000 or more"
    )
    (tmp_path / "y").mkdir()
    assert "overwrite=True" in message(ExistingOutputError, Teacher(), sentences(200), tmp_path / "y")
    assert not list(tmp_path.glob("x*"))


def test_a_folder_with_other_vectors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def reversed_vectors(folder: Path, tokenizer: Any, table: np.ndarray) -> Path:
        return save(folder, tokenizer, table[:, ::-1].copy())

    save = module.save_static
    monkeypatch.setattr(module, "save_static", reversed_vectors)
    message = refused(ParityError, distill, Teacher(), sentences(200), tmp_path / "x", vocabulary=1000)
    assert message.startswith("the saved folder gives other vectors")
    assert not (tmp_path / "x").exists()


def test_the_command(llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The student embeds a corpus, and its store is searched."""

    def run(line: str, *more: str) -> Any:
        done = CliRunner().invoke(main, [*line.split(), *more])
        assert done.exit_code == 0, done.output
        return done.stdout and json.loads(done.stdout)

    monkeypatch.chdir(tmp_path)
    Path("texts.csv").write_text("note\n" + "\n".join(sentences(150)))
    settings = "--texts texts.csv --text-column note --template ccw --pooling lasttoken --device cpu --json"
    assert run(f"distill {llama_folder} {settings} --output student")["cosine"] > 0.5
    run("embed texts.csv --text-column note --model sentence-transformers:student --output vectors")
    found = run("search vectors --top 1 --json", sentences(1)[0])
    assert found["queries"][0]["matches"][0]["score"] == pytest.approx(1, abs=1e-4)


def test_a_static_model_embeds_in_large_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its speed is that of few calls; a model with layers keeps the batches of sentence-transformers."""
    distill(Teacher(), sentences(120), tmp_path / "out", vocabulary=1000)
    encoder = SentenceTransformerEncoder(tmp_path / "out", device="cpu")
    encode, sizes = encoder.model.encode, list[Any]()

    def recorded(texts: list[str], **options: Any) -> Any:
        sizes.append(options.get("batch_size"))
        return encode(texts, **options)

    monkeypatch.setattr(encoder.model, "encode", recorded)
    assert encoder.encode(sentences(5)).shape == (5, 24)
    assert sizes == [1024]


def test_a_model_with_layers_keeps_its_batches(sentence_folder: Path) -> None:
    assert SentenceTransformerEncoder(sentence_folder, device="cpu")._batch == {}
