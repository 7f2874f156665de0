"""The loss against sentence-transformers' own, and against a plain computation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor, nn

from lastword.training.losses import Targets, false_negatives, info_nce


class GivenVectors(nn.Module):
    """A "model" whose features are the vectors already."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["vectors"]}


def reference_loss(columns: Iterable[Tensor], temperature: float) -> Tensor:
    model: Any = GivenVectors()
    loss = MultipleNegativesRankingLoss(model, scale=1 / temperature)
    return loss([{"vectors": column} for column in columns], torch.empty(0))


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_loss_and_gradients_equal_multiple_negatives_ranking_loss(hard: bool, temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randn(9, 16, generator=generator).requires_grad_() for _ in range(3 if hard else 2)]
    theirs = reference_loss(columns, temperature)
    expected = torch.autograd.grad(theirs, columns)
    ours = info_nce(columns[0], torch.cat(columns[1:]), Targets(temperature))
    got = torch.autograd.grad(ours, columns)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    for actual, reference in zip(got, expected, strict=True):
        assert torch.allclose(actual, reference, atol=1e-6)


def test_excluded_candidates_count_for_nothing() -> None:
    vectors = torch.eye(3)
    excluded = torch.tensor([[False, True, True], [False, False, False], [False, False, False]])
    loss = info_nce(vectors, vectors, Targets(1.0, excluded))
    of_two = torch.log(1 + 2 * torch.exp(torch.tensor(-1.0)))
    assert float(loss) == pytest.approx(float(2 * of_two / 3), abs=1e-6)


def test_repeated_texts_are_never_negatives() -> None:
    anchors = ["a", "b", "a", "c"]
    candidates = ["p", "q", "r", "p", "a"]  # four positives and one hard negative
    excluded = false_negatives(anchors, candidates)
    expected = torch.tensor([
        [0, 0, 1, 1, 1],  # r belongs to another "a", the second p is its own positive, "a" is itself
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 0],  # the first p is its own positive's text
    ]).bool()  # fmt: skip
    assert torch.equal(excluded, expected)


def test_texts_without_repeats_exclude_nothing() -> None:
    assert not false_negatives(["a", "b"], ["c", "d", "e"]).any()
