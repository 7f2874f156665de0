"""Little timing of the machine in every plan."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def little_timing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lastword.planning.costs._MOST_ROUNDS", 1)
        patch.setattr("lastword.planning.embedding._FLOPS", 1e9)
        patch.setattr("lastword.planning.training._ROUNDS", 1)
        patch.setattr("lastword.planning.training._FLOPS", 1e9)
        yield
