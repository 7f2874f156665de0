"""An export gives the vectors of the model in the library that it is for, or is not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

import lastword
from lastword import Embedder
from lastword.errors import ExistingOutputError, ModelError, ParityError, RequestError
from lastword.exporting.export import PARITY
from lastword.parity import check as checking
from tests.training.conftest import pair_columns

Refused = Callable[..., str]
TEXTS = ["a man is driving a car", "  the river was low ", "Prices: $1,299.00"]


@pytest.fixture(scope="module")
def adapted(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    pq.write_table(pa.table(pair_columns()), folder / "pairs.parquet")
    lastword.train(
        folder / "model", model=str(llama_folder), pairs=[str(folder / "pairs.parquet")], max_tokens=64, steps=12,
        template="eol", pooling="lasttoken", batch_pairs=8, learning_rate=1e-2, warmup_steps=2, rank=4, alpha=8.0,
        dtype="float32", device="cpu", trackers="none",
    )  # fmt: skip
    return folder / "model"


def vectors_of(model: Path) -> np.ndarray:
    return Embedder.from_pretrained(model, dtype="float32", device="cpu").encode(TEXTS)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.99999), ("float16", 0.999), ("bfloat16", 0.99)])
def test_a_folder_for_sentence_transformers(adapted: Path, tmp_path: Path, dtype: str, least: float) -> None:
    result = lastword.export(adapted, tmp_path / "out", dtype=dtype)
    assert result.card.passed
    assert result.card.dtype == dtype
    assert [row.name for row in result.card.rows][:2] == ["token ids", "texts alone, least cosine"]
    assert result.bytes == sum(f.stat().st_size for f in (tmp_path / "out").rglob("*") if f.is_file())
    assert json.loads((tmp_path / "out" / PARITY).read_text())["passed"]
    vectors = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS).astype(np.float32)
    assert (vectors * vectors_of(adapted)).sum(1).min() > least
    assert lastword.check(tmp_path / "out").passed


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_for_peft(adapted: Path, llama_folder: Path, tmp_path: Path) -> None:
    result = lastword.export(adapted, tmp_path / "out", to="adapter")
    assert result.card.passed
    assert result.card.kind == "adapter, loaded by peft"
    assert not (tmp_path / "out" / "model.safetensors").exists()
    model = peft.PeftModel.from_pretrained(
        AutoModel.from_pretrained(llama_folder), str(tmp_path / "out")
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    expected = vectors_of(adapted)
    for text, vector in zip(TEXTS, expected, strict=True):
        with torch.inference_mode():
            state = model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0, -1].numpy()
        assert state @ vector / np.linalg.norm(state) > 0.99999
    np.testing.assert_allclose(vectors_of(tmp_path / "out"), expected, atol=1e-5)
    assert lastword.check(tmp_path / "out").passed


def test_what_has_no_adapter(llama_folder: Path, adapted: Path, tmp_path: Path, refused: Refused) -> None:
    message = refused(ModelError, lastword.export, llama_folder, tmp_path / "out", to="adapter")
    assert message == (
        f"{llama_folder} has no adapter of its own (no training/choice.json): give a folder that lastword train "
        "wrote, or use to='folder'"
    )
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", to="adapter", dtype="float16")
    assert message == "dtype='float16': adapter is written in float32; leave dtype out"
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", to="foldr")
    assert message.startswith("unknown format 'foldr': did you mean 'folder'? Known: folder, adapter")
    message = refused(RequestError, lastword.export, adapted, tmp_path / "out", dtype="int8")
    assert message == "unknown dtype 'int8': Known: float32, bfloat16, float16"
    assert not (tmp_path / "out").exists()


def test_existing_output_stays(llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    assert refused(ExistingOutputError, lastword.export, llama_folder, tmp_path / "out") == (
        f"{tmp_path / 'out'} exists: choose another path or pass overwrite=True"
    )
    lastword.export(llama_folder, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "mine").exists()


def test_nothing_is_written_below_the_bar(
    llama_folder: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that scales vectors: an export that is not read rightly is no export."""

    class Doubling(checking.Folder):
        def vectors(self, texts: Any) -> np.ndarray:
            return 2 * super().vectors(texts)

    monkeypatch.setattr(checking, "Folder", Doubling)
    message = refused(ParityError, lastword.export, llama_folder, tmp_path / "out")
    assert message == (
        f"{tmp_path / 'out'} was not written: normalisation (vectors have lengths of 2 to 2, not the right ones)"
    )
    assert list(tmp_path.iterdir()) == []
