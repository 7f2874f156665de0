"""Pretrain the bundled model; stop it at any time and call it again to go on.

    python tools/pretrain/train.py --data runs/mini --tokens 60e6

The learning rate warms up, stays constant and falls to zero over the last `--decay` of the run
("warm-up, stable, decay": arXiv:2404.06395). `checkpoint.pt` is the latest state, `stable.pt` the
last one before the fall: a later call with more `--tokens` continues from there. Muon
(Jordan et al. 2024, in torch) moves the matrices, AdamW the embedding and the norms.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from model import Decoder
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

WARMUP_STEPS, MUON_LR, ADAM_LR, CLIP = 100, 0.02, 3e-3, 1.0


def mini_config(vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )


def learning_rate(progress: float, step: int, decay: float) -> float:
    """Factor on both learning rates: 0…1 over the warm-up, 1, then linearly to 0."""
    fall = min(1.0, (1.0 - progress) / decay) if decay else 1.0
    return min(1.0, (step + 1) / WARMUP_STEPS) * max(0.0, fall)


def optimizers(model: Decoder) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.dim() == 1 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=MUON_LR, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAM_LR, betas=(0.9, 0.95), weight_decay=0.01, fused=True),
    ]


def head_loss(hidden: Tensor, targets: Tensor, head: Tensor, pad: int) -> Tensor:
    return F.cross_entropy((hidden @ head.t()).float(), targets, ignore_index=pad, reduction="sum")


def losses(
    model: Decoder, rows: Tensor, forward, loss_of, chunk: int = 1024, backward: bool = False
) -> float:
    """Mean loss (nats per token) of the rows; the logits exist for one chunk of positions at a time."""
    pad = model.config.pad_token_id
    hidden = forward(rows[:, :-1])
    targets = rows[:, 1:].reshape(-1)
    count = (targets != pad).sum()
    cut = hidden.detach().flatten(0, 1).requires_grad_(backward)
    head = model.embed_tokens.weight.detach().bfloat16().requires_grad_(backward)
    total = 0.0
    for part, target in zip(cut.split(chunk), targets.split(chunk), strict=True):
        loss = loss_of(part, target, head, pad) / count
        if backward:
            loss.backward()
        total += loss.item()
    if backward:
        hidden.backward(cut.grad.view_as(hidden))
        model.embed_tokens.weight.grad += head.grad
    return total


class Run:
    """Model, optimizers and place in the data; saved and restored as one."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder, self.device, self.tokens, self.step, self.row, self.seconds = (
            folder,
            device,
            0,
            0,
            0,
            0.0,
        )
        from tokenizers import Tokenizer

        vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
        self.model = Decoder(mini_config(vocabulary)).to(device)
        self.optimizers = optimizers(self.model)

    def state(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "place": {k: getattr(self, k) for k in ("tokens", "step", "row", "seconds")},
        }

    def save(self, name: str) -> None:
        temporary = self.folder / f"{name}.tmp"
        torch.save(self.state(), temporary)
        temporary.replace(self.folder / name)

    def load(self, name: str) -> None:
        state = torch.load(self.folder / name, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        vars(self).update(state["place"])

    def load_weights(self, folder: Path) -> None:
        """Begin with the weights of an earlier model of this architecture, in Hugging Face's format."""
        weights = load_file(folder / "model.safetensors", device=self.device)
        weights.pop("lm_head.weight", None)  # the same numbers as the embedding
        self.model.load_state_dict({name.removeprefix("model."): w.float() for name, w in weights.items()})

    def export(self) -> None:
        """Write `hf/`: what `LlamaForCausalLM.from_pretrained` loads, in bfloat16."""
        with torch.device("meta"):
            target = LlamaForCausalLM(self.model.config)
        weights = {f"model.{k}": v.detach().cpu().bfloat16() for k, v in self.model.state_dict().items()}
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
        target.load_state_dict(weights, assign=True)
        target.tie_weights()
        target.to(torch.bfloat16).save_pretrained(self.folder / "hf")


def start_or_resume(run: Run, total: int, decay: float, weights: Path | None) -> None:
    latest, stable = run.folder / "checkpoint.pt", run.folder / "stable.pt"
    if not latest.exists():
        if weights:
            run.load_weights(weights)
        return
    run.load("checkpoint.pt")
    decayed_before = run.folder / "decay_from.json"
    if (
        stable.exists()
        and decayed_before.exists()
        and json.loads(decayed_before.read_text()) < total * (1 - decay)
    ):
        run.load("stable.pt")  # the latest state stands in an earlier, shorter run's fall


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(args.threads)
    run, total = Run(args.data, device), int(args.tokens)
    start_or_resume(run, total, args.decay, args.weights)
    forward, loss_of = torch.compile(run.model), torch.compile(head_loss)
    rows = np.load(args.data / "train.npy", mmap_mode="r")
    held_out = torch.from_numpy(
        np.load(args.data / "held_out.npy")[: args.held_out_rows].astype(np.int64)
    ).to(device)
    pad = run.model.config.pad_token_id
    decay_from, started, saved = total * (1 - args.decay), time.time() - run.seconds, time.time()
    log = (args.data / "log.jsonl").open("a")
    mean, falling = 0.0, run.tokens >= decay_from
    while run.tokens < total:
        if not falling and run.tokens >= decay_from:
            falling = True
            run.save("stable.pt")
            (args.data / "decay_from.json").write_text(json.dumps(decay_from))
        epoch, start = divmod(run.row, len(rows) - args.rows)
        order = np.random.default_rng(args.seed + epoch).permutation(len(rows))
        batch = torch.from_numpy(rows[np.sort(order[start : start + args.rows])].astype(np.int64)).to(device)
        loss = losses(run.model, batch, forward, loss_of, backward=True)
        if not math.isfinite(loss):
            raise SystemExit(f"loss is {loss} at step {run.step}")
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), CLIP)
        factor = args.peak * learning_rate(run.tokens / total, run.step, args.decay)
        for optimizer, lr in zip(run.optimizers, (MUON_LR, ADAM_LR), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        run.step += 1
        run.row += args.rows
        run.tokens += int((batch[:, 1:] != pad).sum())
        mean = loss if run.step == 1 else 0.95 * mean + 0.05 * loss if mean else loss
        run.seconds = time.time() - started
        if run.step % 20 == 0:
            line = {
                "step": run.step,
                "tokens": run.tokens,
                "loss": round(mean, 4),
                "lr": round(factor, 3),
                "seconds": round(run.seconds),
                "tokens_per_s": round(run.tokens / run.seconds),
            }
            if run.step % args.evaluate_every == 0 or run.tokens >= total:
                with torch.no_grad():
                    parts = [losses(run.model, part, forward, loss_of) for part in held_out.split(args.rows)]
                line["held_out_loss"] = round(float(np.mean(parts)), 4)
            print(json.dumps(line), file=log, flush=True)
        if time.time() - saved > args.save_every_s:
            run.save("checkpoint.pt")
            saved = time.time()
    run.save("checkpoint.pt")
    run.export()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder written by prepare.py; the run lives there too"
    )
    parser.add_argument("--tokens", type=float, required=True, help="tokens to train on in all")
    parser.add_argument("--weights", type=Path, help="folder of an earlier model to begin with")
    parser.add_argument(
        "--decay", type=float, default=0.3, help="share of the run over which the learning rate falls"
    )
    parser.add_argument(
        "--peak", type=float, default=1.0, help="share of the full learning rate; less to go on from weights"
    )
    parser.add_argument("--rows", type=int, default=48, help="rows of 256 tokens a step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every-s", type=float, default=180)
    parser.add_argument("--evaluate-every", type=int, default=200, help="steps between held-out losses")
    parser.add_argument("--held-out-rows", type=int, default=192)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
