"""Attention pooling by a few trained queries: the one pooling with weights of its own.

This file imports nothing of lastword: a copy is in the folder of each model that pools so, where sentence-transformers
finds the module by the name in `modules.json` (with `trust_remote_code=True`, as for any module that is not its own).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

TRAINED_POOLING = "latent_pooling"
"""Its name among the modules of a model, and that of its folder in checkpoints."""
QUERIES = 8
FILE = "model.safetensors"


class LatentPooling(nn.Module):
    """Mean of what some queries attend to: v = mean over k of Σ_i softmax_i(q_k · h_i / √dim) h_i.

    The sums are over the masked positions, and 0 where there are none. Queries that are nearly 0 give nearly the mean
    of the states, so that training begins there.

    Source: pooling by multi-head attention, Set Transformer, arXiv:1810.00825, without projections, which LoRA trains
    in the layers below; latent vectors for a decoder as in NV-Embed, arXiv:2405.17428, §3.2, where the states attend to
    512 of them, an MLP follows and the mean is taken. As queries, a few are enough, and there is no MLP to train.

    Attributes:
        queries: (queries, dim) float32.
    """

    def __init__(self, dim: int, queries: int = QUERIES, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.queries = nn.Parameter(0.02 * torch.randn(queries, dim, generator=generator))

    def pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """(batch, seq, dim) states, (batch, seq) bool mask → (batch, dim) float32."""
        hidden = hidden.float()
        scores = torch.einsum("kd,bsd->bks", self.queries, hidden) / hidden.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1).mean(1) * mask
        pooled: Tensor = (weights[:, None] @ hidden).squeeze(1)
        return pooled

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """As sentence-transformers calls it: `token_embeddings` and `attention_mask` → `sentence_embedding`."""
        pooled = self.pool(features["token_embeddings"], features["attention_mask"].bool())
        return {**features, "sentence_embedding": pooled}

    def get_embedding_dimension(self) -> int:
        """Width of a vector, as sentence-transformers asks for it."""
        return int(self.queries.shape[1])

    def save(self, output_path: str | Path, *_: Any, **__: Any) -> None:
        """Write the queries to a folder, which must exist."""
        save_file({"queries": self.queries.detach().cpu().contiguous()}, Path(output_path, FILE))

    @classmethod
    def load(cls, model_name_or_path: str | Path, subfolder: str = "", **options: Any) -> LatentPooling:
        """Read the queries from a folder, or from a model on the Hub."""
        path = Path(model_name_or_path, subfolder, FILE)
        if not path.is_file():
            from huggingface_hub import hf_hub_download

            known = {
                name: options[name] for name in ("token", "revision", "local_files_only") if name in options
            }
            path = Path(
                hf_hub_download(
                    str(model_name_or_path),
                    FILE,
                    subfolder=subfolder,
                    cache_dir=options.get("cache_folder"),
                    **known,
                )
            )
        queries = load_file(path)["queries"]
        pooling = cls(queries.shape[1])
        pooling.queries.data = queries
        return pooling
