"""The loss against sentence-transformers' own, and against a plain computation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.losses import (
    CoSENTLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.util import pairwise_angle_sim
from torch import Tensor, nn

from lastword.config import GRADED
from lastword.training.losses import (
    LOSSES,
    Loss,
    Targets,
    angle,
    at_widths,
    cosent,
    distillation,
    false_negatives,
    info_nce,
    symmetric_info_nce,
    with_teacher,
)


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


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scored(n: int, seed: int = 0) -> Targets:
    scores = torch.randint(0, 4, (n,), generator=torch.Generator().manual_seed(seed)).float()
    return Targets(0.05, torch.zeros(n, n).bool(), scores)


def test_symmetric_loss_is_the_mean_of_both_directions() -> None:
    anchors, positives, targets = vectors(7, 16), vectors(7, 16, seed=1), Targets(0.1)
    both = info_nce(anchors, positives, targets) + info_nce(positives, anchors, targets)
    assert symmetric_info_nce(anchors, positives, targets).item() == pytest.approx(both.item() / 2)
    hard = vectors(3, 16, seed=2)
    theirs = MultipleNegativesRankingLoss(
        GivenVectors(),  # type: ignore[arg-type]
        scale=10,
        directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    )
    expected = theirs([{"vectors": column} for column in (anchors, positives)], torch.empty(0))
    assert symmetric_info_nce(anchors, positives, targets).item() == pytest.approx(expected.item())
    with_hard = info_nce(anchors, torch.cat([positives, hard]), targets) + info_nce(
        positives, anchors, targets
    )
    got = symmetric_info_nce(anchors, torch.cat([positives, hard]), targets)
    assert got.item() == pytest.approx(with_hard.item() / 2), "hard negatives count in the first direction"


def test_what_is_excluded_is_excluded_in_both_directions() -> None:
    anchors, positives = vectors(4, 8), vectors(4, 8, seed=1)
    excluded = torch.zeros(4, 4).bool()
    excluded[0, 2] = True
    there = info_nce(anchors, positives, Targets(0.1, excluded))
    back = info_nce(positives, anchors, Targets(0.1, excluded.T))
    got = symmetric_info_nce(anchors, positives, Targets(0.1, excluded))
    assert got.item() == pytest.approx(((there + back) / 2).item())


@pytest.mark.parametrize("seed", range(3))
def test_cosent_equals_that_of_sentence_transformers(seed: int) -> None:
    columns, targets = [vectors(9, 16, seed=seed), vectors(9, 16, seed=9 + seed)], scored(9, seed)
    theirs = CoSENTLoss(GivenVectors(), scale=20)  # type: ignore[arg-type]
    expected = theirs([{"vectors": column} for column in columns], targets.scores)
    assert cosent(*columns, targets).item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("dim", [16, 15])
def test_angle_adds_the_order_of_the_angles(dim: int) -> None:
    columns, targets = [vectors(9, dim), vectors(9, dim, seed=1)], scored(9)
    assert targets.scores is not None
    angles, total = pairwise_angle_sim(*columns), torch.tensor(1.0)
    for i, j in ((i, j) for i in range(9) for j in range(9) if targets.scores[i] > targets.scores[j]):
        total += torch.exp(angles[j] - angles[i])
    expected = cosent(*columns, targets) + total.log()
    assert angle(*columns, targets).item() == pytest.approx(expected.item(), abs=1e-5)


@given(st.permutations(range(6)), st.sampled_from(GRADED))
def test_graded_losses_see_only_the_order_of_scores_and_not_that_of_pairs(
    order: list[int], name: str
) -> None:
    first, second, scores = vectors(6, 8), vectors(6, 8, seed=1), torch.tensor([0.0, 1, 1, 2, 4, 5])
    loss = LOSSES[name](first, second, Targets(0.05, scores=scores)).item()
    other = LOSSES[name](first[order], second[order], Targets(0.05, scores=scores[order] ** 3 - 7)).item()
    assert other == pytest.approx(loss, rel=1e-4)
    same = LOSSES[name](first, second, Targets(0.05, scores=torch.ones(6)))
    assert same.item() == 0, "nothing to order"


@pytest.mark.parametrize("name", LOSSES)
def test_an_own_temperature_for_each_pair(name: str) -> None:
    columns, targets = [vectors(6, 8), vectors(6, 8, seed=1)], scored(6)
    equal = Targets(torch.full((6,), 0.05), targets.excluded, targets.scores)
    other = Targets(torch.linspace(0.05, 1, 6), targets.excluded, targets.scores)
    loss = LOSSES[name](*columns, targets).item()
    assert LOSSES[name](*columns, equal).item() == pytest.approx(loss, rel=1e-5)
    assert LOSSES[name](*columns, other).item() != pytest.approx(loss, rel=1e-2)


def test_the_temperature_of_a_pair_divides_its_own_similarities() -> None:
    anchors, candidates = vectors(2, 8), vectors(3, 8, seed=1)
    each = [
        float(info_nce(anchors, candidates, Targets(temperature)) * 2)
        - float(info_nce(anchors[other : other + 1], candidates[[other, 1 - other, 2]], Targets(temperature)))
        for other, temperature in ((1, 0.1), (0, 0.7))
    ]
    got = info_nce(anchors, candidates, Targets(torch.tensor([0.1, 0.7])))
    assert got.item() == pytest.approx(sum(each) / 2, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES.values())
def test_widths_are_the_mean_of_the_loss_of_each(loss: Loss) -> None:
    columns, targets = [vectors(6, 16), vectors(6, 16, seed=1)], scored(6)
    assert at_widths(loss, ())(*columns, targets) == loss(*columns, targets), "the full width alone"
    parts = [loss(*(column[:, :width] for column in columns), targets).item() for width in (4, 10, 16)]
    assert at_widths(loss, (4, 10))(*columns, targets).item() == pytest.approx(sum(parts) / 3)


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


@given(st.integers(0, 100), st.sampled_from([0.05, 0.2, 1.0]))
def test_a_teacher_of_any_width_is_learned_by_its_similarities(seed: int, temperature: float) -> None:
    """Rotated, scaled and padded vectors have the teacher's similarities; others are farther by what KL says."""
    teacher, other = vectors(9, 6, seed=seed), vectors(9, 6, seed=seed + 1000)
    taught = unit_cosines(teacher[:4], teacher[4:])
    targets = Targets(temperature, taught=taught)
    rotation, _ = torch.linalg.qr(vectors(8, 8, seed=seed))
    turned = torch.nn.functional.pad(3 * teacher, (0, 2)) @ rotation
    assert distillation(turned[:4], turned[4:], targets).item() == pytest.approx(0, abs=1e-5)
    loss = distillation(other[:4], other[4:], targets)
    p, q = ((c / temperature).softmax(1) for c in (taught, unit_cosines(other[:4], other[4:])))
    assert loss.item() == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-3, abs=1e-5)


def test_a_teacher_with_a_temperature_for_each_anchor() -> None:
    anchors, candidates, teacher = vectors(3, 5), vectors(4, 5, seed=1), vectors(7, 2, seed=2)
    taught = unit_cosines(teacher[:3], teacher[3:])
    each = [distillation(anchors[i : i + 1], candidates, Targets(t, taught=taught[i : i + 1]))
            for i, t in enumerate((0.1, 0.2, 0.5))]  # fmt: skip
    together = distillation(anchors, candidates, Targets(torch.tensor([0.1, 0.2, 0.5]), taught=taught))
    assert together.item() == pytest.approx(float(torch.stack(each).mean()), rel=1e-5)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_the_share_of_a_teacher(share: float) -> None:
    anchors, candidates = vectors(3, 5), vectors(4, 5, seed=1)
    targets = Targets(0.1, taught=unit_cosines(vectors(3, 2), vectors(4, 2, seed=3)))
    expected = (1 - share) * info_nce(anchors, candidates, targets) + share * distillation(
        anchors, candidates, targets
    )
    assert with_teacher(info_nce, share)(anchors, candidates, targets).item() == pytest.approx(
        expected.item()
    )


def unit_cosines(first: Tensor, second: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(first[:, None], second[None], dim=-1)
