"""Why vectors differ: each cause is computed with the right model, and the one that gives the same vectors is named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lastword.embedding.pooling import PLAIN, POOLINGS
from lastword.geometry import unit
from lastword.parity.model import Fault, Model
from lastword.parity.reference import Reference
from lastword.parity.result import Cause
from lastword.parity.sequences import SEQUENCES, TRUNCATION

_THETAS = (1e4, 1e5, 5e5, 1e6)
_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0,
           "original_max_position_embeddings": 8192}  # fmt: skip
_LENGTHS = (64, 100, 128, 256, 384, 512, 1024, 2048, 4096)
_SHORT = 6
_EXPLAINED = 0.9995
_NEARER = 0.05  # of the distance that is left
_ROUNDED_IN_BATCH = 0.999  # what another order of sums in bfloat16 leaves
_ROUNDED = 0.97  # what rounding alone leaves of a cosine


def least_cosine(vectors: np.ndarray, others: np.ndarray) -> float:
    """Least cosine of n pairs of vectors; -1 for vectors that are not finite."""
    cosines = (unit(vectors) * unit(others)).sum(1)
    return float(cosines.min()) if np.isfinite(cosines).all() else -1.0


def faults(model: Model) -> Iterator[tuple[str, Fault]]:
    """Every cause that changes the vector of a text alone, with what it does."""
    for cause, sequence in SEQUENCES:
        yield cause, Fault(sequence=sequence)
    for length in _LENGTHS:
        yield TRUNCATION, Fault(sequence=lambda parts, length=length: parts.shortened(length))  # type: ignore[misc]
    modes = {POOLINGS[model.pooling].pool}
    for name, method in PLAIN.items():
        if method.pool not in modes:
            modes.add(method.pool)
            yield f"wrong pooling: {name}", Fault(pooling=name)
    yield "final norm left out", Fault(states="before the final norm")
    for states in ("one layer earlier", "one layer earlier, without the final norm"):
        yield "states of one layer earlier", Fault(states=states)
    yield "attention to later tokens", Fault(all_see_all=True)
    for rotary in _rotary(model):
        yield "wrong rope", Fault(rotary=rotary)


def _rotary(model: Model) -> Iterator[dict[str, object]]:
    settings = model.rotary_settings
    if settings is None:
        return
    for theta in (settings["rope_theta"], *_THETAS):
        plain = {"rope_type": "default", "rope_theta": theta}
        scaled = [
            plain,
            {**settings, "rope_theta": theta},
            *({**_LLAMA3, "factor": f, "rope_theta": theta} for f in (8.0, 32.0)),
        ]
        yield from (variant for variant in scaled if variant != settings)


def cause_alone(reference: Reference, vectors: np.ndarray, known: str | None) -> Cause:
    """Why a target gives other vectors to texts alone.

    Args:
        reference: with the right vectors.
        vectors: (n, dim), the target's.
        known: the cause of other token ids, if there are any.
    """
    least = least_cosine(reference.vectors, vectors)
    if known:
        return Cause(known, f"token ids differ; least cosine {least:.4f}")
    model = reference.model
    if model is None:
        return _unexplained(least, "the model that tells causes apart is not at hand")
    # A folder whose own files changed gives its target's vectors itself: then the cause must undo the change.
    changed = least_cosine(model.vectors(reference.texts[:_SHORT]), reference.vectors[:_SHORT]) < _EXPLAINED
    wanted = reference.vectors if changed else vectors
    found = [(_explains(model, reference, wanted, fault), name, fault) for name, fault in faults(model)]
    score, name, _ = max(found, key=lambda entry: entry[0])
    if score >= _EXPLAINED and 1 - score <= _NEARER * (1 - least):
        undone = ": without it, the model gives the golden vectors" if changed else " gives these vectors"
        return Cause(name, f"this fault{undone}, cosine {score:.4f} instead of {least:.4f}")
    return _unexplained(
        least, f"no fault known here gives these vectors (nearest: {name}, cosine {score:.4f})"
    )


def _explains(model: Model, reference: Reference, wanted: np.ndarray, fault: Fault) -> float:
    """Least cosine of what a fault gives; the longer texts only where the short ones fit."""
    texts = reference.texts
    score = least_cosine(model.vectors(texts[:_SHORT], fault), wanted[:_SHORT])
    if score < _EXPLAINED:
        return score
    return min(score, least_cosine(model.vectors(texts[_SHORT:], fault), wanted[_SHORT:]))


def _unexplained(least: float, why: str) -> Cause:
    if least >= _ROUNDED:
        return Cause("lower precision", f"every cosine is {least:.4f} or more; {why}")
    return Cause("other weights", f"least cosine {least:.4f}; {why}")


def cause_in_batch(
    model: Model | None, texts: list[str], alone: np.ndarray, batch: np.ndarray, *, equal: bool
) -> Cause:
    """Why a target gives a text another vector in a batch than alone.

    Args:
        model: see `Reference`.
        texts: of the batch, in its order.
        alone: (n, dim), the target's vectors of these texts alone.
        batch: (n, dim), those in the batch.
        equal: the texts have the same number of tokens.
    """
    least, nearest = least_cosine(alone, batch), (unit(batch) @ unit(alone).T).argmax(1)
    if (
        sorted(nearest) == list(range(len(texts)))
        and least_cosine(alone[nearest], batch) > _EXPLAINED > least
    ):
        return Cause(
            "rows in another order", f"each vector is that of another text of the batch, cosine {least:.4f}"
        )
    simulated = {} if model is None else {
        "attention to later tokens in a batch": Fault(all_see_all=True),
        "padding seen by tokens": Fault(padding="seen"),
        "padding pooled": Fault(padding="pooled"),
    }  # fmt: skip
    for name, fault in simulated.items():
        assert model is not None
        score = least_cosine(model.vectors(texts, fault), batch)
        if score >= _EXPLAINED:
            return Cause(name, f"this fault gives these vectors, cosine {score:.4f} instead of {least:.4f}")
    name = "mask in batches of equal lengths" if equal else "padding"
    if least >= _ROUNDED_IN_BATCH:
        name = "lower precision"
    return Cause(name, f"a text alone and in a batch: least cosine {least:.4f}")
