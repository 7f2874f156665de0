"""A text encoder by its name: tfidf, sentence-transformers:NAME, or a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lastword.bundled import LEXICAL, SENTENCE_TRANSFORMERS
from lastword.console import load_libraries
from lastword.embedding.spec import known_spec, require_late
from lastword.embedding.windows import LongTexts
from lastword.encoder import TextEncoder, Wrapper
from lastword.encoders.baselines import SentenceTransformerEncoder, TfidfEncoder
from lastword.errors import RequestError

if TYPE_CHECKING:
    from lastword.embedding import Embedder
    from lastword.encoders.long_texts import LongTextEncoder


def load_encoder(model: str | Path | TextEncoder, **settings: str | None) -> TextEncoder:
    """Load an encoder by name; of a loaded decoder, `long_texts` may be changed.

    Args:
        model: "tfidf", "sentence-transformers:NAME_OR_FOLDER", or the name or folder of a decoder; "sparse:" before it
            gives sparse lexical vectors, "expanded:" those with words that a text does not have, "hybrid:" sparse
            beside dense ones, see `SparseEncoder`.
        **settings: template, pooling, dtype, device, long_texts (see `LongTexts`); None is the default.

    Raises:
        RequestError: a setting that this kind of model does not have.
        MissingFileError, ModelError: see the message.
    """
    if not isinstance(model, str | Path):
        _refuse(model, settings, "a loaded model")
        return _reading(model, settings.get("long_texts"))
    name = str(model)
    taken: dict[str, Any] = {key: settings[key] for key in settings_of(model) if key in settings}
    long_texts = taken.pop("long_texts", None)
    if name == "tfidf":
        _refuse(model, settings, name)
        return TfidfEncoder()
    if name.startswith(SENTENCE_TRANSFORMERS):
        _refuse(model, settings, "a sentence-transformers model")
        folder = name.removeprefix(SENTENCE_TRANSFORMERS)
        if not folder:
            raise RequestError(f"{name} has no model name: write {name}FOLDER or {name}NAME_ON_THE_HUB")
        load_libraries("torch", "sentence_transformers")
        return SentenceTransformerEncoder(folder, **taken)
    kind, _, decoder = name.partition(":")
    _refuse(model, settings, f"a model with {kind}: before its name")
    if long_texts is not None and LongTexts.parse(long_texts).kind == "late":
        require_late(known_spec(name, taken.get("template"), taken.get("pooling")))
    load_libraries("torch", "transformers.modeling_utils")
    from lastword.embedding import Embedder

    if kind not in LEXICAL:
        return _reading(Embedder.from_pretrained(model, **taken), long_texts)
    from lastword.encoders.sparse import SparseEncoder

    return SparseEncoder(Embedder.from_pretrained(decoder, **taken), **LEXICAL[kind])


def _reading(encoder: TextEncoder, long_texts: str | None) -> TextEncoder:
    """The encoder, or what reads all of long texts with it."""
    if long_texts is None or LongTexts.parse(long_texts).kind == "truncate":
        return encoder
    from lastword.encoders.long_texts import LongTextEncoder

    return LongTextEncoder(cast("Embedder", encoder), long_texts)


def settings_of(model: str | Path | TextEncoder) -> tuple[str, ...]:
    """Names of the settings that `load_encoder` takes for a model.

    Raises:
        RequestError: what is no model.
    """
    if not isinstance(model, str | Path):
        if not (callable(getattr(model, "encode", None)) and hasattr(model, "identity")):
            raise RequestError(
                f"model is {type(model).__name__}: give a name, a folder, or an object with encode and identity"
            )
        return ("long_texts",) if hasattr(model, "pipeline") else ()
    if str(model) == "tfidf":
        return ()
    if str(model).startswith(SENTENCE_TRANSFORMERS):
        return ("dtype", "device")
    long_texts = () if str(model).partition(":")[0] in LEXICAL else ("long_texts",)
    return ("template", "pooling", *long_texts, "dtype", "device")


def _refuse(model: str | Path | TextEncoder, settings: dict[str, str | None], kind: str) -> None:
    known = settings_of(model)
    for name, value in settings.items():
        if value is not None and name not in known:
            raise RequestError(f"{name}={value!r}: {kind} takes no {name}; leave it out")


@dataclass
class _Batched(Wrapper):
    """An embedder with a batch size of its own, whose passes give the vectors of other poolings too."""

    encoder: Embedder
    batch_tokens: int | None
    siblings: tuple[Embedder, ...]

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(sibling.identity for sibling in self.siblings)

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        return self.encoder.encode(texts, batch_tokens=self.batch_tokens)

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        return self.encoder.encode_query(texts, batch_tokens=self.batch_tokens)

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        return self.encoder.encode_document(texts, batch_tokens=self.batch_tokens)

    def encode_all(self, texts: Sequence[str], /) -> dict[str, np.ndarray]:
        embedders = (self.encoder, *self.siblings)
        poolings = [embedder.spec.pooling for embedder in embedders]
        vectors = self.encoder.encode_poolings(texts, poolings, batch_tokens=self.batch_tokens)
        return {embedder.identity: vectors[embedder.spec.pooling.spec] for embedder in embedders}


def with_batches(
    encoder: TextEncoder, batch_tokens: int | None, also_poolings: Sequence[str] = ()
) -> TextEncoder:
    """Set the batch size of an embedder, and further poolings that its passes compute; other encoders are unchanged.

    Raises:
        RequestError: further poolings for a model without poolings.
    """
    if hasattr(encoder, "batch_tokens") and not also_poolings:
        return replace(cast("LongTextEncoder", encoder), batch_tokens=batch_tokens)
    if not hasattr(encoder, "encode_poolings"):  # no decoder; without importing torch to know it
        if also_poolings:
            raise RequestError(
                f"also_poolings={list(also_poolings)}: {getattr(encoder, 'name', 'this model')} has no poolings; "
                "leave it out"
            )
        return encoder
    decoder = cast("Embedder", encoder)
    variants = [decoder.variant(pooling=pooling) for pooling in also_poolings]
    new = {
        sibling.spec.pooling: sibling for sibling in variants if sibling.spec.pooling != decoder.spec.pooling
    }
    if batch_tokens is None and not new:
        return decoder
    return _Batched(decoder, batch_tokens, tuple(new.values()))


def precision(encoder: TextEncoder) -> str | None:
    """Name of the precision of a decoder's weights, which is part of its identity; None for other models."""
    backbone = getattr(getattr(encoder, "encoder", encoder), "backbone", None)
    return backbone and str(backbone.dtype).removeprefix("torch.")


def description(encoder: TextEncoder) -> tuple[str, str | None, str | None]:
    """Name, template and pooling of a model; template and pooling are None for other models than decoders."""
    name, spec = getattr(encoder, "name", None) or encoder.identity, getattr(encoder, "spec", None)
    return name, spec and spec.template.name, spec and spec.pooling.spec
