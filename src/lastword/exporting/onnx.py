"""The model as a graph that takes token ids and gives vectors: ONNX, and OpenVINO made from it."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from lastword.embedding import Embedder, EmbedderSpec
from lastword.embedding.folder import LATENT
from lastword.embedding.latent_pooling import LatentPooling
from lastword.errors import ModelError, first_line
from lastword.exporting.runtime_folder import GRAPH_USE, ONNX_CODE, OPENVINO_CODE, describe
from lastword.extras import needed
from lastword.parity.requests import ONNX, OPENVINO
from lastword.parity.runtimes import INPUTS, OUTPUT

_OPSET = 18
_SINGLE_FILE = 1_500_000_000  # bytes of weights; a file of ONNX has at most 2 GiB
_EXAMPLE = (2, 8)


GRAPHS = {"onnx": (ONNX, ONNX_CODE), "openvino": (OPENVINO, OPENVINO_CODE)}
"""Format → its file, and Python that uses it."""


def write_graph(embedder: Embedder, standard: Path, folder: Path, to: str, quantize: str | None) -> None:
    """Write the graph and what belongs to it.

    Args:
        embedder: the merged model.
        standard: its folder.
        folder: to write.
        to: one of `GRAPHS`.
        quantize: "int8" or None.

    Raises:
        MissingExtraError, ModelError: see `write_onnx` and `write_openvino`.
    """
    file, code = GRAPHS[to]
    write_onnx(standard, embedder.spec, folder / ONNX)
    if to == "openvino":
        write_openvino(folder / ONNX, folder / file, bool(quantize))
        for left in folder.glob(f"{ONNX}*"):
            left.unlink()
    elif quantize:
        quantize_onnx(folder / ONNX)
    use = GRAPH_USE.format(code=code.format(max_tokens=embedder.pipeline.compiled.single_length))
    describe(standard, embedder.spec, embedder.provenance.base, f"{to} runtimes", use, folder)


class _Graph(nn.Module):
    """Token ids and mask to pooled vectors."""

    def __init__(self, folder: Path, spec: EmbedderSpec) -> None:
        super().__init__()
        self.model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.model.config.use_cache = False
        self.pooling, self.normalize = spec.pooling, spec.normalize
        self.trained = LatentPooling.load(folder, LATENT) if spec.pooling.trainable else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(batch, seq), (batch, seq) → (batch, dim)."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        pooled = self.pooling(states, attention_mask.bool(), self.trained and self.trained.pool)
        return nn.functional.normalize(pooled, dim=-1) if self.normalize else pooled


def write_onnx(standard: Path, spec: EmbedderSpec, file: Path) -> None:
    """Write the graph of a standard folder, for any number and length of texts, in float32.

    Args:
        standard: folder with weights.
        spec: how its states become vectors.
        file: to write; weights of more than 1.5 GB go to a file beside it.

    Raises:
        MissingExtraError: onnx or onnxscript is not installed.
        ModelError: torch cannot write this architecture as a graph.
    """
    needed("onnx", "export", "export to ONNX")
    needed("onnxscript", "export", "export to ONNX")
    graph = _Graph(standard, spec).eval()
    ids = torch.ones(_EXAMPLE, dtype=torch.long)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about what torch itself calls
            torch.onnx.export(
                graph, (ids, torch.ones_like(ids)), str(file), dynamo=True, verbose=False, opset_version=_OPSET,
                input_names=list(INPUTS), output_names=[OUTPUT], dynamic_shapes=(sizes, sizes),
                external_data=sum(p.nbytes for p in graph.parameters()) > _SINGLE_FILE,
            )  # fmt: skip
    except Exception as error:  # torch raises nothing more special, and says little in its first line
        kind = graph.model.config.model_type
        raise ModelError(f"torch cannot write a {kind} model as ONNX: {first_line(error)}") from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def write_openvino(onnx: Path, file: Path, quantize: bool) -> None:
    """Convert the ONNX file: straight from torch, OpenVINO gives NaN for texts that are padded on the left.

    Raises:
        MissingExtraError: openvino, or nncf for 8 bits, is not installed.
    """
    openvino = needed("openvino", "export", "export to OpenVINO")
    model = openvino.convert_model(str(onnx))
    if quantize:
        nncf = needed("nncf", "export", "weights in 8 bits")
        nncf.set_log_level(logging.ERROR)
        model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    openvino.save_model(model, str(file), compress_to_fp16=False)


def quantize_onnx(file: Path) -> None:
    """Store the weights of matrix products in 8 bits, each column with a scale of its own, in place.

    Args:
        file: the graph; its weights may be in `FILE.data` beside it, and stay in a file of that name.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    quantization = needed("onnxruntime.quantization", "export", "weights in 8 bits")
    weights = file.with_name(f"{file.name}.data")
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it advises to prepare the model, which torch's exporter has done
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            smaller = Path(folder, file.name)  # of the same name: a graph names the file of its weights
            quantization.quantize_dynamic(
                str(file),
                str(smaller),
                per_channel=True,
                weight_type=quantization.QuantType.QInt8,
                op_types_to_quantize=["MatMul"],
                use_external_data_format=weights.exists(),
            )
            weights.unlink(missing_ok=True)
            for written in Path(folder).iterdir():
                written.replace(file.with_name(written.name))
    finally:
        logging.root.setLevel(level)
