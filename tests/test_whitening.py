"""A linear layer after a model: fitted to texts, stored so that sentence-transformers loads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from lastword import check
from lastword.cli import main
from lastword.embedding import Embedder, device
from lastword.encoders.by_name import load_encoder
from lastword.errors import ExistingOutputError, ModelError, RequestError
from lastword.geometry import mean_cosine, unit
from lastword.whitening import all_but_the_top, centring, check_whitening, whiten, whitening
from tests.training.conftest import pair_columns

Refused = Callable[..., str]
TEXTS = [*pair_columns(120)["anchor"], *pair_columns(120)["positive"]]


def mixed(n: int, width: int, seed: int) -> np.ndarray:
    """Vectors around another point than 0, wide in some directions and narrow in others."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + 5


@given(st.integers(2, 6), st.integers(0, 20))
def test_whitened_vectors_have_mean_0_and_covariance_1(width: int, seed: int) -> None:
    vectors = mixed(60, width, seed)
    for dim in (None, 1, width - 1):
        matrix, bias = whitening(vectors, dim)
        white = vectors @ matrix.T + bias
        assert white.shape == (60, dim or width)
        assert np.allclose(white.mean(0), 0, atol=1e-2)
        assert np.allclose(np.cov(white, rowvar=False), np.eye(dim or width), atol=1e-2)


def test_the_directions_that_are_kept_are_those_of_the_largest_variance() -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 9.0, 3.0]
    matrix, _ = whitening(vectors, 2)
    assert np.abs(matrix).argmax(1).tolist() == [1, 2]


@given(st.integers(3, 6), st.integers(0, 20), st.integers(1, 2))
def test_all_but_the_top_takes_away_the_top_and_nothing_else(width: int, seed: int, removed: int) -> None:
    vectors = mixed(60, width, seed)
    matrix, bias = all_but_the_top(vectors, removed)
    left = vectors @ matrix.T + bias
    assert np.allclose(left.mean(0), 0, atol=1e-3)
    before = np.sort(np.linalg.eigvalsh(np.cov(vectors, rowvar=False)))
    after = np.sort(np.linalg.eigvalsh(np.cov(left, rowvar=False)))
    assert np.allclose(after[:removed], 0, atol=1e-3)
    assert np.allclose(after[removed:], before[: width - removed], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("method", "dim"),
    [("whitening", None), ("whitening", 8), ("all-but-the-top", None), ("centre", None)],
)
def test_others_load_the_folder(
    tmp_path: Path, llama_folder: Path, method: str, dim: int | None, refused: Refused, said: list[str]
) -> None:
    how = {"template": "ccw", "pooling": "lasttoken"}
    result = whiten(
        llama_folder, TEXTS, tmp_path / "out", method=method, truncate_dim=dim, device="cpu", **how
    )
    assert not [line for line in said if "truncated" in line], "a golden text is truncated on purpose"
    embedder = Embedder.from_pretrained(llama_folder, device="cpu", dtype="float32", **how)
    raw = embedder.encode(list(dict.fromkeys(TEXTS)), normalize=False)
    fitted = {"all-but-the-top": all_but_the_top, "centre": centring}
    matrix, bias = whitening(raw, dim) if method == "whitening" else fitted[method](raw)
    expected = unit(raw @ matrix.T + bias)
    assert (result.dim, result.texts) == (expected.shape[1], len(raw))
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(list(dict.fromkeys(TEXTS)))
    assert np.allclose(theirs, expected, atol=1e-3)
    assert abs(mean_cosine(theirs)) < mean_cosine(raw)
    here = load_encoder(f"sentence-transformers:{tmp_path / 'out'}", device="cpu")
    assert np.allclose(here.encode(TEXTS[:3]), expected[:3], atol=1e-3)
    message = refused(ModelError, Embedder.from_pretrained, tmp_path / "out")
    assert "its modules are Transformer, Pooling, Dense, Normalize" in message
    assert not [path for path in tmp_path.iterdir() if path.name != "out"]
    golden = json.loads((tmp_path / "out" / "golden.json").read_text())
    assert np.allclose(
        unit(embedder.encode(golden["texts"], normalize=False) @ matrix.T + bias),
        golden["vectors"],
        atol=1e-3,
    )
    card = check(tmp_path / "out")
    assert card.passed, card.text


def test_centred_vectors_have_mean_0() -> None:
    matrix, bias = centring(mixed(60, 4, 0))
    assert np.allclose((mixed(60, 4, 0) @ matrix.T + bias).mean(0), 0, atol=1e-5)


def test_the_command(tmp_path: Path, llama_folder: Path) -> None:
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    command = [
        "whiten",
        str(llama_folder),
        "--texts",
        str(tmp_path / "texts.txt"),
        "--truncate-dim",
        "4",
        "--json",
    ]
    result = CliRunner().invoke(
        main, [*command, "--output", str(tmp_path / "out"), "--device", "cpu"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert json.loads(result.stdout)["dim"] == 4


def test_what_cannot_be_whitened(tmp_path: Path, llama_folder: Path, refused: Refused) -> None:
    few = refused(RequestError, whiten, llama_folder, TEXTS[:5], tmp_path / "out", device="cpu")
    assert few.startswith(
        "the vectors of 5 texts vary in 4 directions, not in 32: give more texts, or truncate_dim=4"
    )
    one = refused(RequestError, whiten, llama_folder, TEXTS[:1], tmp_path / "out", device="cpu")
    assert one.startswith("1 texts, or all with one vector: ")
    assert "unknown method 'pca'" in refused(
        RequestError, whiten, "mini", TEXTS, tmp_path / "out", method="pca"
    )
    for method, dim in (("all-but-the-top", 4), ("whitening", 0)):
        message = refused(
            RequestError, whiten, "mini", TEXTS, tmp_path / "out", method=method, truncate_dim=dim
        )
        assert message == f"truncate_dim={dim}: give 1 or more, and only with method='whitening'"
    check_whitening("mini", "whitening", 500, None, "mean+lasttoken")
    both = Embedder.from_pretrained(llama_folder, pooling="mean+lasttoken", device="cpu")
    wide = both.save(tmp_path / "wide")
    check_whitening(wide, "whitening", 64)
    assert "vectors have 64 dimensions" in refused(RequestError, check_whitening, wide, "whitening", 65)
    (tmp_path / "there").mkdir()
    refused(ExistingOutputError, whiten, "mini", TEXTS, tmp_path / "there")


def test_it_is_fitted_in_float32_whatever_the_device_prefers(
    tmp_path: Path, llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "preferred_dtype", lambda _: torch.bfloat16)
    assert "bfloat16" in str(Embedder.from_pretrained(llama_folder, device="cpu").backbone.dtype)
    whiten(llama_folder, TEXTS, tmp_path / "preferred", device="cpu")
    monkeypatch.undo()
    whiten(llama_folder, TEXTS, tmp_path / "float32", device="cpu")
    layers = [tmp_path / name / "2_Dense" / "model.safetensors" for name in ("preferred", "float32")]
    assert layers[0].read_bytes() == layers[1].read_bytes()
