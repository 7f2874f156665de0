"""The verb: a model → a folder that others run, proven to give its vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lastword.arguments import as_path
from lastword.console import info, load_libraries, silenced
from lastword.errors import ParityError
from lastword.exporting.formats import adapter_of, check_export
from lastword.files.run_folder import RunFolder, write_json
from lastword.parity.requests import PARITY
from lastword.parity.result import CheckResult


@dataclass(frozen=True)
class ExportResult:
    """An exported model.

    Attributes:
        output: the folder.
        model: name of the model.
        to: the format.
        bytes: size of the folder.
        card: how near it is to the model.
        seconds: time of the whole run.
    """

    output: Path
    model: str
    to: str
    bytes: int
    card: CheckResult
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**vars(self), "output": str(self.output), "card": self.card.to_dict()}


def export(
    model: str | Path,
    output: str | Path,
    *,
    to: str = "folder",
    template: str | None = None,
    pooling: str | None = None,
    dtype: str | None = None,
    quantize: str | None = None,
    overwrite: bool = False,
) -> ExportResult:
    """Write a model for other programs, and compare what they give with the model.

    Args:
        model: name or folder of a decoder.
        output: folder to write.
        to: "folder" (sentence-transformers, with merged weights), "adapter" (peft, over the base model), "onnx" or
            "openvino" (a graph from token ids to vectors), or "gguf" (for llama.cpp).
        template, pooling: of a base model; None takes the folder's own.
        dtype: precision of the stored weights; None is "float32". An adapter is merged in float32 first.
        quantize: "int8" stores the weights of a graph in 8 bits.
        overwrite: replace `output`.

    Raises:
        MissingExtraError, ExistingOutputError, MissingFileError, ModelError, RequestError: see the message.
        ParityError: the export does not give the vectors of the model; nothing is written.
    """
    started, target = time.monotonic(), as_path("output", output)
    check_export(model, to, dtype, quantize, template, pooling)
    run = RunFolder(target, "export", overwrite=overwrite, evidence="")
    run.check(model)
    load_libraries("torch", "transformers.modeling_utils", "sentence_transformers")
    from lastword.embedding import Embedder
    from lastword.exporting.adapter import write_adapter
    from lastword.exporting.gguf import write_gguf
    from lastword.exporting.onnx import GRAPHS, write_graph
    from lastword.parity.check import compare, read_target
    from lastword.parity.reference import read_reference

    with run.open({"to": to}) as folder:
        embedder = Embedder.from_pretrained(
            model, template=template, pooling=pooling, dtype="float32", device="cpu"
        )
        standard = written = embedder.save(folder / "model", dtype=dtype or "float32")
        if to == "adapter":
            written = folder / to
            write_adapter(adapter_of(model), embedder, standard, written)
        elif to in GRAPHS:
            written = folder / to
            written.mkdir()
            write_graph(embedder, standard, written, to, quantize)
        elif to == "gguf":
            written = folder / to
            written.mkdir()
            write_gguf(embedder, standard, written, dtype or "float32")
        with silenced("sentence_transformers"):  # a golden text is truncated on purpose
            truth = replace(read_reference(standard), name=f"golden vectors of {model}")
            card = compare(str(target), read_target(str(written)), truth, quantize)
        if not card.passed:
            raise ParityError(f"{target} was not written: {card.reason}")
        write_json(written / PARITY, card.to_dict())
        run.finish(written)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    info(f"{target}: {to}, {size / 2**20:,.1f} MiB; it gives the vectors of {model}")
    return ExportResult(target, str(model), to, size, card, time.monotonic() - started)
