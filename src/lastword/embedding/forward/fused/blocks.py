"""Read the structure of a Hugging Face decoder: which of its modules has which role.

Llama, Qwen2, Qwen3, Mistral, Gemma and models built like them. Modules are found by name, and the result is
compared with the model's own states (see `forward.py`): a model that computes anything else runs through
its own forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lastword.embedding.forward.fused.projection import Projection

Norm = Callable[[Tensor], Tensor]


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
        """Whether a module has forward hooks; they run in the model's own forward pass only."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.model.modules())


def read_blocks(model: Any) -> Blocks | None:
    """Find the modules, or return None for a model of another structure."""
    try:
        return Blocks(
            model=model,
            embed=model.embed_tokens,
            layers=[_block(layer) for layer in model.layers],
            norm=model.norm,
            rotary=model.rotary_emb,
        )
    except AttributeError:
        return None


def _block(layer: Any) -> Block:
    attention, mlp = layer.self_attn, layer.mlp
    sandwich = hasattr(layer, "pre_feedforward_layernorm")
    head_dim: int = attention.head_dim
    qkv = Projection(attention, "q_proj", "k_proj", "v_proj")
    if getattr(attention, "attn_logit_softcapping", None):
        raise AttributeError("soft capping of attention scores")
    return Block(
        attention_norm=layer.input_layernorm,
        attention_after=layer.post_attention_layernorm if sandwich else None,
        mlp_norm=layer.pre_feedforward_layernorm if sandwich else layer.post_attention_layernorm,
        mlp_after=layer.post_feedforward_layernorm if sandwich else None,
        qkv=qkv,
        out=Projection(attention, "o_proj"),
        gate_up=Projection(mlp, "gate_proj", "up_proj"),
        down=Projection(mlp, "down_proj"),
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        activation=mlp.act_fn,
        head_dim=head_dim,
        scale=attention.scaling,
        window=getattr(attention, "sliding_window", getattr(attention.config, "sliding_window", None)),
        rotary=getattr(attention, "layer_type", None) if _rotates_by_type(layer) else None,
    )


def _rotates_by_type(layer: Any) -> bool:
    """Gemma 3 has one rotary embedding for its local layers and another for the global ones."""
    return hasattr(layer, "pre_feedforward_layernorm") and hasattr(layer.self_attn, "layer_type")
