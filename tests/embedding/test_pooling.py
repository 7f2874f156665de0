"""Poolings as pure functions: equal to a loop in NumPy, and blind to whatever the mask hides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lastword.embedding import Pooling
from lastword.embedding.pooling import PLAIN, POOLINGS
from lastword.errors import RequestError
from tests.embedding.reference import POOLED

Refused = Callable[..., str]
NAMES = list(PLAIN)


def _states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_every_pooling_has_its_reference() -> None:
    assert set(POOLINGS) == {*PLAIN, "latent"}
    assert NAMES == ["mean", "lasttoken", "eos", "max", "weightedmean", "cls"]
    assert set(POOLED) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_equal_to_the_reference_under_any_mask(name: str, data: st.DataObject) -> None:
    batch, seq = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 7))
    rows = st.lists(st.booleans(), min_size=seq, max_size=seq).filter(any)
    mask = torch.tensor(data.draw(st.lists(rows, min_size=batch, max_size=batch)))
    hidden = _states(batch, seq, 5, seed=data.draw(st.integers(0, 99)))
    expected = [POOLED[name](states[row].numpy()) for states, row in zip(hidden, mask, strict=True)]
    np.testing.assert_allclose(PLAIN[name].pool(hidden, mask), np.stack(expected), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("left", "right"), [(0, 3), (3, 0), (2, 2)])
def test_padding_counts_on_neither_side(name: str, left: int, right: int) -> None:
    hidden = _states(2, 4, 5)
    mask = torch.ones(2, 4, dtype=torch.bool)
    wide = torch.cat([_states(2, left, 5, seed=1) * 9, hidden, _states(2, right, 5, seed=2) * 9], dim=1)
    wide_mask = torch.nn.functional.pad(mask, (left, right))
    torch.testing.assert_close(PLAIN[name].pool(wide, wide_mask), PLAIN[name].pool(hidden, mask))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_pool_gives_zeros(name: str) -> None:
    mask = torch.tensor([[False, False], [True, False]])
    pooled = PLAIN[name].pool(_states(2, 2, 5), mask)
    assert not pooled[0].any()
    assert pooled[1].all()


def test_weights_of_the_weighted_mean() -> None:
    """SGPT, eq. 2: position i of n real tokens weighs i / (1 + … + n), wherever the padding is."""
    hidden = torch.eye(4)[None]
    weights = PLAIN["weightedmean"].pool(hidden, torch.tensor([[False, True, True, True]]))
    torch.testing.assert_close(weights, torch.tensor([[0, 1 / 6, 2 / 6, 3 / 6]]))


@pytest.mark.parametrize("name", NAMES)
def test_result_is_float32_and_summed_in_float32(name: str) -> None:
    hidden = _states(1, 2000, 3).add(1).to(torch.bfloat16)
    mask = torch.ones(1, 2000, dtype=torch.bool)
    pooled = PLAIN[name].pool(hidden, mask)
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled[0], POOLED[name](hidden[0].float().numpy()), atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_a_position_stay_finite(name: str) -> None:
    pooled = PLAIN[name].pool(_states(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
    assert pooled.isfinite().all()
    if name in ("mean", "weightedmean", "max"):
        assert pooled.eq(0).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_only_what_the_mask_shows(name: str) -> None:
    hidden = _states(1, 5, 4).requires_grad_()
    mask = torch.tensor([[False, True, True, True, False]])
    PLAIN[name].pool(hidden, mask).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad[0, [0, 4]].eq(0).all()
    assert hidden.grad[0, 1:4].ne(0).any()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mean", Pooling("mean")),
        ("LastToken", Pooling("lasttoken")),
        ("max:text", Pooling("max", "text")),
        ("cls:sequence", Pooling("cls")),
        (Pooling("cls", "text"), Pooling("cls", "text")),
        ("mean:4layers", Pooling("mean", layers=4)),
        ("Mean:text:2Layers", Pooling("mean", "text", layers=2)),
        ("mean:2layers:text", Pooling("mean", "text", layers=2)),
        ("mean:1layers", Pooling("mean")),
        ("mean:ditto:text:2layers", Pooling("mean", "text", layers=2, ditto=True)),
        ("mean:text + lasttoken", Pooling("mean", "text", also=(Pooling("lasttoken"),))),
    ],
)
def test_parse(given: str | Pooling, expected: Pooling) -> None:
    parsed = Pooling.parse(given)
    assert parsed == expected
    assert Pooling.parse(parsed.spec) == parsed


KNOWN = "Known: mean, lasttoken, eos, max, weightedmean, cls, latent"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lastoken", f"unknown pooling 'lastoken': did you mean 'lasttoken'? {KNOWN}"),
        ("", f"unknown pooling '': {KNOWN}"),
        (
            "mean:txt",
            "unknown range to pool over 'txt': did you mean 'text'? Known: sequence, text, 4layers, ditto",
        ),
        (
            "mean:0layers",
            "unknown range to pool over '0layers': did you mean '4layers'? Known: sequence, text, 4layers, ditto",
        ),
        (
            "mean:text:sequence",
            "unknown range to pool over 'text:sequence': did you mean 'sequence'? "
            "Known: sequence, text, 4layers, ditto",
        ),
        ("mean:4layers:8layers", "pooling 'mean:4layers:8layers' has 2 numbers of layers: give one"),
        ("mean+max+mean", "pooling 'mean+max+mean' has 'mean' twice: leave one out"),
        ("max:ditto", "pooling 'max:ditto': ditto weighs a mean; use 'mean:ditto'"),
        ("mean+", f"unknown pooling '': {KNOWN}"),
        (
            "eos:text",
            "eos pooling reads the end-of-text token, which is not part of the text: use 'eos'",
        ),
    ],
)
def test_names_that_are_no_pooling(refused: Refused, given: str, message: str) -> None:
    assert refused(RequestError, Pooling.parse, given) == message


@pytest.mark.parametrize("name", NAMES)
def test_a_pooling_is_called_with_states_and_mask(name: str) -> None:
    hidden, mask = _states(2, 3, 4), torch.tensor([[True, True, False], [False, True, True]])
    torch.testing.assert_close(Pooling(name)(hidden, mask), PLAIN[name].pool(hidden, mask))


@pytest.mark.parametrize("name", ["mean", "weightedmean", "max", "lasttoken", "cls"])
def test_equal_states_are_their_own_pooling(name: str) -> None:
    state = _states(1, 1, 4)
    mask = torch.tensor([[True] * 5 + [False]])
    torch.testing.assert_close(Pooling(name)(state.expand(1, 6, 4), mask), state[:, 0])


def test_a_concatenation_has_its_parts_side_by_side() -> None:
    hidden, mask = _states(2, 3, 4), torch.tensor([[True, True, False], [False, True, True]])
    both = Pooling.parse("max+mean")
    expected = torch.cat([Pooling("max")(hidden, mask), Pooling("mean")(hidden, mask)], dim=1)
    torch.testing.assert_close(both(hidden, mask), expected)
    assert [part.spec for part in both.parts] == ["max", "mean"]
    assert not Pooling.parse("lasttoken+mean").reads_last
    assert not Pooling.parse("lasttoken:2layers").reads_last
    assert Pooling.parse("mean+eos").needs_eos
