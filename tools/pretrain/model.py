"""The Llama architecture in plain torch, laid out for training speed on small machines.

Parameter names are Hugging Face's, so the state dict loads into `LlamaForCausalLM` as it is. What is
different is only how the products are grouped: q, k and v in one, gate and up in one, and causal
attention in blocks (on a CPU the fused kernel's backward pass costs twice as much).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig


def linear(x: Tensor, *layers: nn.Linear) -> Tensor:
    weight = torch.cat([layer.weight for layer in layers]) if len(layers) > 1 else layers[0].weight
    return x @ weight.to(x.dtype).t()


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, blocks: int = 2) -> Tensor:
    """(batch, heads, seq, head_dim) → the same; each block of queries sees only the keys up to its end."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    seq, outputs = q.shape[2], []
    for i in range(blocks):
        start, end = i * seq // blocks, (i + 1) * seq // blocks
        scores = (q[:, :, start:end] @ k[:, :, :end].transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        future = torch.arange(end, device=q.device) > torch.arange(start, end, device=q.device)[:, None]
        weights = scores.masked_fill(future, float("-inf")).softmax(-1).to(q.dtype)
        outputs.append(weights @ v[:, :, :end])
    return torch.cat(outputs, dim=2)


class Norm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))


class Layer(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        dim, wide = config.hidden_size, config.intermediate_size
        self.heads, self.eps = config.num_attention_heads, config.rms_norm_eps
        self.input_layernorm, self.post_attention_layernorm = Norm(dim), Norm(dim)
        self.self_attn = nn.ModuleDict({f"{name}_proj": nn.Linear(dim, dim, bias=False) for name in "qkvo"})
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": nn.Linear(dim, wide, bias=False),
                "up_proj": nn.Linear(dim, wide, bias=False),
                "down_proj": nn.Linear(wide, dim, bias=False),
            }
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, seq, dim = x.shape
        attention, mlp = self.self_attn, self.mlp
        y = linear(
            norm(x, self.input_layernorm.weight, self.eps),
            attention["q_proj"],
            attention["k_proj"],
            attention["v_proj"],
        )
        q, k, v = y.view(batch, seq, 3, self.heads, -1).transpose(1, 3).unbind(2)
        mixed = causal_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + linear(mixed.transpose(1, 2).reshape(batch, seq, dim), attention["o_proj"])
        y = norm(x, self.post_attention_layernorm.weight, self.eps)
        gate, up = linear(y, mlp["gate_proj"], mlp["up_proj"]).chunk(2, dim=-1)
        return x + linear(F.silu(gate) * up, mlp["down_proj"])


class Decoder(nn.Module):
    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = Norm(config.hidden_size)
        head_dim = config.hidden_size // config.num_attention_heads
        theta = config.rope_parameters["rope_theta"]
        frequency = theta ** (-torch.arange(0, head_dim, 2) / head_dim)
        angle = torch.arange(config.max_position_embeddings)[:, None] * frequency
        self.register_buffer("cos", angle.cos().bfloat16(), persistent=False)
        self.register_buffer("sin", angle.sin().bfloat16(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(
                    parameter, std=0.02 / (2 * config.num_hidden_layers) ** 0.5 if residual else 0.02
                )

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, seq) token ids → (batch, seq, dim) final hidden states in bfloat16."""
        x = self.embed_tokens(ids).bfloat16()
        for layer in self.layers:
            x = layer(x, self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        return norm(x, self.norm.weight, self.config.rms_norm_eps)
