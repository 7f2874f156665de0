"""What models of several sizes cost, by `lastword plan`: memory and time of adapting and embedding with them.

    python bench/choices.py            # writes results/bench/choices.json

The shapes are those of the models' public configurations. All use SmolLM2's tokenizer, so that they read the same
tokens; their own differ by a few percent. Nothing is trained.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import LlamaConfig, PretrainedConfig, Qwen3Config

from lastword.bundled import model_source
from lastword.config import read_recipe
from lastword.embedding.tokenizer import TextTokenizer
from lastword.planning import plan_embedding, plan_training
from lastword.planning.memory import GIB
from rounds import machine

RESULTS = Path(__file__).parents[1] / "results" / "bench" / "choices.json"
GPU_GIB = 24


@dataclass(frozen=True)
class Model:
    """A model to choose.

    Attributes:
        name: as `--model` takes it.
        licence: of the weights.
        config: its public configuration; None where it is here.
    """

    name: str
    licence: str
    config: PretrainedConfig | None = None


def llama(width: int, layers: int, heads: int, key_heads: int, inner: int, vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=key_heads,
        intermediate_size=inner, vocab_size=vocabulary, max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip


QWEN = Qwen3Config(
    hidden_size=1024, num_hidden_layers=28, num_attention_heads=16, num_key_value_heads=8, head_dim=128,
    intermediate_size=3072, vocab_size=151_936, max_position_embeddings=32_768, tie_word_embeddings=True,
)  # fmt: skip
MODELS = (
    Model("mini", "Apache-2.0"),
    Model("smollm2", "Apache-2.0"),
    Model("HuggingFaceTB/SmolLM2-360M", "Apache-2.0", llama(960, 32, 15, 5, 2560, 49_152)),
    Model("Qwen/Qwen3-0.6B", "Apache-2.0", QWEN),
    Model("meta-llama/Llama-3.2-1B", "Llama 3.2 Community", llama(2048, 16, 32, 8, 8192, 128_256)),
)


def planned(model: Model, parent: Path) -> dict[str, Any]:
    """The plans of one model: all layers, by the recipe of SmolLM2 and by the paper's."""
    name = model.name
    if model.config:
        folder = parent / name.replace("/", "-")
        model.config.save_pretrained(folder)
        TextTokenizer.load(model_source("smollm2")).hf.save_pretrained(folder)
        name = str(folder)
    small = read_recipe("small") | {"model": name, "layer": None, "batch_tokens": 1024}
    paper = read_recipe("paper") | {"model": name, "pairs": ["pairs"], "batch_tokens": 1024}
    gpu = GPU_GIB * GIB
    plans = {
        "embedding": plan_embedding("topics", name, template="ccw", pooling="lasttoken", device="cpu"),
        "embedding, GPU": plan_embedding("topics", name, template="ccw", pooling="lasttoken", gpu_memory=gpu),
        "training": plan_training(device="cpu", **small),
        "training, GPU": plan_training(gpu_memory=gpu, **paper),
    }  # fmt: skip
    facts = asdict(model) | {"config": None}
    return facts | {key: plan.to_dict() | {"model": model.name} for key, plan in plans.items()}


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as parent:
        for model in MODELS:
            rows.append(planned(model, Path(parent)))
            times = {key: rows[-1][key]["seconds"] for key in ("embedding", "training")}
            print(model.name, times, flush=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "models": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
