"""The layers that texts pass through, in models that see or hear too."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from lastword.config import TrainConfig
from lastword.embedding.stack import layer_stack, text_modules
from lastword.embedding.weights import cut_layers
from lastword.training.adapter import add_adapter

VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGE = {"image_size": 8, "patch_size": 4}


def _llava() -> Any:
    text = {
        "model_type": "llama", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }  # fmt: skip
    vision = {"model_type": "clip_vision_model", **VISION, **IMAGE}
    config = transformers.LlavaConfig(text_config=text, vision_config=vision)
    return transformers.AutoModel.from_config(config)


def _git() -> Any:
    config = transformers.GitConfig(
        vision_config={**VISION, **IMAGE}, vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    return transformers.AutoModel.from_config(config)


def test_layers_of_an_image_encoder_are_not_the_models() -> None:
    git = _git()
    assert layer_stack(git) is git.encoder.layer
    assert not [path for path, _ in text_modules(git) if path.startswith("image_encoder")]
    cut_layers(git, 1)
    assert (len(git.encoder.layer), len(git.image_encoder.vision_model.encoder.layers)) == (1, 2)


def test_an_image_encoder_gets_no_adapter() -> None:
    llava = _llava()
    torch.manual_seed(0)
    add_adapter(llava, TrainConfig(rank=2, projections=("q", "v")))
    adapted = [path for path, _ in llava.named_parameters() if ".lora_" in path]
    assert len(adapted) == 2 * 2 * 2  # two projections of two layers, two matrices each
    assert not [path for path in adapted if "vision" in path]


def test_a_model_without_a_list_of_its_layers_has_no_stack() -> None:
    git = _git()
    git.config.num_hidden_layers = 9
    assert layer_stack(git) is None
