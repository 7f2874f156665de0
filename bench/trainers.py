"""Who is timed in training: each takes a folder and gives a function that does one optimizer step.

All put LoRA (rank 64) on q, v, o, gate, up and down, with temperature 0.2, at most 100 tokens and the
same optimizer, and compute the loss over the whole batch, except for the paper's accumulation, whose
negatives are those of a part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from implementations import Encode
from lastword.config import TrainConfig

LONGEST, RANK, TEMPERATURE, LEARNING_RATE = 100, 64, 0.2, 5e-4


def lastword(
    folder: Path, dtype: str, graph_gib: float = 1.0, fused: bool = True, quantize: str | None = None
) -> Encode:
    from accelerate import Accelerator

    from lastword import Embedder
    from lastword.training.adapter import add_adapter
    from lastword.training.loop import Loop
    from lastword.training.objectives import PairObjective
    from lastword.training.pairs import Pairs

    config = TrainConfig(
        max_tokens=LONGEST, batch_pairs=10_000, rank=RANK, alpha=RANK, temperature=TEMPERATURE,
        learning_rate=LEARNING_RATE, warmup_steps=0, schedule="constant", batch_tokens=2048, graph_gib=graph_gib,
    )  # fmt: skip
    embedder = Embedder.from_pretrained(
        folder, dtype=dtype, max_tokens=LONGEST, fused=fused, quantize=quantize
    )
    parameters = add_adapter(embedder.backbone.model, config)
    objective = PairObjective(Pairs([], [], []), config)
    loop = Loop(embedder.pipeline, objective, config, Path(tempfile.mkdtemp()), Accelerator(), parameters)
    embedder.backbone.model.train()

    def step(texts: list[str], tokens: int) -> torch.Tensor:
        n = len(texts) // 2
        loop.objective = PairObjective(Pairs(texts[:n], texts[n:], [[]] * n), config)
        return torch.tensor(loop.step(1)["loss"])

    return step


def cached(folder: Path, dtype: torch.dtype, mini_batch: int = 32) -> Encode:
    return cached_step(peer(folder, dtype), mini_batch)


def cached_step(model: torch.nn.Module, mini_batch: int = 32) -> Encode:
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    loss = CachedMultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE, mini_batch_size=mini_batch)
    return _stepper(model, loss)


def whole(folder: Path, dtype: torch.dtype) -> Encode:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = peer(folder, dtype)
    return _stepper(model, MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE))


def accumulated(folder: Path, dtype: torch.dtype, part: int = 12) -> Encode:
    """The paper's code: gradients of small batches added up, which is another objective."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = peer(folder, dtype)
    return _stepper(model, MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE), part)


def peer(folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The folder in sentence-transformers, an adapter of the same size in it."""
    from peft import LoraConfig
    from sentence_transformers import SentenceTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SentenceTransformer(str(folder), device=device, model_kwargs={"dtype": dtype})
    model.max_seq_length = LONGEST
    model.add_adapter(LoraConfig(
        r=RANK, lora_alpha=RANK, lora_dropout=0.05, task_type="FEATURE_EXTRACTION",
        target_modules=["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    ))  # fmt: skip
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model.train()


def _stepper(model: torch.nn.Module, loss: torch.nn.Module, part: int | None = None) -> Encode:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=True)
    device = next(model.parameters()).device

    def step(texts: list[str], tokens: int) -> torch.Tensor:
        n = len(texts) // 2
        total = torch.zeros(())
        for start in range(0, n, part or n):
            rows = slice(start, start + (part or n))
            sides = (texts[:n][rows], texts[n:][rows])
            features = [
                {
                    key: value.to(device)
                    for key, value in model.preprocess(list(side)).items()
                    if torch.is_tensor(value)
                }
                for side in sides
            ]
            value = loss(features, None)
            value.backward()
            total += value.detach().cpu()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total

    return step


TRAINERS: dict[str, Callable[[Path], Encode]] = {
    "lastword": lambda folder: lastword(folder, "bfloat16"),
    "lastword, GradCache": lambda folder: lastword(folder, "bfloat16", graph_gib=0.0),
    "lastword, stock forward": lambda folder: lastword(folder, "bfloat16", fused=False),
    "lastword, float32": lambda folder: lastword(folder, "float32"),
    "lastword, int8": lambda folder: lastword(folder, "bfloat16", quantize="int8"),
    "lastword, nf4": lambda folder: lastword(folder, "bfloat16", quantize="nf4"),
    "sentence-transformers, cached": lambda folder: cached(folder, torch.float32),
    "sentence-transformers, cached, parts of 12": lambda folder: cached(folder, torch.float32, 12),
    "sentence-transformers, cached, bfloat16": lambda folder: cached(folder, torch.bfloat16),
    "sentence-transformers, whole batch": lambda folder: whole(folder, torch.float32),
    "the paper's accumulation of 12": lambda folder: accumulated(folder, torch.float32),
}
