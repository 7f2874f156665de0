"""The frozen language model: token ids to hidden states, without its vocabulary head.

Any Hugging Face decoder will do. Whether a model is one is tested, not looked up: the state of a
token must not change with what comes after it, since suffixes and poolings rely on that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lastword.embedding.device import place_of, precision_of
from lastword.embedding.forward.fused import Blocks, Layout, end_states, hidden_states, read_blocks
from lastword.embedding.loading import load_decoder
from lastword.embedding.tokens import Batch
from lastword.errors import ModelError

Norm = Literal["post", "pre"]
# Where decoders keep the norm after their last layer: Llama, Qwen, Mistral, Gemma | GPT-2 | GPT-NeoX, OPT.
_FINAL_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm")


class Backbone:
    """A decoder without its head.

    Attributes:
        model: the Hugging Face module; an adapter may be placed inside it.
        name: what it was loaded from.
        layers: number of layers; hidden state 0 is the token embedding, `layers` the last.
        dim: width of the hidden states.
        positions: longest sequence that the model was made for.
        quantize: how the weights were quantised, or None.
        path: which forward runs: "fused", or "stock" for a model that is not built like Llama.
    """

    def __init__(
        self, model: PreTrainedModel, name: str, *, fused: bool = True, quantize: str | None = None
    ) -> None:
        self.model: Any = model.requires_grad_(False).train(False)
        self.name, self.quantize = name, quantize
        config = model.config.get_text_config()
        self.layers: int = config.num_hidden_layers
        self.dim: int = config.hidden_size
        self.positions: int = getattr(config, "max_position_embeddings", None) or 512
        reference = self._require_causal()
        self._blocks = self._proven_blocks(reference) if fused else None
        self.path = "fused" if self._blocks else "stock"

    @classmethod
    def load(
        cls,
        name_or_folder: str | Path,
        *,
        dtype: str | None = None,
        device: str | None = None,
        revision: str | None = None,
        fused: bool = True,
        quantize: str | None = None,
    ) -> Backbone:
        """Load a decoder from the Hub or a folder, safetensors only, no remote code.

        Args:
            name_or_folder: `Qwen/Qwen3-0.6B`, or a folder with config.json.
            dtype: "float32" or "bfloat16"; None chooses by `preferred_dtype`.
            device: "cpu", "cuda", "cuda:1", "mps"; None takes the best there is.
            revision: branch, tag or commit on the Hub.
            fused: use the fast forward where the model's build allows; False is always the model's own.
            quantize: "int8" or "nf4" stores the weights of the layers in 8 or 4 bits.

        Raises:
            MissingFileError: no such folder.
            ModelError: no model there, a damaged one, one that needs code of its own, or one that is no decoder.
            RequestError: a dtype or device that there is not.
        """
        name, place = str(name_or_folder), place_of(device)
        model = load_decoder(name, place, precision_of(dtype, place), revision, quantize)
        return cls(model, name, fused=fused, quantize=quantize)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the frozen weights."""
        dtype: torch.dtype = next(self.model.parameters()).dtype
        return dtype

    @contextmanager
    def attention(self, implementation: str) -> Iterator[None]:
        """Compute attention another way for a while, such as "eager"."""
        before: str = self.model.config._attn_implementation
        self.model.set_attn_implementation(implementation)
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)

    def hidden(self, batch: Batch, layer: int | None = None, norm: Norm = "post") -> Tensor:
        """Run a batch.

        Args:
            batch: padded on the right.
            layer: hidden state to return, 0 … `layers`; None is the last.
            norm: "post" applies the model's final norm to it (what the model itself does after its last
                layer), "pre" leaves the sum of the residual stream as it is.

        Returns:
            (batch, seq, dim) in the precision of the model.
        """
        depth = self.layers if layer is None else layer
        if self._blocks is None or max(batch.lengths) > self.fused_length:
            return self._stock_hidden(batch, depth, norm)
        layout = Layout.of(batch)
        *_, states = hidden_states(self._blocks, layout, depth)
        return layout.padded(self._blocks.norm(states) if norm == "post" else states)

    def last_hidden(self, batch: Batch, norm: Norm = "post") -> Tensor:
        """Each row's state at its last token, after the last layer: (batch, dim), cheaper than `hidden`."""
        fits = min(batch.lengths) > batch.shared and max(batch.lengths) <= self.fused_length
        if self._blocks is None or not fits:
            rows = torch.arange(len(batch.lengths), device=self.device)
            return self.hidden(batch, None, norm)[rows, torch.tensor(batch.lengths, device=self.device) - 1]
        return self.ends(Layout.of(batch), [], norm)[:, 0]

    def ends(self, layout: Layout, nodes: list[int], norm: Norm = "post") -> Tensor:
        """States after the last layer at each row's last token and at these nodes of its tree.

        Returns:
            (rows, 1 + nodes, dim)

        Raises:
            ModelError: a model without the fused forward.
        """
        blocks = self._required_blocks()
        states = end_states(blocks, layout, nodes)
        return blocks.norm(states) if norm == "post" else states

    def stream(self, layout: Layout, until: int, norm: Norm = "post") -> Iterator[Tensor]:
        """Yield hidden states 0 … `until` of a flat batch, each (tokens, dim), from one pass.

        Raises:
            ModelError: a model without the fused forward.
        """
        blocks = self._required_blocks()
        for states in hidden_states(blocks, layout, until):
            yield blocks.norm(states) if norm == "post" else states

    def _required_blocks(self) -> Blocks:
        if self._blocks is None:
            raise ModelError(f"{self.name} has no fused forward: use hidden()")
        return self._blocks

    @property
    def fused_length(self) -> int:
        """Longest sequence for which the fused forward computes what the model would; 0 if it never does.

        A window of attention ends it, and so does a hook on a module: hooks run in the model's own forward.
        """
        if self._blocks is None or self._blocks.watched:
            return 0
        return self._blocks.window or self.positions

    def _stock_hidden(self, batch: Batch, depth: int, norm: Norm) -> Tensor:
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask.long()}
        if depth == self.layers and norm == "post":
            states: Tensor = self.model(**inputs, use_cache=False).last_hidden_state
            return states
        if depth == self.layers:
            return self._before_final_norm(inputs)
        states = self.model(**inputs, use_cache=False, output_hidden_states=True).hidden_states[depth]
        return self.final_norm(states) if norm == "post" else states

    def _before_final_norm(self, inputs: dict[str, Tensor]) -> Tensor:
        caught: list[Tensor] = []
        hook = self.final_norm.register_forward_pre_hook(lambda module, args: caught.append(args[0]))
        try:
            self.model(**inputs, use_cache=False)
        finally:
            hook.remove()
        return caught[-1]

    @property
    def final_norm(self) -> nn.Module:
        """The norm after the last layer."""
        modules: dict[str, nn.Module] = dict(self.model.named_modules())
        for name, module in modules.items():
            if name.rpartition(".")[2] in _FINAL_NORMS and "layers." not in name and ".h." not in name:
                return module
        raise ModelError(
            f"{self.name}: no final norm found (looked for {', '.join(_FINAL_NORMS)}): use norm='post'"
        )

    @torch.no_grad()
    def _require_causal(self) -> tuple[Batch, Tensor]:
        """Run two rows, one the beginning of the other; what the model gives is the fused forward's measure."""
        batch = _two_rows(self.model.config.get_text_config().vocab_size, self.device)
        states = self._stock_hidden(batch, self.layers, "post")
        if _differ(states[0, :3], states[1, :3]) > self._rounding:
            raise ModelError(
                f"{self.name} ({self.model.config.model_type}) lets tokens see later ones: lastword needs a decoder, "
                "such as Qwen/Qwen3-0.6B; for this model use sentence-transformers"
            )
        return batch, states

    @torch.no_grad()
    def _proven_blocks(self, reference: tuple[Batch, Tensor]) -> Blocks | None:
        """The model's parts for the fused forward, if that gives the states of the model's own."""
        batch, states = reference
        blocks = read_blocks(self.model)
        if blocks is None:
            return None
        layout = Layout.of(batch)
        try:
            *_, mine = hidden_states(blocks, layout, self.layers)
        except (RuntimeError, TypeError, ValueError):  # parts of the same names, put together otherwise
            return None
        padded = layout.padded(blocks.norm(mine))
        differences = [_differ(padded[i, :n], states[i, :n]) for i, n in enumerate(batch.lengths)]
        return blocks if max(differences) <= self._rounding else None

    @property
    def _rounding(self) -> float:
        """How far two right computations of the same states may differ."""
        return 1e-4 if self.dtype == torch.float32 and not self.quantize else 5e-2


def _two_rows(vocabulary: int, device: torch.device) -> Batch:
    """Two rows of 3 and 6 tokens, the first the beginning of the second; two tokens shared."""
    ids = torch.arange(1, 7, device=device).expand(2, -1) % vocabulary
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[0, 3:] = False
    return Batch([0, 1], ids, mask, mask, [3, 6], 2)


def _differ(mine: Tensor, theirs: Tensor) -> float:
    """Largest difference of two computations, relative to the largest state."""
    return float((mine - theirs).abs().max()) / float(theirs.abs().max())
