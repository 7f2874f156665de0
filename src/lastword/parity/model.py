"""A model that runs one unpadded sequence at a time in float32, rightly or with a fault that others have."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lastword.embedding.pooling import POOLINGS
from lastword.geometry import unit
from lastword.parity.sequences import Parts


@dataclass(frozen=True)
class Fault:
    """What is done otherwise than the model asks for.

    Attributes:
        sequence: the ids of a text.
        pooling: name of the pooling; None is the right one.
        states: "last", "before the final norm", "one layer earlier", or "one layer earlier, without the final norm".
        rotary: settings of the rotary embedding that replace those of the configuration.
        all_see_all: tokens see later ones.
        padding: "" pads nothing; "seen" puts padding before a sequence, which other tokens see; "pooled" puts it
            after the sequence, and pooling reads it.
    """

    sequence: Callable[[Parts], tuple[int, ...]] = field(default=lambda parts: parts.sequence)
    pooling: str | None = None
    states: str = "last"
    rotary: Mapping[str, Any] | None = None
    all_see_all: bool = False
    padding: str = ""


RIGHT = Fault()


@dataclass(frozen=True)
class Model:
    """A model of transformers, and how its states become vectors.

    Attributes:
        module: without a head, float32.
        split: texts → their parts.
        pooling: name in `POOLINGS`.
        normalize: whether vectors have length 1.
        pad: id of the padding.
        final_norm: the last norm of the module; None where it is not known.
    """

    module: Any
    split: Callable[[Sequence[str]], list[Parts]]
    pooling: str
    normalize: bool
    pad: int
    final_norm: nn.Module | None = None

    def vectors(self, texts: Sequence[str], fault: Fault = RIGHT) -> np.ndarray:
        """Return (n, dim) float32."""
        ids = [fault.sequence(parts) for parts in self.split(texts)]
        longest = max(map(len, ids))
        with torch.inference_mode(), _rotary(self.module, fault.rotary):
            rows = [self._vector(list(row) or [self.pad], longest, fault) for row in ids]
        vectors: np.ndarray = torch.stack(rows).numpy()
        return unit(vectors) if self.normalize else vectors

    def _vector(self, ids: list[int], longest: int, fault: Fault) -> Tensor:
        missing, count = longest - len(ids), len(ids)
        ids = (
            [self.pad] * missing * (fault.padding == "seen")
            + ids
            + [self.pad] * missing * (fault.padding == "pooled")
        )
        batch = torch.tensor([ids])
        states = self._states(batch, fault)
        mask = torch.ones(batch.shape, dtype=torch.bool)
        if fault.padding == "seen":
            mask[:, : len(ids) - count] = False
        return POOLINGS[fault.pooling or self.pooling].pool(states, mask)[0]

    def _states(self, batch: Tensor, fault: Fault) -> Tensor:
        mask = torch.ones_like(batch)
        if fault.all_see_all:  # a mask of four dimensions is taken as it is
            mask = torch.zeros(1, 1, batch.shape[1], batch.shape[1])
        before: list[Tensor] = []
        hook = self.final_norm and self.final_norm.register_forward_pre_hook(
            lambda _, given: before.append(given[0])
        )
        try:
            output = self.module(input_ids=batch, attention_mask=mask, output_hidden_states=True)
        finally:
            if hook:
                hook.remove()
        if fault.states == "before the final norm" and before:
            return before[-1]
        states: Tensor = output.last_hidden_state
        if fault.states.startswith("one layer earlier"):
            states = output.hidden_states[-2]
            if self.final_norm and not fault.states.endswith("without the final norm"):
                states = self.final_norm(states)
        return states

    @property
    def rotary_settings(self) -> dict[str, Any] | None:
        """Of the configuration; None for a model without one rotary embedding for all layers."""
        settings = getattr(self.module.config.get_text_config(), "rope_parameters", None)
        if (
            not isinstance(settings, dict)
            or "rope_theta" not in settings
            or not hasattr(self.module, "rotary_emb")
        ):
            return None
        return dict(settings)


@contextmanager
def _rotary(module: Any, settings: Mapping[str, Any] | None) -> Iterator[None]:
    """Give the module another rotary embedding inside the `with`."""
    if settings is None:
        yield
        return
    before = module.rotary_emb
    config = copy.deepcopy(module.config.get_text_config())
    config.rope_parameters = dict(settings)
    module.rotary_emb = type(before)(config=config)
    try:
        yield
    finally:
        module.rotary_emb = before
