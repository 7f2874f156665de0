"""Golden vectors: the vectors that a folder must give anywhere; what others read from it, compared with the model.

The comparison shares no code with what wrote the folder: token ids come from transformers, vectors from
sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from lastword.console import silenced
from lastword.embedding.pipeline import Pipeline
from lastword.errors import ParityError, first_line
from lastword.files.plain_json import json_text
from lastword.geometry import unit

GOLDEN = "golden.json"
# Short, long, nearly empty, of equal length, quoted, in other scripts and directions, with emoji, control characters
# and unusual white space. Changing a text changes golden.json of every folder written from then on.
EQUAL_TEXTS = ("a man is driving a car", "a car is driving a man", "a driving man is a car")
GOLDEN_TEXTS = (
    *EQUAL_TEXTS,
    "a cat is sleeping on it",
    "The quick brown fox jumps over the lazy dog.",
    "word",
    "Zebras?",
    '"Quoted", she said, and left.',
    "  outer white space is no part of a text \n",
    "Größe, naïve café, 東京, Привет, مرحبا",
    "rocket 🚀 and family 👩‍👩‍👧",
    "Prices: $1,299.00 (was 1.499,00 €) — 25 % off!",
    "line one\nline two\tand a tab",
    ".",
    "a bell\x07, an escape\x1b[1m and a zero-width\u200bspace",
    "كيف حالك اليوم؟ שלום עולם",
    "A long text goes on and is cut where the model's length ends, while the template stays whole. " * 40,
)
# What a text may begin or end with, and a tokenizer may drop, add or merge there.
_EDGES = (" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", '"', "'", "“", ".", ",", "!", "…", "(", ")", "-")
_EDGE_TEXTS = tuple(f"{edge}a man{edge}" for edge in (" ", "\n", '"', "."))
Encode = Callable[..., np.ndarray]
"""`Embedder.encode`: texts, and perhaps `prompt_name` → (n, dim) float32."""


def write_golden(folder: Path, pipeline: Pipeline, encode: Encode, *, exact: bool) -> None:
    """Write the golden texts of a folder with their ids and vectors; others must get those of the model in memory.

    Args:
        folder: a complete folder; `golden.json` is added.
        pipeline: what the folder was written from.
        encode: vectors of the model in memory.
        exact: the weights were stored as they were: require equal vectors up to rounding.

    Raises:
        ParityError: token ids or vectors disagree.
    """
    require_equal_ids(folder, pipeline)
    with silenced("sentence_transformers"):  # a golden text is truncated on purpose
        vectors = _require_equal_vectors(folder, pipeline, encode, 0.99999 if exact else 0.99)
    content = {
        "about": "token ids and float32 vectors of these texts, as this folder must give them anywhere",
        "texts": list(GOLDEN_TEXTS),
        "ids": pipeline.tokenize(GOLDEN_TEXTS).ids,
        "vectors": [[float(f"{x:.8g}") for x in row] for row in vectors],
    }
    (folder / GOLDEN).write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def require_equal_ids(folder: Path, pipeline: Pipeline) -> None:
    """Require that transformers gives the ids of the model in memory, for truncated texts and special tokens too.

    Args:
        folder: with its tokenizer and `config.json`, which decides the class of the tokenizer.
        pipeline: what it was written from.

    Raises:
        ParityError: the first text with other ids.
    """
    hf = AutoTokenizer.from_pretrained(folder)
    edges = (*_EDGES, *hf.all_special_tokens)
    texts = [
        *GOLDEN_TEXTS,
        *(text for edge in edges for text in (f"{edge}a man", f"a man{edge}", f"a{edge}man")),
    ]
    memory, others = pipeline.tokenize(texts).ids, hf(texts, truncation=True)["input_ids"]
    for text, expected, ids in zip(texts, memory, others, strict=True):
        if ids != expected:
            at = next(
                (i for i, pair in enumerate(zip(ids, expected, strict=False)) if len(set(pair)) > 1), -1
            )
            raise ParityError(
                f"the written folder disagrees with the model in memory: transformers, which reads the tokenizer of a "
                f"{pipeline.backbone.model.config.model_type} model as {type(hf).__name__}, gives other tokens for "
                f"{text[:40]!r}: {hf.convert_ids_to_tokens(ids)[at:][:5]}, not "
                f"{hf.convert_ids_to_tokens(expected)[at:][:5]}"
            )


def _require_equal_vectors(folder: Path, pipeline: Pipeline, encode: Encode, least: float) -> np.ndarray:
    """The vectors that sentence-transformers gives, alone, padded and with prompts, are those in memory.

    The only code in the folder may be that of a pooling with weights, which lastword has just written.

    Returns:
        (texts, dim) float32 vectors of `GOLDEN_TEXTS` in sentence-transformers.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    try:
        model = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32},
            trust_remote_code=pipeline.spec.pooling.trainable,
        )  # fmt: skip
    except Exception as error:  # whatever it is, others cannot read the folder
        raise ParityError(
            f"the written folder, a {pipeline.backbone.model.config.model_type} model, does not load in "
            f"sentence-transformers: {first_line(error)}"
        ) from error

    def other(texts: Sequence[str], **prompt: Any) -> np.ndarray:
        vectors: np.ndarray = model.encode(list(texts), show_progress_bar=False, batch_size=8, **prompt)
        return vectors

    *short, long = GOLDEN_TEXTS
    padded, alone = other([*short, *_EDGE_TEXTS]), other([long])
    golden = np.concatenate([padded[: len(short)], alone])
    compared = [
        (encode([*GOLDEN_TEXTS, *_EDGE_TEXTS]), np.concatenate([golden, padded[len(short) :]])),
        *(
            (encode(short[:2], prompt_name=name), other(short[:2], prompt_name=name))
            for name in pipeline.spec.prompts
        ),
    ]
    cosine = min(float((unit(memory) * unit(others)).sum(1).min()) for memory, others in compared)
    if not cosine >= least:
        raise ParityError(
            f"the written folder disagrees with the model in memory: smallest cosine {cosine:.5f} "
            "in sentence-transformers"
        )
    return golden
