"""Targets that run outside sentence-transformers, with the exported tokenizer alone."""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from lastword.console import silenced
from lastword.errors import ModelError, first_line


class Runtime(ABC):
    """A model that takes padded token ids, with `tokenizer.json` beside it.

    Args:
        folder: with `tokenizer.json`, which has the template, and `tokenizer_config.json`.
    """

    kind: str
    precision: str | None = "float32"
    most = 32

    def __init__(self, folder: Path) -> None:
        try:
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.tokenizer.enable_truncation(settings["model_max_length"])
            self.pad = self.tokenizer.token_to_id(settings["pad_token"])
        except Exception as error:  # tokenizers raises nothing more special
            raise ModelError(f"{folder} has no usable tokenizer: {first_line(error)}") from error

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Target`."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """See `Target`; padded on the right."""
        rows = self.ids(texts)
        ids = np.full((len(rows), max(map(len, rows))), self.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        return self.run(ids, mask)

    @abstractmethod
    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(batch, seq) ids and mask → (batch, dim) float32."""


class Adapter(Runtime):
    """An adapter over its base model, put together by peft."""

    kind = "adapter, loaded by peft"

    def __init__(self, folder: Path) -> None:
        import torch
        from peft import PeftModel

        from lastword.embedding.folder import read
        from lastword.embedding.loading import load_decoder, split_adapter

        super().__init__(folder)
        base, _ = split_adapter(str(folder), None)
        stored = read(folder)
        if stored is None:
            raise ModelError(
                f"{folder} does not say how it pools: it has neither lastword.json nor modules.json"
            )
        self.spec = stored.spec
        module: Any = load_decoder(base, torch.device("cpu"), torch.float32, None, None)
        try:
            with silenced("peft"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # peft asks transformers by names that are deprecated
                self.module = PeftModel.from_pretrained(module, str(folder)).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{folder} does not load in peft: {first_line(error)}") from error

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        import torch

        with torch.inference_mode():
            inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            states = self.module(**inputs).last_hidden_state
            pooled = self.spec.pooling(states, torch.from_numpy(mask).bool())
            vectors: np.ndarray = (
                torch.nn.functional.normalize(pooled, dim=-1) if self.spec.normalize else pooled
            ).numpy()
        return vectors


def read_runtime(folder: Path) -> Runtime | None:
    """The runtime that a folder is for; None for a folder of sentence-transformers."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return Adapter(folder)
    return None
