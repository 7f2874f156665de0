"""Weights in 8 and 4 bits: near the full ones, usable for encoding and training, never written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lastword import Embedder
from lastword.config import TrainConfig
from lastword.embedding.quantization import quantization_config
from lastword.errors import MissingExtraError, RequestError
from lastword.training import train
from lastword.training.adapter import add_adapter

Refused = Callable[..., str]
TEXTS = ["a red apple", "the parliament voted on the budget", "rain fell on the harbour all night"]
pytestmark = pytest.mark.filterwarnings("default")  # of bitsandbytes and peft about each other
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")


@pytest.mark.parametrize(("kind", "likeness"), [("int8", 0.99), ("nf4", 0.9)])
def test_vectors_are_near_those_of_the_full_weights(kind: str, likeness: float) -> None:
    full = Embedder.from_pretrained("mini", template="ccw", pooling="mean", dtype="float32")
    small = Embedder.from_pretrained("mini", template="ccw", pooling="mean", dtype="float32", quantize=kind)
    assert small.backbone.path == "fused"
    assert small.backbone.model.get_memory_footprint() < 0.7 * full.backbone.model.get_memory_footprint()
    cosines = np.sum(small.encode(TEXTS) * full.encode(TEXTS), axis=1)
    assert cosines.min() > likeness
    assert cosines.max() < 1 - 1e-6, "nothing was quantised"
    assert small.identity != full.identity


@pytest.mark.slow  # gradients over 4 bits are tested by default
def test_training_over_4_bits_writes_the_full_weights(tmp_path: Path) -> None:
    result = train(
        tmp_path / "adapted", quantize="nf4", steps=2, batch_pairs=8, rank=4, warmup_steps=1, max_tokens=48,
        trackers="none",
    )  # fmt: skip
    adapted = Embedder.from_pretrained(result.output)
    assert adapted.backbone.quantize is None
    assert (adapted.provenance.recipe or {})["quantize"] == "nf4"
    base = Embedder.from_pretrained("mini", template="ccw", pooling="lasttoken")
    assert adapted.provenance.base_hash == base.backbone.weights_hash
    assert 0.9 < float(np.sum(adapted.encode(TEXTS[0]) * base.encode(TEXTS[0]))) < 1 - 1e-6


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_gradients_are_near_those_over_the_full_weights(kind: str) -> None:
    config = TrainConfig(rank=4, dropout=0.0)
    gradients = []
    for quantize in (None, kind):
        embedder = Embedder.from_pretrained("mini", pooling="lasttoken", dtype="bfloat16", quantize=quantize)
        embedder.encode(TEXTS)  # as a development score before training does
        parameters = add_adapter(embedder.backbone.model, config)
        with torch.no_grad():
            for parameter in parameters:
                parameter.normal_(std=0.02, generator=torch.Generator().manual_seed(parameter.numel()))
        (batch,) = embedder.pipeline.batches(embedder.pipeline.tokenize(TEXTS))
        embedder.pipeline.vectors(batch).square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in parameters]))  # type: ignore[union-attr]
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > (0.95 if kind == "int8" else 0.7)


def test_settings_of_4_bits_and_of_8() -> None:
    nf4 = quantization_config("nf4", torch.bfloat16)
    assert (nf4.load_in_4bit, nf4.load_in_8bit, nf4.bnb_4bit_quant_type) == (True, False, "nf4")
    assert nf4.bnb_4bit_compute_dtype == torch.bfloat16
    int8 = quantization_config("int8", torch.bfloat16)
    assert (int8.load_in_4bit, int8.load_in_8bit) == (False, True)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    assert refused(MissingExtraError, quantization_config, "nf4", torch.float32) == (
        "quantize='nf4' needs bitsandbytes, which is not installed: pip install 'lastword[quantize]'"
    )


def test_bad_requests(refused: Refused, tmp_path: Path) -> None:
    assert refused(RequestError, Embedder.from_pretrained, "mini", quantize="int4") == (
        "unknown quantization 'int4': did you mean 'int8'? Known: int8, nf4"
    )
    small = Embedder.from_pretrained("mini", quantize="nf4")
    message = (
        "mini was loaded with quantize='nf4': a folder is written from the full weights; "
        "load the model without quantize"
    )
    assert refused(RequestError, small.save, tmp_path / "folder") == message
    assert refused(RequestError, small.push_to_hub, "someone/something") == message
