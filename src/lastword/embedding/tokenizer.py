"""The tokenizer as lastword uses it: plain ids of plain texts, no special tokens, no padding.

Outer white space is no part of a text. It is removed by the tokenizer itself, as a normalizer that
is saved with it, so that every other reader of the folder does the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from lastword.errors import ModelError

_STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}


class TextTokenizer:
    """A fast Hugging Face tokenizer, taken apart into what tokenizes templates and what tokenizes texts.

    Attributes:
        hf: the tokenizer as loaded; kept for its files.
        bos_id, eos_id: ids of the special tokens, None where the tokenizer has none.
        pad_id: an id for padding; padding is masked, so any will do where there is none.
        adds_bos: whether the tokenizer by itself begins a sequence with its begin-of-text token.
    """

    def __init__(self, hf: PreTrainedTokenizerFast) -> None:
        if not getattr(hf, "is_fast", False):
            raise ModelError(f"{hf.name_or_path}: lastword needs a tokenizer.json, this tokenizer has none")
        self.hf = hf
        definition = json.loads(hf.backend_tokenizer.to_str())
        definition["truncation"] = definition["padding"] = None
        definition["normalizer"] = _without_strip(definition["normalizer"])
        self._parts = Tokenizer.from_str(json.dumps(definition))
        definition["normalizer"] = _with_strip(definition["normalizer"])
        self._texts = Tokenizer.from_str(json.dumps(definition))
        self.bos_id: int | None = hf.bos_token_id
        self.eos_id: int | None = hf.eos_token_id
        self.pad_id: int = next((i for i in (hf.pad_token_id, hf.eos_token_id) if i is not None), 0)
        self.adds_bos = self.bos_id is not None and self._parts.encode("a").ids[:1] == [self.bos_id]

    @classmethod
    def load(cls, name_or_folder: str | Path, revision: str | None = None) -> TextTokenizer:
        """Load the tokenizer of a model on the Hub or in a folder; no remote code is run."""
        try:
            hf: Any = AutoTokenizer.from_pretrained(str(name_or_folder), revision=revision)
            return cls(hf)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{name_or_folder} has no usable tokenizer: {str(error).splitlines()[0]}"
            ) from error

    def part_ids(self, part: str) -> list[int]:
        """Ids of a piece of template; its white space counts."""
        ids: list[int] = self._parts.encode(part, add_special_tokens=False).ids
        return ids

    def text_ids(self, texts: list[str]) -> list[list[int]]:
        """Ids of whole texts, without outer white space."""
        return [encoding.ids for encoding in self._texts.encode_batch_fast(texts, add_special_tokens=False)]

    def text_offsets(self, texts: list[str]) -> list[list[tuple[int, int]]]:
        """The (start, end) characters in each text that each of its `text_ids` stands for."""
        return [encoding.offsets for encoding in self._texts.encode_batch(texts, add_special_tokens=False)]

    def formatted_ids(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids of a formatted string, and the (start, end) characters of each."""
        encoding = self._parts.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def definition(self) -> dict[str, object]:
        """The `tokenizer.json` that tokenizes texts, as parsed JSON; truncation and padding left open."""
        definition: dict[str, object] = json.loads(self._texts.to_str())
        return definition


def _with_strip(normalizer: dict[str, object] | None) -> dict[str, object]:
    """Put the removal of outer white space before whatever else the normalizer does."""
    rest = [] if normalizer is None else [normalizer]
    return {"type": "Sequence", "normalizers": [_STRIP, *rest]}


def _without_strip(normalizer: dict[str, object] | None) -> dict[str, object] | None:
    """Undo `_with_strip` on the tokenizer of a folder that lastword wrote."""
    if normalizer is None or normalizer.get("type") != "Sequence":
        return normalizer
    inner = normalizer["normalizers"]
    if not isinstance(inner, list) or inner[:1] != [_STRIP] or len(inner) > 2:
        return normalizer
    return inner[1] if len(inner) == 2 else None
