"""The model's own forward pass, for every decoder that transformers can load; and how its guarantees are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lastword.embedding.device import attention_kernels
from lastword.embedding.forward.float32 import in_float32
from lastword.embedding.forward.path import Guarantees
from lastword.embedding.spec import Norm
from lastword.embedding.stack import layer_stack, text_modules
from lastword.embedding.tokens import Batch
from lastword.errors import ModelError, first_line

_LENGTH, _SHIFT = 32, 3
_STRIDE = 7919  # a prime: the sample's tokens are spread over the vocabulary
_COARSE = 5e-2


class StockForward:
    """The forward pass of the Hugging Face module, padded batches and all.

    Source: with `bidirectional`, LLM2Vec, arXiv:2404.05961, §2.1: the causal mask of a decoder is replaced by one that
    hides padding only.

    Attributes:
        model: the module, without its vocabulary head.
        model_name: for messages.
        layers: number of layers.
        bidirectional: let all tokens attend to all others, which the model was not trained for.
        dim: width of the last hidden state, which a few models project.
    """

    def __init__(
        self,
        model: Any,
        model_name: str,
        layers: int,
        positions: int,
        tolerance: float,
        *,
        bidirectional: bool = False,
    ) -> None:
        self.model, self.model_name, self.layers = model, model_name, layers
        self.bidirectional = bidirectional
        self.name = "bidirectional" if bidirectional else "stock"
        try:
            with self.masks():
                causal, relative, self.dim = _measure(model, positions, tolerance)
        except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, ImportError) as error:
            raise ModelError(f"{model_name} does not run: {first_line(error)}") from error
        self._guarantees = Guarantees(causal, positions, "relative" if relative else "absolute")

    @property
    def guarantees(self) -> Guarantees:
        """Measured when the model was loaded."""
        return self._guarantees

    def hidden(self, batch: Batch, layers: Sequence[int], norm: Norm) -> Iterator[tuple[int, Tensor]]:
        """See `ForwardPath.hidden`.

        The model applies its final norm after the last layer only: it is applied to the others here for
        "post", and the input of that norm is taken for "pre".

        Raises:
            ModelError: norm="pre" without a final norm, or states of another shape below the last layer.
        """
        inputs = _inputs(batch)
        lower = sorted({layer for layer in layers if layer < self.layers})
        before_norm: list[Tensor] = []
        hooks = []
        if self.layers in layers and norm == "pre":
            hooks.append(
                self.final_norm.register_forward_pre_hook(lambda _, args: before_norm.append(args[0]))
            )
        try:
            with self.masks(), attention_kernels(batch.input_ids.device):
                output = self.model(**inputs, use_cache=False, output_hidden_states=bool(lower))
        finally:
            for hook in hooks:
                hook.remove()
        for layer in lower:
            states = output.hidden_states[layer]
            if states.dim() != 3 or states.shape[-1] != self.dim:  # several residual streams, or a projection
                shape = "×".join(str(size) for size in states.shape[2:])
                raise ModelError(
                    f"{self.model_name}: a state of layer {layer} is {shape} numbers, not {self.dim}: "
                    "use the last layer"
                )
            yield layer, self.final_norm(states) if norm == "post" else states
        if self.layers in layers:
            yield self.layers, output.last_hidden_state if norm == "post" else before_norm[-1]

    def last(self, batch: Batch, norm: Norm) -> Tensor:
        """See `ForwardPath.last`."""
        ((_, states),) = self.hidden(batch, [self.layers], norm)
        rows = torch.arange(len(batch.lengths), device=states.device)
        return states[rows, torch.tensor(batch.lengths, device=states.device) - 1]

    @cached_property
    def final_norm(self) -> nn.Module:
        """The norm after the last layer: the one that gives the model's last hidden state, whatever it is called.

        Raises:
            ModelError: there is none.
        """
        layers = layer_stack(self.model)
        inside = set() if layers is None else set(layers.modules())
        norms = [
            m for _, m in text_modules(self.model) if "norm" in type(m).__name__.lower() and m not in inside
        ]
        outputs: dict[nn.Module, Any] = {}

        def keep(module: nn.Module, args: object, output: object) -> None:
            outputs[module] = output

        device = next(self.model.parameters()).device
        batch = sample_batch(
            self.model.config.get_text_config().vocab_size, self._guarantees.max_tokens, device
        )
        with ExitStack() as stack, self.masks(), torch.no_grad():
            for norm in norms:
                stack.callback(norm.register_forward_hook(keep).remove)
            last = self.model(**_inputs(batch), use_cache=False).last_hidden_state
        for norm, output in outputs.items():
            if isinstance(output, Tensor) and torch.equal(output, last):
                return norm
        raise ModelError(
            f"{self.model_name}: no norm gives the last hidden state: use norm='post' and the last layer"
        )

    @contextmanager
    def masks(self) -> Iterator[None]:
        """The model makes the masks of this path inside the `with`: transformers reads its configuration every time."""
        config = self.model.config.get_text_config()
        before = getattr(config, "is_causal", True)
        if self.bidirectional:
            config.is_causal = False
        try:
            yield
        finally:
            if self.bidirectional:
                config.is_causal = before


def sample_batch(vocabulary: int, positions: int, device: torch.device) -> Batch:
    """Rows that a forward pass is judged by: two of 32 tokens that part in the middle, and a short one, padded.

    All three begin with the same tokens. They are shorter in a model with fewer positions.
    """
    length = max(4, min(_LENGTH, positions - _SHIFT))
    lengths, shared = [length, length, length // 3], length // 4
    ids = (torch.arange(length, device=device) * _STRIDE + 1).expand(3, -1).clone()
    ids[1, length // 2 :] += 1
    mask = torch.arange(length, device=device) < torch.tensor(lengths, device=device)[:, None]
    return Batch([0, 1, 2], ids % vocabulary, mask, mask, lengths, shared)


def difference(states: Tensor, reference: Tensor) -> float:
    """Largest difference of two computations of the same states (…, dim), relative to the length of each state."""
    lengths = reference.float().norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
    return float(((states - reference).float().norm(dim=-1) / lengths).max())


def _measure(model: Any, positions: int, tolerance: float) -> tuple[bool, bool, int]:
    """Whether the model is causal, whether its positions are relative, and the width of its last hidden state.

    In float32 where the model can run so.
    """
    try:
        with in_float32(model):
            return _measure_as_it_is(model, positions, tolerance)
    except (RuntimeError, TypeError, ValueError):  # an operation that exists in one precision only
        return _measure_as_it_is(model, positions, max(tolerance, _COARSE))


@torch.no_grad()
def _measure_as_it_is(model: Any, positions: int, tolerance: float) -> tuple[bool, bool, int]:
    device = next(model.parameters()).device
    batch = sample_batch(model.config.get_text_config().vocab_size, positions, device)
    inputs, length = _inputs(batch), batch.input_ids.shape[1]
    states = model(**inputs, use_cache=False).last_hidden_state
    causal = difference(states[0, : length // 2], states[1, : length // 2]) <= tolerance
    shift = torch.arange(_SHIFT, _SHIFT + length, device=device).expand(3, -1)
    try:
        shifted = model(**inputs, position_ids=shift, use_cache=False).last_hidden_state
    except (TypeError, IndexError, RuntimeError):  # takes no positions, or has too few
        return causal, False, states.shape[-1]
    real = batch.attention_mask
    return causal, difference(shifted[real], states[real]) <= tolerance, states.shape[-1]


def _inputs(batch: Batch) -> dict[str, Tensor]:
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
