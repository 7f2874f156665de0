"""What a target is compared with: texts, their right token ids and vectors, and the model that tells causes apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastword.embedding import Embedder
from lastword.embedding.golden import GOLDEN, GOLDEN_TEXTS
from lastword.embedding.loading import tokenizer_source
from lastword.embedding.spec import LASTWORD_JSON
from lastword.embedding.standard import read_standard
from lastword.embedding.tokenizer import TextTokenizer
from lastword.encoders.baselines import SentenceTransformerEncoder
from lastword.errors import ModelError, first_line
from lastword.parity.model import Model
from lastword.parity.sequences import Parts

_NEEDLESS = {
    "template",
    "prompts",
}  # what `read_standard` cannot say in its own terms, but causes do not need


@dataclass(frozen=True)
class Reference:
    """Texts with their right token ids and vectors.

    Attributes:
        name: for people.
        texts: n texts.
        vectors: (n, dim) float32.
        ids: of each text; None where they are not known.
        encode: vectors of other texts, one text at a time; None where the model is not at hand.
        model: tells causes apart; None where the model is not at hand, or is no plain chain of
            transformer, pooling and normalisation.
    """

    name: str
    texts: tuple[str, ...]
    vectors: np.ndarray
    ids: list[list[int]] | None
    encode: Callable[[Sequence[str]], np.ndarray] | None
    model: Model | None


def read_reference(folder: str | Path, model: str | Path | None = None) -> Reference:
    """The golden texts of a folder, or vectors of its model alone, computed in float32.

    Args:
        folder: of a model or of an export, or a name on the Hub.
        model: a folder with weights, where `folder` has none that torch reads; None takes `folder` itself.

    Raises:
        ModelError: see the message.
    """
    stored, name = _golden(Path(folder)), str(folder)
    weights = Path(model or folder)
    runs = not weights.exists() or any(
        (weights / file).is_file() for file in ("config.json", "adapter_config.json")
    )
    encode, plain = _loaded(str(model or folder)) if runs else (None, None)
    if stored:
        texts, ids, vectors = stored
        if ids is None and plain:
            ids = [list(parts.sequence) for parts in plain.split(texts)]
        return Reference(f"golden vectors of {name}", texts, vectors, ids, encode, plain)
    if encode is None:
        raise ModelError(
            f"{name} has no {GOLDEN} and no config.json: name the folder of its model with reference=…"
        )
    ids = [list(parts.sequence) for parts in plain.split(GOLDEN_TEXTS)] if plain else None
    return Reference(f"{name} alone in float32", GOLDEN_TEXTS, encode(GOLDEN_TEXTS), ids, encode, plain)


def _golden(folder: Path) -> tuple[tuple[str, ...], list[list[int]] | None, np.ndarray] | None:
    path = folder / GOLDEN
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        vectors = np.array(content["vectors"], dtype=np.float32)
        texts = tuple(map(str, content["texts"]))
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise ValueError("it has not one vector for each text")
        return texts, content.get("ids"), vectors
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {first_line(error)}") from error


def _loaded(name: str) -> tuple[Callable[[Sequence[str]], np.ndarray], Model | None]:
    """How a model embeds texts one at a time in float32, and the model itself if it is a plain chain."""
    try:
        embedder = Embedder.from_pretrained(name, dtype="float32", device="cpu", fused=False)
    except ModelError:
        if (Path(name) / LASTWORD_JSON).is_file():
            raise
        return _of_standard(name)  # an encoder, or modules that only sentence-transformers runs
    return lambda texts: _alone(embedder.encode, texts), _of_embedder(embedder, Path(name))


def _alone(encode: Callable[..., np.ndarray], texts: Sequence[str]) -> np.ndarray:
    return np.concatenate([encode([text]) for text in texts])


def _of_embedder(embedder: Embedder, folder: Path) -> Model | None:
    spec = embedder.spec
    pooling = spec.pooling
    if spec.template.middle is not None or pooling.also or pooling.trainable or spec.attention != "causal":
        return (
            None  # the causes assume one text between prefix and suffix, one plain pooling and a causal model
        )
    tokenizer, compiled = embedder.pipeline.tokenizer, embedder.pipeline.compiled
    prefix, suffix = compiled.prefix_ids, compiled.suffix_ids
    if (path := folder / LASTWORD_JSON).is_file():  # as written, whatever became of the tokenizer since
        stored = json.loads(path.read_text(encoding="utf-8"))
        prefix, suffix = tuple(stored["prefix_ids"]), tuple(stored["suffix_ids"])
    try:
        norm = embedder.backbone.stock.final_norm
    except ModelError:
        norm = None
    return Model(
        embedder.backbone.model,
        _splitter(tokenizer, prefix, suffix, compiled.max_tokens),
        embedder.spec.pooling.name,
        embedder.spec.normalize,
        tokenizer.pad_id,
        norm,
    )


def _of_standard(name: str) -> tuple[Callable[[Sequence[str]], np.ndarray], Model | None]:
    encoder, standard = SentenceTransformerEncoder(name, dtype="float32", device="cpu"), read_standard(name)

    def encode(texts: Sequence[str]) -> np.ndarray:
        return _alone(encoder.encode, texts)

    if standard is None or set(standard.unsupported) - _NEEDLESS or standard.spec.pooling.also:
        return encode, None
    tokenizer, spec = TextTokenizer.load(*tokenizer_source(name, None), strip=False), standard.spec
    prefix, suffix = map(tuple, tokenizer.added_ids)
    split = _splitter(tokenizer, prefix, suffix, encoder.model.max_seq_length)
    module = encoder.model[0].auto_model
    return encode, Model(module, split, spec.pooling.name, spec.normalize, tokenizer.pad_id)


def _splitter(
    tokenizer: TextTokenizer, prefix: Any, suffix: Any, longest: int
) -> Callable[[Sequence[str]], list[Parts]]:
    def split(texts: Sequence[str]) -> list[Parts]:
        fixed = (prefix, suffix, tokenizer.bos_id, tokenizer.eos_id, longest)
        return [
            Parts(tuple(tokenizer.part_ids(text)), tuple(ids), *fixed)
            for text, ids in zip(texts, tokenizer.text_ids(list(texts)), strict=True)
        ]

    return split
