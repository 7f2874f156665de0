"""Targets that run outside sentence-transformers, with the exported tokenizer alone."""

from __future__ import annotations

import json
import re
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
from lastword.parity.requests import GGUF, ONNX, OPENVINO, PARITY, tokenizer_folder

ADAPTER = "adapter_config.json"
_POOLING_TYPES = {1: "mean", 2: "cls", 3: "lasttoken"}
"""As llama.cpp numbers them."""
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
"""Names in a graph."""


class Runtime(ABC):
    """A model that takes padded token ids.

    Args:
        file: what is run.
        folder: with `tokenizer.json`, which has the template, and `tokenizer_config.json`.
    """

    kind: str
    precision: str | None = "float32"
    most = 32

    def __init__(self, file: Path, folder: Path) -> None:
        if (card := file.parent / PARITY).is_file():
            self.precision = json.loads(card.read_text(encoding="utf-8"))["dtype"]
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

    def __init__(self, file: Path, folder: Path) -> None:
        import torch
        from peft import PeftModel

        from lastword.embedding.folder import read
        from lastword.embedding.loading import load_decoder, split_adapter

        super().__init__(file, folder)
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

    def __init__(self, file: Path, folder: Path) -> None:
        super().__init__(file, folder)
        onnxruntime = needed("onnxruntime", "export", "running an ONNX file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        try:
            self.session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises nothing more special
            name = f"onnxruntime {onnxruntime.__version__}"
            raise ModelError(f"{file} does not load in {name}: {_onnx_reason(str(error))}") from error
        _require_names(
            file, [[x.name for x in side] for side in (self.session.get_inputs(), self.session.get_outputs())]
        )

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        vectors: np.ndarray = self.session.run([OUTPUT], dict(zip(INPUTS, (ids, mask), strict=True)))[0]
        return vectors


class OpenVino(Runtime):
    """A graph in OpenVINO, on the processor, in float32."""

    kind = "OpenVINO"

    def __init__(self, file: Path, folder: Path) -> None:
        super().__init__(file, folder)
        openvino = needed("openvino", "export", "running an OpenVINO file")
        try:
            model = openvino.Core().read_model(str(file))
            # Without the hint it computes in bfloat16 where the processor can.
            self.model = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except Exception as error:  # openvino raises nothing more special
            name = f"OpenVINO {openvino.__version__.partition('-')[0]}"
            raise ModelError(f"{file} does not load in {name}: {_openvino_reason(str(error))}") from error
        _require_names(
            file, [[name for x in side for name in x.names] for side in (model.inputs, model.outputs)]
        )

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        vectors: np.ndarray = self.model(dict(zip(INPUTS, (ids, mask), strict=True)))[OUTPUT]
        return vectors


class Gguf(Runtime):
    """A GGUF file, read by transformers: weights, tokenizer and pooling type; the template is put around texts."""

    kind = "GGUF, read by transformers"

    def __init__(self, file: Path, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        from lastword.embedding.gguf import model_arguments, parsed_once

        super().__init__(file, folder)
        try:
            facts = json.loads((folder / "lastword.json").read_text(encoding="utf-8"))
            self.prefix, self.suffix = facts["prefix_ids"], facts["suffix_ids"]
            self.normalize = facts["normalize"]
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"{folder} does not say which template is put around texts: it has no usable lastword.json"
            ) from error
        try:
            with parsed_once(file):
                name, arguments = model_arguments(file)
                self.module: Any = AutoModel.from_pretrained(name, dtype=torch.float32, **arguments).eval()
                self.words: Any = AutoTokenizer.from_pretrained(name, gguf_file=file.name)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelError(f"{file} does not load: {first_line(error)}") from error
        fields = gguf_fields(file)
        kind = fields.get(key := f"{fields['general.architecture']}.pooling_type")
        if kind not in _POOLING_TYPES:
            raise ModelError(
                f"{file} has {key}={kind}, so llama.cpp gives no vector of a text that could be checked "
                "(it can be 1: mean, 2: cls, 3: last token)"
            )
        self.pooling = POOLINGS[_POOLING_TYPES[int(kind)]]

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


_RUNTIMES: dict[str, type[Runtime]] = {ONNX: OnnxRuntime, OPENVINO: OpenVino, GGUF: Gguf}


def read_runtime(path: Path, reference: Path | None = None) -> Runtime | None:
    """The runtime that a file or folder is for; None for a folder of sentence-transformers.

    Args:
        path: one file of a runtime, or a folder with it.
        reference: folder with the tokenizer of a file that has none beside it.
    """
    if path.is_file():
        (kind,) = (kind for name, kind in _RUNTIMES.items() if path.suffix == Path(name).suffix)
        return kind(path, tokenizer_folder(path, reference))
    for name, kind in _RUNTIMES.items():
        if (path / name).is_file():
            return kind(path / name, path)
    if (path / ADAPTER).is_file() and not (path / "config.json").is_file():
        return Adapter(path / ADAPTER, path)
    return None


def _require_names(file: Path, names: Sequence[Sequence[str]]) -> None:
    """Refuse a graph with other inputs or outputs, which says of its own accord how it is to be used."""
    inputs, outputs = names
    if {*inputs} != {*INPUTS} or OUTPUT not in outputs:
        raise ModelError(
            f"{file} takes {', '.join(inputs)} and gives {', '.join(outputs)}: a graph can be checked if it takes "
            f"{' and '.join(INPUTS)} and gives {OUTPUT}"
        )


def _onnx_reason(message: str) -> str:
    """What onnxruntime says, without its source lines; which versions it can read."""
    older = "upgrade onnxruntime, or write the file for an older one"
    if found := re.search(r"Opset (\d+) is under development.* till opset (\d+)", message, re.DOTALL):
        return f"it needs opset {found[1]} of ONNX, and this one has opsets up to {found[2]}; {older}"
    if found := re.search(r"model IR version: (\d+), max supported IR version: (\d+)", message):
        return f"it is in version {found[1]} of ONNX's format, and this one reads up to {found[2]}; {older}"
    if found := re.search(r"No Op registered for (\S+) with domain_version of (\d+)", message):
        return f"it has the operation {found[1]} of opset {found[2]}, which this one lacks; {older}"
    if found := re.search(r"Fatal error: (\S+?)\(\S+ is not a registered function/op", message):
        return f"it has the operation {found[1]}, which this one lacks; {older}"
    plain = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", message.rpartition(" failed:")[2].strip())
    return plain.splitlines()[0]


def _openvino_reason(message: str) -> str:
    """What OpenVINO says, without the places in its source."""
    if found := re.search(r"No conversion rule found for operations: (.+)", message):
        return (
            f"it has operations that this one lacks ({found[1]}); upgrade openvino, or write the file again"
        )
    lines = [
        line.strip() for line in message.splitlines() if not re.match(r"Exception from |Check '|\s*$", line)
    ]
    return (lines or message.splitlines())[0]
