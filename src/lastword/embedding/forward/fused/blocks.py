"""Read the structure of a Hugging Face decoder: which of its modules has which role.

Llama, Qwen2, Qwen3, Mistral, Gemma and models built like them. Modules are found by name. A model with any part,
setting of a module or field of its configuration that is not read here runs through its own forward pass, and the
result is compared with the model's own states (see `proof.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedConfig

from lastword.embedding.forward.fused.projection import Projection
from lastword.embedding.latent_pooling import LatentPooling

Norm = Callable[[Tensor], Tensor]

_PARTS = {
    "model": ("embed_tokens", "layers", "norm", "rotary_emb"),
    "layer": (
        "self_attn", "mlp", "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"),
    "feed-forward": ("gate_proj", "up_proj", "down_proj", "act_fn"),
}  # fmt: skip
# What a module's own attributes may say: read below, a consequence of what is read, or without effect on states.
_ATTRIBUTES = frozenset({
    "attention_dropout", "attention_type", "config", "has_sliding_layers", "head_dim", "hidden_size",
    "intermediate_size", "is_causal", "is_sliding", "layer_idx", "layer_type", "num_key_value_groups", "rotary_fn",
    "scaling", "sliding_window", *vars(nn.Module()),
})  # fmt: skip
_OF_ANY_MODEL = frozenset({
    "all_tied_weights_keys", "gradient_checkpointing", "hf_device_map", "hf_quantizer", "is_loaded_in_4bit",
    "is_loaded_in_8bit", "is_quantized", "kernel_config", "loss_type", "name_or_path", "padding_idx",
    "quantization_method", "vocab_size",
})  # fmt: skip
_CONFIGURATION = frozenset({
    "attention_bias", "attention_dropout", "bos_token_id", "eos_token_id", "final_logit_softcapping", "head_dim",
    "hidden_act", "hidden_activation", "hidden_size", "initializer_range", "intermediate_size", "layer_types",
    "max_position_embeddings", "max_window_layers", "mlp_bias", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "pad_token_id", "pretraining_tp", "query_pre_attn_scalar", "rms_norm_eps",
    "rope_parameters", "sliding_window", "tie_word_embeddings", "use_cache", "use_sliding_window", "vocab_size",
    *inspect.signature(PreTrainedConfig).parameters,
})  # fmt: skip
_ROTARY = frozenset({  # all of them read by the rotary embedding itself, which is called
    "attention_factor", "beta_fast", "beta_slow", "factor", "high_freq_factor", "low_freq_factor", "mscale",
    "mscale_all_dim", "original_max_position_embeddings", "rope_theta", "rope_type", "truncate", "type",
})  # fmt: skip
_CAPTURING = "transformers.utils.output_capturing"
_LAYER_TYPES = {"full_attention", "sliding_attention"}
_ROPE_TYPES = {"default", "linear", "llama3", "yarn"}  # the others change with the length of the batch


class StructureError(Exception):
    """The model is not built like Llama; the message names what is not read."""


@dataclass(frozen=True)
class Block:
    """One decoder layer.

    Attributes:
        attention_norm, mlp_norm: applied to the residual stream before attention and feed-forward.
        attention_after, mlp_after: applied to the output of attention and feed-forward, or None (Gemma 3 has them).
        qkv, out, gate_up, down: the matrix products.
        query_norm, key_norm: norms of each head's query and key (Qwen3, Gemma 3), or None.
        activation: activation function of the gate.
        head_dim: width of an attention head.
        scale: factor of the attention scores.
        window: number of tokens back that a token attends to, or None for all.
        rotary: name of the rotary embedding, for models that have several.
    """

    attention_norm: Norm
    attention_after: Norm | None
    mlp_norm: Norm
    mlp_after: Norm | None
    qkv: Projection
    out: Projection
    gate_up: Projection
    down: Projection
    query_norm: Norm | None
    key_norm: Norm | None
    activation: Callable[[Tensor], Tensor]
    head_dim: int
    scale: float
    window: int | None
    rotary: str | None


@dataclass(frozen=True)
class Blocks:
    """The modules of a decoder by their role.

    Attributes:
        model: the Hugging Face module.
        embed: token ids to the first hidden state.
        layers: the decoder layers.
        norm: the final norm.
        rotary: positions to cosines and sines.
    """

    model: nn.Module
    embed: Callable[[Tensor], Tensor]
    layers: list[Block]
    norm: Norm
    rotary: Callable[..., tuple[Tensor, Tensor]]

    @property
    def window(self) -> int | None:
        """The narrowest window of any layer."""
        return min((block.window for block in self.layers if block.window), default=None)

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        size: int = self.model.config.get_text_config().vocab_size  # type: ignore[operator,union-attr]
        return size

    @property
    def hooked(self) -> bool:
        """Whether a module has forward hooks that act; they run in the model's own forward pass only.

        Once transformers has returned inner states, it keeps hooks that do nothing in other passes.
        """
        hooks = (
            hook
            for module in self.model.modules()
            for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
        )
        return any(getattr(hook, "__module__", None) != _CAPTURING for hook in hooks)


def read_blocks(model: Any) -> Blocks:
    """Find the modules of a model.

    Raises:
        StructureError: a part, attribute or field of the configuration that is not read.
    """
    _require_configuration(model.config)
    _require_read(model, "model", _PARTS["model"])
    try:
        layers = [read_block(layer) for layer in model.layers]
        return Blocks(model, model.embed_tokens, layers, model.norm, model.rotary_emb)
    except AttributeError as error:
        raise StructureError(str(error)) from error


def read_block(layer: Any) -> Block:
    """Find the modules of a layer.

    Raises:
        StructureError: a part or attribute that is not read.
        AttributeError: a part is missing.
    """
    attention, mlp = layer.self_attn, layer.mlp
    _require_read(layer, "layer", _PARTS["layer"])
    _require_read(attention, "attention", _PARTS["attention"])
    _require_read(mlp, "feed-forward", _PARTS["feed-forward"])
    sandwich = hasattr(layer, "pre_feedforward_layernorm")
    by_type = sandwich and hasattr(attention, "layer_type")  # Gemma 3: local layers rotate in another way
    return Block(
        attention_norm=layer.input_layernorm,
        attention_after=layer.post_attention_layernorm if sandwich else None,
        mlp_norm=layer.pre_feedforward_layernorm if sandwich else layer.post_attention_layernorm,
        mlp_after=layer.post_feedforward_layernorm if sandwich else None,
        qkv=Projection(attention, "q_proj", "k_proj", "v_proj"),
        out=Projection(attention, "o_proj"),
        gate_up=Projection(mlp, "gate_proj", "up_proj"),
        down=Projection(mlp, "down_proj"),
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        activation=mlp.act_fn,
        head_dim=attention.head_dim,
        scale=attention.scaling,
        window=getattr(attention, "sliding_window", getattr(attention.config, "sliding_window", None)),
        rotary=attention.layer_type if by_type else None,
    )


def _require_read(module: nn.Module, role: str, parts: Iterable[str]) -> None:
    """Refuse a module that has a submodule, weight or attribute which is not read."""
    idle = (nn.Dropout, nn.Identity, LatentPooling)  # the last one reads the states that the model gives
    unread = {name for name, child in module.named_children() if not isinstance(child, idle)} - set(parts)
    unread |= {
        name for name, _ in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    }
    known = _ATTRIBUTES | _OF_ANY_MODEL if role == "model" else _ATTRIBUTES
    unread |= {
        name
        for name, value in vars(module).items()
        if name not in known and not name.startswith("_") and not _neutral(value)
    }
    if unread:
        raise StructureError(f"the {role} has {', '.join(sorted(unread))}")


def _require_configuration(config: Any) -> None:
    """Refuse a configuration with a field that is not read, such as a multiplier; keys of no class do nothing."""
    fields = {name: getattr(config, name, None) for name in inspect.signature(type(config)).parameters}
    unread = {
        name for name, value in fields.items() if name not in _CONFIGURATION and value and not _neutral(value)
    }
    rope = getattr(config, "rope_parameters", None) or {}
    for settings in rope.values() if set(rope) & _LAYER_TYPES else [rope]:
        kind = settings.get("rope_type", "default") if settings else None  # None: layers that do not rotate
        unread |= set() if kind in _ROPE_TYPES else {f"rope_type {kind}"}
        unread |= {
            name for name, value in (settings or {}).items() if name not in _ROTARY and not _neutral(value)
        }
    unread |= {
        f"layer type {kind}" for kind in set(getattr(config, "layer_types", None) or []) - _LAYER_TYPES
    }
    if unread:
        raise StructureError(f"the configuration has {', '.join(sorted(unread))}")


def _neutral(value: object) -> bool:
    """Whether a value changes nothing: a switch without a value, or a factor of one."""
    return value is None or (isinstance(value, float) and value == 1.0)
