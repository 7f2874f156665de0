"""Load a Hugging Face decoder: safetensors only, no remote code, no head, no missing weights."""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging

from lastword.bundled import check_model
from lastword.embedding.memory import bound_primitive_cache
from lastword.embedding.quantization import keep_unpacked, quantization_config
from lastword.errors import ModelError, first_line

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one for each load, however small


def load_decoder(
    name: str, device: torch.device, precision: torch.dtype, revision: str | None, quantize: str | None
) -> PreTrainedModel:
    """Load the weights of a decoder onto a device.

    Args:
        name: name of a model on the Hub, or a folder with config.json.
        device: device of the weights.
        precision: precision of the weights.
        revision: branch, tag or commit on the Hub.
        quantize: "int8" or "nf4" stores the weights of the layers in 8 or 4 bits.

    Raises:
        MissingFileError: no such folder.
        ModelError: not a model, a damaged one, one that needs code of its own, or an encoder-decoder.
    """
    bound_primitive_cache()
    _require_loadable(name, revision)
    quantized: dict[
        str, Any
    ] = {}  # quantised weights go to the device while they are read: they cannot be moved
    if quantize:
        quantized["quantization_config"] = quantization_config(quantize, precision)
        quantized["device_map"] = {"": device}
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would report the head, which is not loaded on purpose
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
        raise ModelError(f"{name} does not load as a model: {first_line(error)}") from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(report["missing_keys"])
    if missing:  # transformers filled them with random numbers
        raise ModelError(f"{name} lacks {len(missing)} of its weights, {missing[0]} first: download it again")
    if quantize:
        keep_unpacked(model)
    decoder: PreTrainedModel = _text_model(model)
    return decoder if quantize else decoder.to(device)  # type: ignore[arg-type]


def _text_model(model: Any) -> Any:
    """The decoder of a model that also sees or hears (Gemma 3, Qwen3.5), which embeds texts alone; or the model itself.

    Saved alone it is a model of its own type, which others load without the processors of images.
    """
    text = model.config.get_text_config()
    decoder = model if text is model.config else model.get_decoder()
    return decoder if type(text) in AutoModel._model_mapping and decoder.config is text else model


def _require_loadable(name: str, revision: str | None) -> None:
    """Refuse what cannot be a model in one line, before any weights are read."""
    check_model(name)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code") from error
        raise ModelError(f"no model {name!r}: {first_line(error)}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name} ({config.model_type}) is an encoder-decoder: lastword needs a decoder-only model"
        )
    if _has_remote_code(config):
        raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code")


def _has_remote_code(config: Any) -> bool:
    """Whether the model class itself, not only a helper, is defined in the repository's files."""
    auto_map = getattr(config, "auto_map", None) or {}
    return "AutoModel" in auto_map and type(config) not in AutoModel._model_mapping
