"""The frozen language model: token ids to hidden states, without its vocabulary head.

Any Hugging Face decoder will do. Whether a model is one is tested, not looked up: the state of a
token must not change with what comes after it, since suffixes and poolings rely on that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from lastword.embedding.fused import Blocks, Layout, end_states, hidden_states, read_blocks
from lastword.embedding.memory import bound_kept_products
from lastword.embedding.quantization import keep_unpacked, quantization_config
from lastword.embedding.tokens import Batch
from lastword.errors import MissingFileError, ModelError, RequestError, unknown_name

Norm = Literal["post", "pre"]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it shows one for every load, however small
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
        bound_kept_products()
        name = str(name_or_folder)
        _require_loadable(name, revision)
        place = _place(device or preferred_device())
        if dtype is not None and dtype not in DTYPES:
            raise RequestError(unknown_name("dtype", dtype, DTYPES))
        precision = DTYPES[dtype] if dtype else preferred_dtype(place)
        quantized: dict[str, Any] = {}  # placed while they are read; they cannot be moved afterwards
        if quantize:
            quantized["quantization_config"] = quantization_config(quantize, precision)
            quantized["device_map"] = {"": place}
        verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would report the head, which is left out on purpose
        try:
            model, report = AutoModel.from_pretrained(
                name,
                revision=revision,
                dtype=precision,
                use_safetensors=True,
                attn_implementation="sdpa",
                output_loading_info=True,
                **quantized,
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelError(f"{name} does not load as a model: {str(error).splitlines()[0]}") from error
        finally:
            transformers_logging.set_verbosity(verbosity)
        if quantize:
            keep_unpacked(model)
        backbone = cls(model if quantize else model.to(place), name, fused=fused, quantize=quantize)
        missing = sorted(report["missing_keys"])
        if missing:  # transformers filled them with random numbers
            raise ModelError(
                f"{name} lacks {len(missing)} of its weights, {missing[0]} first: fetch it again"
            )
        return backbone

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


def _place(device: str) -> torch.device:
    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"no device {device!r} here: {reason}; use cpu, cuda, cuda:1 or mps") from error
    return place


def preferred_device() -> str:
    """CUDA, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def preferred_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32


def _require_loadable(name: str, revision: str | None) -> None:
    """Say in one line why a name cannot be a model, before any weights are touched."""
    folder = Path(name)
    if folder.exists() and not (folder / "config.json").is_file():
        found = sorted(path.name for path in folder.iterdir())[:8] if folder.is_dir() else ["a file"]
        raise ModelError(
            f"{name} is no model folder: it has no config.json (found: {', '.join(found) or 'nothing'})"
        )
    if not folder.exists() and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
        raise MissingFileError(
            f"no model {name!r}: give 'mini', a folder that exists or a Hub name like Qwen/Qwen3-0.6B"
        )
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code") from error
        raise ModelError(f"no model {name!r}: {str(error).splitlines()[0]}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name} ({config.model_type}) is an encoder-decoder: lastword needs a decoder-only model"
        )
    if _has_remote_code(config):
        raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code")


def _has_remote_code(config: Any) -> bool:
    """Whether the model class, not only a helper, is defined in the repository's own files."""
    own = getattr(config, "auto_map", None) or {}
    return "AutoModel" in own and type(config) not in AutoModel._model_mapping
