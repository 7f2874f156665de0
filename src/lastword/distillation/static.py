"""The static student: vectors of tokens whose mean is nearly the vector that a model gives to the text."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg  # type: ignore[import-untyped]

from lastword.distillation.teacher import Student, TeacherVectors, speed
from lastword.distillation.tokens import bags, stored_tokenizer, token_texts
from lastword.encoder import TextEncoder
from lastword.encoders.baselines import STATIC_BATCH
from lastword.encoders.in_parts import encoded
from lastword.errors import ParityError
from lastword.geometry import unit

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY, DIM = 30_000, 256
_RARE = 1e-3  # share of all tokens at which a token has half of the weight of a rare one
_STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01)
_STEPS = 60
_SAME = 1e-4  # of a number of a vector
_TIMED = 2000  # texts at least, for the speed


def make_static(
    encoder: TextEncoder, teacher: TeacherVectors, folder: Path, vocabulary: int, dim: int
) -> Student:
    """Fit and write a static student.

    Args:
        encoder: the teacher, for its vectors of tokens.
        teacher: its vectors of texts.
        folder: for unfinished work; the student is in its folder `model`.
        vocabulary: the most tokens.
        dim: the most dimensions.

    Raises:
        ParityError: the written folder does not give the vectors of the student in memory.
    """
    texts, vectors = teacher.texts, teacher.vectors
    tokenizer = stored_tokenizer(texts[teacher.fitting], vocabulary, folder / "tokenizer.json")
    tokens, _ = encoded(encoder, token_texts(tokenizer), "tokens", folder)
    tokens[0] = tokens[1:].mean(0)  # the unknown token
    targets = vectors @ principal_directions(vectors[teacher.fitting], dim)
    table, strength = _token_table(bags(tokenizer, texts), targets, tokens, teacher)
    saved = save_static(folder / "model", tokenizer, table)
    measured = texts[teacher.measuring]
    mine, texts_per_second = _embedded(saved, measured, bags(tokenizer, measured) @ table)
    facts = {"tokens": len(tokens), "strength": strength}
    return Student(saved, mine, targets[teacher.measuring], texts_per_second, facts)


def save_static(folder: Path, tokenizer: Tokenizer, table: np.ndarray) -> Path:
    """Write a folder that `SentenceTransformer` loads: mean vector of the tokens, scaled to length 1.

    Args:
        folder: to write; what is in it is deleted.
        tokenizer: text to tokens.
        table: (vocabulary, dim) float32.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    shutil.rmtree(folder, ignore_errors=True)
    modules = [StaticEmbedding(tokenizer, embedding_weights=table), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder), create_model_card=False)
    return folder


def principal_directions(vectors: np.ndarray, dim: int) -> np.ndarray:
    """The directions that keep most of (n, d) vectors, not centred, so that cosines stay: (d, dim)."""
    _, directions = np.linalg.eigh(vectors.T @ vectors)
    return np.ascontiguousarray(directions[:, ::-1][:, :dim])


def weighted(tokens: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Vectors of tokens, (vocabulary, d), shortened where a token is frequent.

    Args:
        tokens: what the model gives to each token alone.
        counts: how often each is in the texts, (vocabulary,).

    Source: smooth inverse frequency, Arora et al., "A simple but tough-to-beat baseline for sentence embeddings", ICLR
    2017, with the frequencies of the texts themselves; applied to single tokens as in model2vec.
    """
    shares = counts / counts.sum()
    result: np.ndarray = (tokens * (_RARE / (_RARE + shares))[:, None]).astype(np.float32)
    return result


def aligned(tokens: np.ndarray, texts: Any, targets: np.ndarray) -> np.ndarray:
    """Map vectors of tokens linearly, so that their mean is as near to the vector of the text as such a map allows.

    Tokens that no text has are mapped with the others.

    Args:
        tokens: (vocabulary, d).
        texts: (n, vocabulary), see `bags`.
        targets: (n, dim), the vectors of the texts.

    Returns:
        (vocabulary, dim) float32.
    """
    means = texts @ tokens
    gram = means.T @ means
    ridge = 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    mapped: np.ndarray = (tokens @ np.linalg.solve(gram + ridge, means.T @ targets)).astype(np.float32)
    return mapped


def fitted(
    tokens: np.ndarray, texts: Any, targets: np.ndarray, score: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, float]:
    """Move the vector of each token by ridge regression, frequent tokens more than rare ones.

    Args:
        tokens: (vocabulary, dim), where they begin.
        texts: (n, vocabulary), see `bags`.
        targets: (n, dim), the vectors of the texts.
        score: how good vectors of tokens are on other texts; decides the strength of the ridge.

    Returns:
        (vocabulary, dim) float32 and the strength; infinite if no move makes the score better.
    """
    best, strength, best_score = tokens, float("inf"), score(tokens)
    rest, move = targets - texts @ tokens, np.zeros_like(tokens)
    for candidate in _STRENGTHS:
        move = _ridge(texts, rest, candidate, move)
        if (reached := score(tokens + move)) <= best_score:
            break
        best, strength, best_score = tokens + move, candidate, reached
    return best, strength


def _ridge(texts: Any, targets: np.ndarray, strength: float, start: np.ndarray) -> np.ndarray:
    """Solve (XᵀX + strength) W = XᵀY by conjugate gradients, all columns together."""
    shape, across = start.shape, texts.T.tocsr()

    def product(flat: np.ndarray) -> np.ndarray:
        move = flat.reshape(shape)
        return np.asarray(across @ (texts @ move) + strength * move).ravel()

    operator = LinearOperator((start.size, start.size), matvec=product, dtype=np.float32)
    solution, _ = cg(operator, (across @ targets).ravel(), x0=start.ravel(), rtol=1e-3, maxiter=_STEPS)
    move: np.ndarray = solution.reshape(shape).astype(np.float32)
    return move


def _token_table(
    bag: Any, targets: np.ndarray, tokens: np.ndarray, teacher: TeacherVectors
) -> tuple[np.ndarray, float]:
    """Vectors of tokens, and the strength of the ridge that is best on the texts for choosing."""
    choose, learn = teacher.choosing, teacher.fitting
    wanted = unit(targets[choose])

    def score(table: np.ndarray) -> float:
        return float((unit(bag[choose] @ table) * wanted).sum(1).mean())

    counts = (bag[learn] > 0).sum(0) + 1
    start = aligned(weighted(tokens, np.asarray(counts)), bag[learn], targets[learn])
    return fitted(start, bag[learn], targets[learn], score)


def _embedded(folder: Path, texts: list[str], expected: np.ndarray) -> tuple[np.ndarray, float]:
    """Vectors of the saved model, and how many texts it embeds in a second.

    Raises:
        ParityError: they are not those of the model in memory.
    """
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    vectors = model.encode(texts, show_progress_bar=False)
    if (difference := float(np.abs(vectors - unit(expected)).max())) > _SAME:
        raise ParityError(f"the saved folder gives other vectors (by {difference:.1e}): report it as a bug")
    many = texts * -(-_TIMED // len(texts))
    settings = {"show_progress_bar": False, "batch_size": STATIC_BATCH}
    return vectors, speed(lambda batch: model.encode(batch, **settings), many)
