"""Models merged into one: weights between theirs, only of one base model and one way of embedding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, MissingFileError, ModelError, RequestError
from lastword.merging import check_merging, merge, spherical
from lastword.training import LastStep, train
from tests.training.conftest import pair_columns

TEXTS = ["the river was near", "a house", "cars and dogs at 3"]
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, llama_folder: Path) -> tuple[Path, Path]:
    """Two models adapted from one base model; the second while it was in bfloat16."""
    folder = tmp_path_factory.mktemp("runs")
    pq.write_table(pa.table(pair_columns()), folder / "pairs.parquet")
    for seed, (name, dtype) in enumerate({"first": "float32", "second": "bfloat16"}.items()):
        train(
            folder / name, model=str(llama_folder), pairs=[str(folder / "pairs.parquet")], seed=seed, steps=12,
            batch_pairs=8, learning_rate=1e-2, warmup_steps=0, rank=4, alpha=8.0, dtype=dtype, max_tokens=64,
            device="cpu", trackers="none", scorer=LastStep(), widths=(8,),
        )  # fmt: skip
    return folder / "first", folder / "second"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    embedder = Embedder.from_pretrained(folder, dtype="float32", device="cpu")
    return {name: value.clone() for name, value in embedder.backbone.model.state_dict().items()}


def test_an_average_is_that_of_all_weights(runs: tuple[Path, Path], tmp_path: Path) -> None:
    result = merge(runs, tmp_path / "out", weights=[3, 1])
    assert result.models == {str(runs[0]): 0.75, str(runs[1]): 0.25}
    first, second, merged = weights(runs[0]), weights(runs[1]), weights(tmp_path / "out")
    for name, value in merged.items():
        assert torch.allclose(value, 0.75 * first[name] + 0.25 * second[name], atol=1e-6), name
    embedder = Embedder.from_pretrained(tmp_path / "out")
    assert embedder.widths == (8,)
    assert embedder.spec == Embedder.from_pretrained(runs[0]).spec
    stored = json.loads((tmp_path / "out" / "lastword.json").read_text())
    assert stored["recipe"] == {"merged": result.models, "method": "average", "widths": [8]}
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    assert np.allclose(embedder.encode(TEXTS), theirs, atol=1e-5)


@pytest.mark.parametrize("method", ["average", "spherical"])
def test_a_model_merged_with_itself_is_itself(runs: tuple[Path, Path], tmp_path: Path, method: str) -> None:
    merge([runs[0], runs[0], runs[0]], tmp_path / "out", method=method)
    before, after = weights(runs[0]), weights(tmp_path / "out")
    for name, value in before.items():
        assert torch.allclose(after[name], value, atol=1e-6), name


def test_spherical_keeps_the_size_of_the_differences(
    runs: tuple[Path, Path], tmp_path: Path, llama_folder: Path
) -> None:
    merge(runs, tmp_path / "out", method="spherical", weights=[1, 3])
    merged, root, adapted = weights(tmp_path / "out"), weights(llama_folder), [weights(run) for run in runs]
    moved = 0
    for name, value in merged.items():
        first, second = (each[name] - root[name] for each in adapted)
        expected = spherical(first, second, 0.75)
        assert torch.allclose(value - root[name], expected, atol=1e-6), name
        if first.norm() and second.norm():
            moved += 1
            low, high = sorted((float(first.norm()), float(second.norm())))
            assert 0.98 * low <= float((value - root[name]).norm()) <= 1.02 * high
    assert moved


def test_checkpoints_embed_as_their_recipe_says(runs: tuple[Path, Path], tmp_path: Path) -> None:
    steps = [runs[0] / "training" / f"step-{step:06d}" for step in (10, 12)]
    merge(steps, tmp_path / "out")
    merged = Embedder.from_pretrained(tmp_path / "out")
    assert merged.spec.template.name == "ccw"
    assert merged.spec.pooling.spec == "lasttoken"
    last = Embedder.from_pretrained(runs[0])
    cosines = (merged.encode(TEXTS) * last.encode(TEXTS)).sum(1)
    assert cosines.min() > 0.9
    assert cosines.max() < 1 - 1e-7


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_an_arc_goes_from_one_end_to_the_other(pairs: list[tuple[float, float]], share: float) -> None:
    first, second = (torch.tensor(side, dtype=torch.float64) for side in zip(*pairs, strict=True))
    assert torch.allclose(spherical(first, second, 0.0), first, atol=1e-6)
    assert torch.allclose(spherical(first, second, 1.0), second, atol=1e-6)
    swapped = spherical(second, first, 1 - share)
    assert torch.allclose(spherical(first, second, share), swapped, atol=1e-6)


def test_the_middle_of_an_arc_is_as_long_as_its_ends() -> None:
    first, second = torch.tensor([3.0, 0, 0]), torch.tensor([0.0, 3, 0])
    assert torch.allclose(spherical(first, second, 0.5), torch.tensor([1.0, 1, 0]) * 3 / 2**0.5, atol=1e-6)


def test_what_cannot_be_merged(
    runs: tuple[Path, Path], tmp_path: Path, llama_folder: Path, refused: Refused
) -> None:
    names = [str(run) for run in runs]
    for given_weights in ([1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, -1.0]):
        message = refused(RequestError, check_merging, names, "average", given_weights)
        assert message.startswith(
            f"weights={given_weights}: give one number above 0 for each of the 2 models"
        )
    assert "unknown method 'sum'" in refused(RequestError, check_merging, names, "sum", None)
    assert refused(RequestError, check_merging, names[:1], "average", None).startswith("1 model: ")
    assert "no model" in refused(MissingFileError, check_merging, [names[0], "gone"], "average", None)
    message = refused(ModelError, check_merging, [names[0], str(llama_folder)], "average", None)
    assert message.startswith(f"{llama_folder} is no adapted model")
    other = tmp_path / "other"
    other.mkdir()
    for file in ("config.json", "lastword.json"):
        (other / file).write_text((runs[0] / file).read_text())
    stored = json.loads((other / "lastword.json").read_text())
    (other / "lastword.json").write_text(json.dumps(stored | {"base": "another", "base_hash": "123"}))
    message = refused(ModelError, check_merging, [names[0], str(other)], "average", None)
    assert message.endswith(f"and {other} from another: only models of the same base model can be merged")
    (tmp_path / "there").mkdir()
    refused(ExistingOutputError, merge, names, tmp_path / "there")


def test_models_that_embed_otherwise(runs: tuple[Path, Path], tmp_path: Path, refused: Refused) -> None:
    Embedder.from_pretrained(runs[1], pooling="mean").save(tmp_path / "mean")
    message = refused(ModelError, merge, [runs[0], tmp_path / "mean"], tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'mean'} embeds otherwise than {runs[0]}: pooling 'mean'")
    Embedder.from_pretrained(runs[1], layer=1).cut().save(tmp_path / "cut")
    message = refused(ModelError, merge, [runs[0], tmp_path / "cut"], tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'cut'} has other weights than")


def test_a_base_model_that_was_changed(runs: tuple[Path, Path], tmp_path: Path, refused: Refused) -> None:
    copies: list[Any] = []
    for run in runs:
        copy = tmp_path / run.name
        Embedder.from_pretrained(run).save(copy)
        stored = json.loads((copy / "lastword.json").read_text())
        (copy / "lastword.json").write_text(json.dumps(stored | {"base": str(runs[1])}))
        copies.append(copy)
    message = refused(ModelError, merge, copies, tmp_path / "out", method="spherical")
    assert "is not the base model any more" in message
    merge(copies, tmp_path / "out")
