"""Pooling by trained queries: its mathematics, the model that has it, its folder, and what cannot hold it."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from torch import Tensor

from lastword.embedding import Embedder, Pooling, latent_pooling
from lastword.embedding.latent_pooling import LatentPooling
from lastword.encoders.baselines import SentenceTransformerEncoder
from lastword.errors import ModelError, RequestError
from lastword.parity.check import check

Refused = Callable[..., str]
TEXTS = ["a man is driving a car", "a house", "the river was low, and the fox was near"]


def made(dim: int = 5, seed: int = 0, scale: float = 30.0) -> LatentPooling:
    """Queries that are far from 0, so that they attend to something."""
    pooling = LatentPooling(dim, seed=seed)
    pooling.queries.data *= scale
    return pooling


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(
    st.lists(st.lists(st.booleans(), min_size=6, max_size=6).filter(any), min_size=1, max_size=4),
    st.integers(0, 9),
)
def test_equal_to_a_loop_under_any_mask(rows: list[list[bool]], seed: int) -> None:
    mask, hidden, pooling = torch.tensor(rows), states(len(rows), 6, 5, seed=seed), made(seed=seed)
    for pooled, counted, seen in zip(pooling.pool(hidden, mask), mask, hidden.numpy(), strict=True):
        kept, queries = seen[counted.numpy()], pooling.queries.detach().numpy()
        vectors = []
        for query in queries:
            weights = np.exp(kept @ query / np.sqrt(5))
            vectors.append((weights / weights.sum()) @ kept)
        np.testing.assert_allclose(pooled.detach(), np.mean(vectors, 0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("left", "right"), [(0, 3), (3, 0), (2, 2)])
def test_padding_and_the_order_of_states_change_nothing(left: int, right: int) -> None:
    hidden, mask, pooling = states(2, 4, 5), torch.ones(2, 4, dtype=torch.bool), made()
    wide = torch.cat([states(2, left, 5, seed=1) * 9, hidden.flip(1), states(2, right, 5, seed=2) * 9], dim=1)
    wide_mask = torch.nn.functional.pad(mask, (left, right))
    torch.testing.assert_close(pooling.pool(wide, wide_mask), pooling.pool(hidden, mask))


def test_nothing_to_pool_gives_zeros_and_queries_of_zero_the_mean() -> None:
    mask = torch.tensor([[False, False], [True, True]])
    hidden = states(2, 2, 5)
    assert not made().pool(hidden, mask)[0].any()
    torch.testing.assert_close(made(scale=0).pool(hidden, mask)[1], hidden[1].mean(0))
    near = LatentPooling(5).pool(hidden, mask)[1]
    assert torch.nn.functional.cosine_similarity(near, hidden[1].mean(0), dim=0) > 0.999
    assert made().pool(hidden.bfloat16(), mask).dtype == torch.float32


def test_queries_begin_by_their_seed_and_get_gradients() -> None:
    first, same, other = (LatentPooling(4, seed=seed).queries for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert torch.equal(LatentPooling(4).queries, LatentPooling(4, 8, seed=0).queries)
    assert not torch.equal(first, other)
    assert first.std().item() == pytest.approx(0.02, rel=0.5)
    pooling = made()
    pooling.pool(states(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    assert pooling.queries.grad is not None
    assert pooling.queries.grad.abs().sum(1).all(), "each query"


def test_queries_are_read_from_a_folder_or_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pooling, asked = made(7), dict[str, Any]()
    (tmp_path / "sub").mkdir()
    pooling.save(tmp_path / "sub", safe_serialization=True)
    assert [file.name for file in (tmp_path / "sub").iterdir()] == ["model.safetensors"]

    def download(name: str, file: str, **options: Any) -> str:
        asked.update(options, name=name, file=file)
        return str(tmp_path / "sub" / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    for loaded in (LatentPooling.load(tmp_path, "sub"), LatentPooling.load(tmp_path / "sub")):
        assert torch.equal(loaded.queries, pooling.queries)
        assert loaded.queries.shape == (8, 7)
    assert not asked
    options = {"token": "t", "revision": "r", "local_files_only": True}
    LatentPooling.load("owner/model", "sub", cache_folder="c", trust_remote_code=True, **options)
    named = {"name": "owner/model", "file": "model.safetensors", "subfolder": "sub", "cache_dir": "c"}
    assert asked == {**options, **named}


def test_as_a_module_of_sentence_transformers() -> None:
    pooling, hidden, mask = made(), states(2, 3, 5), torch.tensor([[1, 1, 0], [1, 1, 1]])
    features = pooling({"token_embeddings": hidden, "attention_mask": mask, "other": 1})
    torch.testing.assert_close(features["sentence_embedding"], pooling.pool(hidden, mask.bool()))
    assert features["token_embeddings"] is hidden
    assert features["other"] == 1
    assert pooling.get_embedding_dimension() == 5


def test_the_file_needs_no_lastword() -> None:
    tree = ast.parse(Path(latent_pooling.__file__).read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in modules if name.startswith("lastword")]


@pytest.mark.parametrize("pooling", ["latent+mean", "mean+latent"])
def test_it_stands_alone(pooling: str, refused: Refused) -> None:
    assert "stands alone; use 'latent'" in refused(RequestError, Pooling.parse, pooling)


def test_a_model_without_such_weights(load: Callable[..., Embedder], refused: Refused) -> None:
    message = refused(RequestError, load, pooling="latent")
    assert message.startswith("pooling 'latent' has weights of its own, and ")
    assert message.endswith("train them with `lastword train --pooling latent`, or use another pooling")
    embedder = load(pooling="mean")
    assert refused(RequestError, embedder.encode_poolings, TEXTS, ["latent"]) == message
    assert refused(RequestError, embedder.encode_grid, TEXTS, ["eol"], ["latent"]) == message


@pytest.fixture(scope="module")
def embedder(llama_folder: Path) -> Embedder:
    embedder = Embedder.from_pretrained(
        llama_folder, template="eol", pooling="mean", dtype="float32", device="cpu"
    )
    before = embedder.identity
    embedder.backbone.add_pooling(made(embedder.dim, scale=50))
    assert embedder.identity != before, "its weights are among the model's"
    return embedder.variant(pooling="latent")


@pytest.fixture(scope="module")
def folder(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedder.save(tmp_path_factory.mktemp("saved") / "model")


def test_all_ways_of_encoding_agree(embedder: Embedder) -> None:
    vectors = embedder.encode(TEXTS)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    mean = embedder.variant(pooling="mean").encode(TEXTS)
    assert np.abs(vectors - mean).max() > 1e-3
    poolings = embedder.encode_poolings(TEXTS, ["latent", "mean"])
    np.testing.assert_allclose(poolings["latent"], vectors, atol=1e-5)
    np.testing.assert_allclose(poolings["mean"], mean, atol=1e-5)
    grid = embedder.encode_grid(TEXTS, ["eol", "sum"])
    for point, rows in grid.items():
        expected = embedder.variant(template=point.template).encode(TEXTS)
        np.testing.assert_allclose(rows, expected, atol=1e-5)


def test_its_folder(embedder: Embedder, folder: Path, refused: Refused) -> None:
    loaded = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    np.testing.assert_allclose(loaded.encode(TEXTS), embedder.encode(TEXTS), atol=1e-5)
    with pytest.raises(ValueError, match="which is not part of Sentence Transformers"):
        SentenceTransformer(str(folder), device="cpu")
    theirs = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    np.testing.assert_allclose(theirs.encode(TEXTS), embedder.encode(TEXTS), atol=1e-5)
    assert theirs.get_embedding_dimension() == embedder.dim
    assert "trust_remote_code=True" in (folder / "README.md").read_text()
    assert check(folder).passed


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_its_folder_with_either_attention(embedder: Embedder, attention: str, tmp_path: Path) -> None:
    attending = embedder.variant(attention=attention)
    folder = attending.save(tmp_path / "model")
    loaded = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    assert loaded.spec.attention == attention
    np.testing.assert_allclose(loaded.encode(TEXTS), attending.encode(TEXTS), atol=1e-5)
    other = {"causal": "bidirectional", "bidirectional": "causal"}[attention]
    assert np.abs(attending.variant(attention=other).encode(TEXTS) - attending.encode(TEXTS)).max() > 1e-3


def test_a_shortened_model_keeps_the_fast_path(embedder: Embedder, folder: Path) -> None:
    loaded = Embedder.from_pretrained(folder, layer=1, dtype="float32", device="cpu")
    expected = loaded.encode(TEXTS)
    cut = loaded.cut()
    assert (loaded.backbone.path, cut.backbone.path) == ("fused", "fused")
    np.testing.assert_allclose(cut.encode(TEXTS), expected, atol=1e-5)


def test_only_code_that_is_known_is_run(folder: Path, tmp_path: Path, refused: Refused) -> None:
    def changed(name: str, file: str, old: str, new: str) -> Path:
        copy = tmp_path / name
        shutil.copytree(folder, copy)
        content = (copy / file).read_text()
        assert old in content
        (copy / file).write_text(content.replace(old, new, 1))
        return copy

    assert SentenceTransformerEncoder(folder, device="cpu").encode(TEXTS[:1]).shape == (1, 32)
    for other in (
        changed("code", "latent_pooling.py", "QUERIES = 8", "QUERIES = 9"),
        changed("module", "modules.json", "sentence_transformers.models.Normalize", "other.Normalize"),
        changed("model", "config.json", "{", '{"auto_map": {"AutoModel": "other.Model"},'),
    ):
        assert "third-party code" in refused(ModelError, SentenceTransformerEncoder, other)


def test_what_an_export_cannot_hold(folder: Path, tmp_path: Path, refused: Refused) -> None:
    from lastword.exporting import formats

    run = tmp_path / "run"
    (run / "training" / "step-000002").mkdir(parents=True)
    (run / "training" / "choice.json").write_text('{"step": 2}')
    (run / "config.json").write_text("{}")
    (run / "training" / "step-000002" / "adapter_config.json").write_text("{}")
    shutil.copy(folder / "lastword.json", run)
    message = refused(ModelError, formats.check_export, run, "adapter")
    assert message == (
        f"{run} has pooling 'latent', whose weights an adapter cannot hold: use to='folder' or to='onnx'"
    )


@pytest.mark.slow
def test_it_is_exported_as_a_graph(folder: Path, tmp_path: Path, refused: Refused) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    import lastword

    result: Any = lastword.export(folder, tmp_path / "onnx", to="onnx")
    assert result.card.passed
    pytest.importorskip("gguf")
    assert "pooling 'latent'" in refused(ModelError, lastword.export, folder, tmp_path / "gguf", to="gguf")
