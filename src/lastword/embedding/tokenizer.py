"""The tokenizer as lastword uses it: ids of texts alone, no special tokens, no padding.

White space at both ends of a text is removed. The tokenizer itself does it, by a normalizer that is saved
with it, so that every other reader of the folder does the same. Where other readers would not use the saved
normalizer (`keeps_normalizer`), or white space is a token of its own, white space counts here too.
"""

from __future__ import annotations

import copy
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerFast

from lastword.embedding.gguf import source_arguments
from lastword.errors import ModelError, first_line

# A model's own class (LlamaTokenizerFast, TokenizersBackend) would rebuild the post-processor or be unknown to
# older readers; this one keeps tokenizer.json as it is, in every version and for almost every model type.
SAVED_CLASS = "PreTrainedTokenizerFast"
_STRIP = {"type": "Strip", "strip_left": True, "strip_right": True}


class TextTokenizer:
    """A fast Hugging Face tokenizer in two versions: one for parts of templates, one for texts.

    Attributes:
        hf: the tokenizer as loaded.
        bos_id, eos_id: ids of the special tokens, None where the tokenizer has none.
        pad_id: an id for padding; padding is masked, so any id will do where the tokenizer has none.
        adds_bos: whether the tokenizer by default begins a sequence with its begin-of-text token.

    Args:
        hf: a fast tokenizer.
        strip: remove outer white space from texts; False leaves texts to the tokenizer as they are.
    """

    def __init__(self, hf: PreTrainedTokenizerFast, *, strip: bool = True) -> None:
        if not getattr(hf, "is_fast", False):
            raise ModelError(f"{hf.name_or_path} has no tokenizer.json: lastword needs a fast tokenizer")
        self.hf = hf
        definition = json.loads(hf.backend_tokenizer.to_str())
        definition["truncation"] = definition["padding"] = None
        definition["post_processor"] = _text_once(definition["post_processor"])
        normalizer = definition["normalizer"]
        definition["normalizer"] = bare = _without_strip(normalizer)
        self._parts = Tokenizer.from_str(json.dumps(definition))
        definition["normalizer"] = _with_strip(bare) if strip and _may_strip(definition) else normalizer
        self._texts = Tokenizer.from_str(json.dumps(definition))
        self.bos_id: int | None = hf.bos_token_id
        self.eos_id: int | None = hf.eos_token_id
        special = (hf.pad_token_id, hf.eos_token_id, hf.bos_token_id, hf.unk_token_id, *hf.all_special_ids)
        self.pad_id: int = next((i for i in special if i is not None), 0)
        self.adds_bos = self.bos_id is not None and self.added_ids[0][:1] == [self.bos_id]

    @classmethod
    def load(
        cls, name_or_folder: str | Path, revision: str | None = None, *, strip: bool = True
    ) -> TextTokenizer:
        """Load the tokenizer of a model on the Hub or in a folder, without running remote code."""
        try:
            source, arguments = source_arguments(name_or_folder)
            hf: Any = AutoTokenizer.from_pretrained(source, revision=revision, **arguments)
            return cls(hf, strip=strip)
        except (OSError, ValueError) as error:
            if "instantiate the backend tokenizer" in str(
                error
            ):  # a list of what it might have been made from
                reason = "files are missing; copy tokenizer.json and tokenizer_config.json of its base model into it"
            else:
                reason = first_line(error)
            raise ModelError(f"{name_or_folder} has no usable tokenizer: {reason}") from error

    def part_ids(self, part: str) -> list[int]:
        """Ids of a part of a template; its white space counts."""
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

    @property
    def added_ids(self) -> tuple[list[int], list[int]]:
        """The ids that the tokenizer by default adds before and after a text: its post-processor."""
        encoding = self._parts.encode("a")
        own = [i for i, special in enumerate(encoding.special_tokens_mask) if not special] or [
            len(encoding.ids)
        ]
        return encoding.ids[: own[0]], encoding.ids[own[-1] + 1 :]

    @property
    def identity(self) -> str:
        """A hash of everything that decides the ids of a text.

        The post-processor does not: texts are encoded without it, and a saved folder has its template there.
        """
        settings = {name: value for name, value in self.definition().items() if name != "post_processor"}
        special = [self.bos_id, self.eos_id, self.adds_bos]
        return hashlib.sha256(json.dumps([settings, special]).encode()).hexdigest()

    def definition(self) -> dict[str, object]:
        """The `tokenizer.json` that tokenizes texts, as parsed JSON, without truncation and padding."""
        definition: dict[str, object] = json.loads(self._texts.to_str())
        return definition


def keeps_normalizer(config: PreTrainedConfig) -> bool:
    """Whether transformers uses the normalizer that a saved model of this type has in its `tokenizer.json`.

    For some types (Qwen2, Qwen3.5) it ignores the saved tokenizer class and builds the tokenizer from the
    vocabulary, with normalizers of its own. Which types these are depends on its version, so it is tried.
    """
    backend = Tokenizer(models.BPE({"a": 0, " ": 1, "Ġ": 2, "▁": 3}, []))  # a space as each kind writes it
    backend.normalizer = normalizers.Strip()
    config = copy.deepcopy(config)
    config._name_or_path = ""  # transformers has rules for some names, and a saved folder has another one
    with tempfile.TemporaryDirectory() as folder:
        backend.save(str(Path(folder, "tokenizer.json")))
        Path(folder, "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": SAVED_CLASS}))
        loaded: Any = AutoTokenizer.from_pretrained(folder, config=config)
    kept: bool = loaded(" a ")["input_ids"] == loaded("a")["input_ids"]
    return kept


def _text_once(post_processor: dict[str, Any] | None) -> dict[str, Any] | None:
    """An echo template without the second copy of the text, which is there even where no special tokens are added."""
    if not post_processor or post_processor["type"] != "TemplateProcessing":
        return post_processor
    pieces = post_processor["single"]
    first = next(piece for piece in pieces if "Sequence" in piece)
    return {
        **post_processor,
        "single": [piece for piece in pieces if "Sequence" not in piece or piece is first],
    }


def _may_strip(definition: dict[str, Any]) -> bool:
    """Whether stripping leaves the added tokens as they are; those of Pythia, OLMo and Phi-2 are runs of spaces."""
    return all(
        token["content"] == token["content"].strip() or not token["normalized"]
        for token in definition["added_tokens"]
    )


def _with_strip(normalizer: dict[str, object] | None) -> dict[str, object]:
    """Remove outer white space before the other normalizers."""
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
