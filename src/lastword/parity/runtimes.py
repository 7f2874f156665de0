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
from lastword.embedding.pooling import POOLINGS
from lastword.errors import ModelError, first_line
from lastword.extras import needed
from lastword.files.gguf import gguf_fields
from lastword.geometry import unit
from lastword.parity.requests import GGUF, ONNX, OPENVINO, PARITY

INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
"""Names in a graph."""


class Runtime(ABC):
    """A model that takes padded token ids, with `tokenizer.json` beside it.

    Args:
        folder: with `tokenizer.json`, which has the template, and `tokenizer_config.json`.
    """

    kind: str
    precision: str | None = "float32"
    most = 32

    def __init__(self, folder: Path) -> None:
        if (folder / PARITY).is_file():
            self.precision = json.loads((folder / PARITY).read_text(encoding="utf-8"))["dtype"]
        try:
            settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.longest = int(settings["model_max_length"])
            self.tokenizer.enable_truncation(self.longest)
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


class OnnxRuntime(Runtime):
    """A graph in onnxruntime, on the processor."""

    kind = "ONNX, run by onnxruntime"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        onnxruntime = needed("onnxruntime", "export", "running an ONNX file")
        file, options = str(folder / ONNX), onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises nothing more special
            raise ModelError(f"{file} does not load in onnxruntime: {first_line(error)}") from error

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        vectors: np.ndarray = self.session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        return vectors


class OpenVino(Runtime):
    """A graph in OpenVINO, on the processor, in float32."""

    kind = "OpenVINO"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        openvino = needed("openvino", "export", "running an OpenVINO file")
        file = str(folder / OPENVINO)
        try:
            model = openvino.Core().read_model(file)
            # Without the hint it computes in bfloat16 where the processor can.
            self.model = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # openvino raises nothing more special
            raise ModelError(f"{file} does not load in OpenVINO: {first_line(error)}") from error

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        vectors: np.ndarray = self.model(dict(zip(INPUTS, (ids, mask), strict=True)))[OUTPUT]
        return vectors


class Gguf(Runtime):
    """A GGUF file, read by transformers: weights, tokenizer and pooling type; the template is put around texts."""

    kind = "GGUF, read by transformers"

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        from lastword.embedding.gguf import model_arguments, parsed_once

        super().__init__(folder)
        facts = json.loads((folder / "lastword.json").read_text(encoding="utf-8"))
        self.prefix, self.suffix, self.normalize = (
            facts["prefix_ids"],
            facts["suffix_ids"],
            facts["normalize"],
        )
        file = folder / GGUF
        try:
            with parsed_once(file):
                name, arguments = model_arguments(file)
                self.module: Any = AutoModel.from_pretrained(name, dtype=torch.float32, **arguments).eval()
                self.words: Any = AutoTokenizer.from_pretrained(name, gguf_file=file.name)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"{file} does not load: {first_line(error)}") from error
        fields = gguf_fields(file)
        kinds = {1: "mean", 2: "cls", 3: "lasttoken"}
        self.pooling = POOLINGS[kinds[int(fields[f"{fields['general.architecture']}.pooling_type"])]]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Target`."""
        budget = self.longest - len(self.prefix) - len(self.suffix)
        rows = self.words([text.strip() for text in texts], add_special_tokens=False)["input_ids"]
        return [[*self.prefix, *row[:budget], *self.suffix] for row in rows]

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        import torch

        with torch.inference_mode():
            inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
            pooled = self.pooling.pool(
                self.module(**inputs).last_hidden_state, inputs["attention_mask"].bool()
            )
        vectors: np.ndarray = pooled.numpy()
        return unit(vectors) if self.normalize else vectors


def read_runtime(folder: Path) -> Runtime | None:
    """The runtime that a folder is for; None for a folder of sentence-transformers."""
    if (folder / ONNX).is_file():
        return OnnxRuntime(folder)
    if (folder / OPENVINO).is_file():
        return OpenVino(folder)
    if (folder / GGUF).is_file():
        return Gguf(folder)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return Adapter(folder)
    return None
