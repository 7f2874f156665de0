"""VECTOR → WORDS: what the model's own output head makes of a vector."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers.utils.hub import cached_file

from lastword.bundled import NAMES, path_of
from lastword.embedding import Embedder
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import RequestError

# What the heads of decoders are called: Llama, Qwen, Mistral, OPT | GPT-NeoX.
_HEADS = ("lm_head.weight", "embed_out.weight")
_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_LOOKED_AT = 64  # tokens looked at for each word asked for, at first


@dataclass(frozen=True)
class Word:
    """A word of the vocabulary.

    Attributes:
        word: the token, without blanks around it.
        probability: what the model gives it as the next token, if the vector is the state of the last one.
    """

    word: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Vocabulary:
    """The output head of a model with its tokens.

    Attributes:
        head: (vocabulary, dim) float32.
        tokenizer: what the rows mean.
    """

    head: Tensor
    tokenizer: TextTokenizer

    @classmethod
    def of(cls, embedder: Embedder) -> Vocabulary | None:
        """The head that the model was trained with, or None where there is none to be had.

        A model with tied embeddings has its own input embeddings as its head. Another one keeps a matrix for
        it, which an embedder leaves out: it is read from the files of the model, or of the base model that an
        adapted folder names.
        """
        head = _tied(embedder)
        if head is None:
            places = dict.fromkeys((embedder.name, embedder.facts.base))
            stored = (_stored(place, embedder.facts.revision) for place in places)
            head = next((found for found in stored if found is not None), None)
        if head is None or head.shape[1] != embedder.dim:
            return None
        return cls(head.detach().float().cpu(), embedder.tokenizer)

    def nearest(self, vector: np.ndarray, count: int) -> list[Word]:
        """Words that the head gives the highest logits.

        Tokens without a letter or digit, special tokens, and tokens that differ from one before only in case
        and blanks are passed over.

        Args:
            vector: (dim,), not scaled: the length decides how sure the model is.
            count: words at most.
        """
        logits = self.head @ torch.from_numpy(np.asarray(vector, dtype=np.float32))
        probabilities = logits.double().softmax(0)
        special = set(self.tokenizer.hf.all_special_ids)
        known = len(self.tokenizer.hf)  # the matrix may have more rows, to be of a round size
        found: dict[str, Word] = {}
        for place in self._ranked(logits, count):
            if place >= known or place in special:
                continue
            piece = str(self.tokenizer.hf.decode([place], clean_up_tokenization_spaces=False)).strip()
            if any(character.isalnum() for character in piece):
                found.setdefault(piece.casefold(), Word(piece, float(probabilities[place])))
            if len(found) == count:
                break
        return list(found.values())

    def _ranked(self, logits: Tensor, count: int) -> Any:
        """Tokens, highest logit first; all are sorted only if the first few do not do."""
        most = min(_LOOKED_AT * count, len(logits))
        yield from logits.topk(most).indices.tolist()
        if most < len(logits):
            yield from logits.argsort(descending=True).tolist()[most:]


def checked_count(words: int) -> int:
    """Refuse a number of words that makes no sense."""
    if words < 1:
        raise RequestError(f"words={words}: give 1 or more")
    return words


def _tied(embedder: Embedder) -> Tensor | None:
    model = embedder.backbone.model
    if not getattr(model.config.get_text_config(), "tie_word_embeddings", False):
        return None
    weight: Tensor = model.get_input_embeddings().weight
    return weight


def _stored(name: str, revision: str | None) -> Tensor | None:
    """The head in the files of a model that lie here; nothing is fetched for it."""
    place = str(path_of(name)) if name in NAMES else name
    index = _file(place, _INDEX, revision)
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index else {}
    for head in _HEADS:
        path = _file(place, shards.get(head, _WHOLE), revision)
        found = _tensor(path, head) if path else None
        if found is not None:
            return found
    return None


def _file(place: str, name: str, revision: str | None) -> Path | None:
    """A file of a folder, or of a model on the Hub if the cache holds it."""
    try:
        path = cached_file(
            place,
            name,
            revision=revision,
            local_files_only=True,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except (OSError, ValueError):  # neither a folder nor a name on the Hub, such as an object's own name
        return None
    return Path(path) if path else None


def _tensor(path: Path, name: str) -> Tensor | None:
    try:
        with safe_open(str(path), framework="pt") as file:
            return torch.as_tensor(file.get_tensor(name)) if name in set(file.keys()) else None
    except SafetensorError:
        return None
