"""VECTOR → WORDS: the tokens that the model's output head predicts from a vector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers.utils.hub import cached_file

from lastword.bundled import model_source
from lastword.embedding import Embedder
from lastword.embedding.adapters import adapter_settings
from lastword.embedding.folder import read
from lastword.embedding.gguf import read_head
from lastword.embedding.tokenizer import TextTokenizer
from lastword.files.gguf import find_gguf

# Names of the output head in decoders: Llama, Qwen, Mistral, OPT | GPT-NeoX.
_HEADS = ("lm_head.weight", "embed_out.weight")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_CANDIDATES = 64  # tokens tried first for each word requested


@dataclass(frozen=True)
class Word:
    """A word of the vocabulary.

    Attributes:
        word: the token without surrounding spaces.
        probability: that it is the next token, if the vector is the last token's state.
    """

    word: str
    probability: float


@dataclass(frozen=True)
class Vocabulary:
    """The output head of a model with its tokens.

    Attributes:
        head: (vocabulary, dim) float32.
        tokenizer: maps rows to tokens.
    """

    head: Tensor
    tokenizer: TextTokenizer

    @classmethod
    def of(cls, embedder: Embedder) -> Vocabulary | None:
        """The head that the model was trained with, or None if it cannot be found.

        With tied embeddings the head is the input embedding matrix. Otherwise it is a matrix of its own,
        which an embedder does not load: it is read from the files of the model, or of the base model that an
        adapted folder names.
        """
        head = _tied_head(embedder)
        if head is None:
            names = dict.fromkeys((embedder.name, *_bases(embedder.provenance.base)))
            stored = (_stored_head(name, embedder.provenance.revision) for name in names)
            head = next((matrix for matrix in stored if matrix is not None), None)
        if head is None or head.shape[1] != embedder.dim:
            return None
        return cls(head.detach().float().cpu(), embedder.pipeline.tokenizer)

    def nearest(self, vector: np.ndarray, count: int) -> list[Word]:
        """Words with the highest logits.

        Skips special tokens, tokens without a letter or digit, and tokens that differ from an earlier one
        only in case and spaces.

        Args:
            vector: (dim,), not normalized: its length affects the probabilities.
            count: maximum number of words.
        """
        logits = self.head @ torch.from_numpy(np.asarray(vector, dtype=np.float32))
        probabilities = logits.double().softmax(0)
        special = set(self.tokenizer.hf.all_special_ids)
        size = len(self.tokenizer.hf)  # the matrix may have more rows, rounded up
        words: dict[str, Word] = {}
        for token_id in self._ranked(logits, count):
            if token_id >= size or token_id in special:
                continue
            piece = self.word(token_id)
            if any(character.isalnum() for character in piece):
                words.setdefault(piece.casefold(), Word(piece, float(probabilities[token_id])))
            if len(words) == count:
                break
        return list(words.values())

    def logits(self, states: np.ndarray) -> np.ndarray:
        """The logits of all tokens, (n, tokens), for states that are not normalized, (n, dim)."""
        logits: np.ndarray = (torch.from_numpy(np.asarray(states, np.float32)) @ self.head.T).numpy()
        return logits[:, : len(self.tokenizer.hf)]  # the matrix may have more rows, rounded up

    def word(self, token_id: int) -> str:
        """A token without surrounding spaces."""
        return str(self.tokenizer.hf.decode([token_id], clean_up_tokenization_spaces=False)).strip()

    def _ranked(self, logits: Tensor, count: int) -> Iterator[int]:
        """Token ids, highest logit first; all are sorted only if the first few are not enough."""
        first = min(_CANDIDATES * count, len(logits))
        yield from logits.topk(first).indices.tolist()
        if first < len(logits):
            yield from logits.argsort(descending=True).tolist()[first:]


def _bases(base: str) -> list[str]:
    """A base model, and those that it was adapted from itself: model folders, checkpoints and adapters name theirs."""
    names: list[str] = []
    while base not in names:
        names.append(base)
        folder = Path(model_source(base))
        if stored := read(folder) if folder.is_dir() else None:
            base = stored.provenance.base
        elif (folder / "adapter_config.json").is_file():
            base = str(adapter_settings(folder).base_model_name_or_path)
    return names


def _tied_head(embedder: Embedder) -> Tensor | None:
    model = embedder.backbone.model
    if not getattr(model.config.get_text_config(), "tie_word_embeddings", False):
        return None
    weight: Tensor = model.get_input_embeddings().weight
    return weight


def _stored_head(name: str, revision: str | None) -> Tensor | None:
    """The head from the local files of a model; nothing is downloaded."""
    model = str(model_source(name))
    if find_gguf(model):
        return read_head(model)
    index = _local_file(model, _INDEX, revision)
    shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index else {}
    for head in _HEADS:
        path = _local_file(model, shards.get(head, _WEIGHTS), revision)
        tensor = _read_tensor(path, head) if path else None
        if tensor is not None:
            return tensor
    return None


def _local_file(model: str, name: str, revision: str | None) -> Path | None:
    """A file of a folder, or of a model on the Hub if the Hub cache has it."""
    try:
        path = cached_file(model, name, revision=revision, local_files_only=True)
    except (
        OSError,
        ValueError,
    ):  # not there; or neither a folder nor a Hub name, such as the name of an object
        return None
    return Path(path) if path else None


def _read_tensor(path: Path, name: str) -> Tensor | None:
    try:
        with safe_open(str(path), framework="pt") as file:
            return torch.as_tensor(file.get_tensor(name)) if name in set(file.keys()) else None
    except SafetensorError:
        return None
