"""Load a decoder from safetensors or GGUF: no remote code, no head, no missing weights.

An adapter that lies beside the weights, or alone in a folder that names its base model, is merged into them.
"""

from __future__ import annotations

import json
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging as transformers_logging
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from lastword.bundled import (
    ADAPTED,
    INSTALL_SMOLLM2,
    SMOLLM2,
    SMOLLM2_ON_HUB,
    check_model,
    model_source,
    path_of,
)
from lastword.console import info, warn
from lastword.embedding.gguf import (
    model_arguments,
    parsed_once,
    reason,
    require_unquantized,
    source_arguments,
)
from lastword.embedding.memory import bound_primitive_cache
from lastword.embedding.quantization import keep_unpacked, quantization_config
from lastword.embedding.spec import LASTWORD_JSON, EmbedderSpec
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, first_line
from lastword.files.gguf import find_gguf


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
    check_model(name)
    require_unquantized(name, quantize)
    base, adapter = split_adapter(name, revision)
    if adapter and quantize:
        raise ModelError(
            f"{name} has an adapter, which cannot be merged into weights in 8 or 4 bits: load it without quantize, "
            "save it, and use that folder"
        )
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it would report the head, which is not loaded on purpose
    try:
        model = _load_base(base, device, precision, None if base != name else revision, quantize)
        if adapter:
            from lastword.embedding.adapters import merge_adapter  # imports peft, which few models need

            merge_adapter(model, adapter, revision)
    finally:
        transformers_logging.set_verbosity(verbosity)
    if adapter and Path(adapter) != path_of(ADAPTED):  # which is known to be an adapter
        info(f"merged the adapter of {adapter} into {'its weights' if base == name else base}")
    decoder: PreTrainedModel = _text_model(model)
    return decoder


def split_adapter(name: str, revision: str | None) -> tuple[str, str | None]:
    """What the weights are loaded from, and where an adapter for them is, if there is one.

    Raises:
        ModelError: an adapter that cannot be read or does not name its base model.
    """
    path = None if find_gguf(name) else find_adapter_config_file(name, revision=revision)
    if path is None:
        return name, None
    if Path(name, "config.json").is_file():
        return name, name
    try:
        base = json.loads(Path(path).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{name}: adapter_config.json is damaged: {error}") from error
    if not base or base == name:
        raise ModelError(f"{name} is an adapter that does not name its base model: merge it with peft first")
    return str(model_source(SMOLLM2 if _trained_over_smollm2(name, base) else base)), name


def _trained_over_smollm2(folder: str, base: str) -> bool:
    """Whether an adapter that names the model on the Hub, as others need it, was trained over the installed file."""
    path = Path(folder, LASTWORD_JSON)
    if base != SMOLLM2_ON_HUB or not path.is_file():
        return False
    facts = json.loads(path.read_text(encoding="utf-8"))
    return bool(facts.get("base") == SMOLLM2)


def tokenizer_source(name: str, revision: str | None) -> tuple[str, str | None]:
    """Name and revision that the tokenizer is loaded from: the folder of an adapter need not have one."""
    base, _ = split_adapter(name, revision)
    if base == name:
        return name, revision
    quiet = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    return (
        (name, revision)
        if cached_file(name, "tokenizer_config.json", revision=revision, **quiet)
        else (base, None)
    )


def _load_base(
    name: str, device: torch.device, precision: torch.dtype, revision: str | None, quantize: str | None
) -> Any:
    config = read_configuration(name, revision)
    source, quantized = model_arguments(name)
    if quantize:  # quantised weights go to the device while they are read: they cannot be moved
        quantized["quantization_config"] = quantization_config(quantize, precision)
        quantized["device_map"] = {"": device}
    try:
        with parsed_once(name):
            model, report = AutoModel.from_pretrained(
                source,
                config=config,
                revision=revision,
                dtype=precision,
                output_loading_info=True,
                # where there is none: an adapter that is beside is merged later
                adapter_kwargs={"subfolder": "none"},
                **quantized,
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise ModelError(f"{name} does not load as a model: {reason(name, first_line(error))}") from error
    # The pooler of an encoder reads the states that matter here and gives none.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    if missing:  # transformers filled them with random numbers
        raise ModelError(f"{name} lacks {len(missing)} of its weights, {missing[0]} first: download it again")
    if quantize:
        keep_unpacked(model)
    return model if quantize else model.to(device)


def _text_model(model: Any) -> Any:
    """The decoder of a model that also sees or hears (Gemma 3, Qwen3.5), which embeds texts alone; or the model itself.

    Saved alone it is a model of its own type, which others load without the processors of images.
    """
    text = model.config.get_text_config()
    decoder = model if text is model.config else model.get_decoder()
    return decoder if type(text) in AutoModel._model_mapping and decoder.config is text else model


def read_configuration(name: str, revision: str | None) -> Any:
    """Read the configuration, and refuse what cannot be a decoder in one line, before any weights are read.

    Its choice of an attention implementation is dropped: it may not be installed. The model then takes "sdpa",
    or "eager" if it has no other.
    """
    check_model(name)
    source, arguments = source_arguments(name)
    try:
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False, **arguments)
    except (OSError, ValueError, IndexError, json.JSONDecodeError) as error:
        if "trust_remote_code" in str(error):
            raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code") from error
        hint = f"; to have it without the Hub: {INSTALL_SMOLLM2}" if name == SMOLLM2_ON_HUB else ""
        raise ModelError(f"no model {name!r}: {reason(name, first_line(error))}{hint}") from error
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{name} ({config.model_type}) is an encoder-decoder: lastword needs a decoder-only model"
        )
    if _has_remote_code(config):
        raise ModelError(f"{name} needs code of its own to load; lastword runs no remote code")
    config._attn_implementation = None
    return config


def _has_remote_code(config: Any) -> bool:
    """Whether the model class itself, not only a helper, is defined in the repository's files."""
    auto_map = getattr(config, "auto_map", None) or {}
    return "AutoModel" in auto_map and type(config) not in AutoModel._model_mapping


def file_states(model: str) -> list[tuple[str, int, int]]:
    """Name, size and time of the files of a model, and of the base model that it names; empty for the Hub.

    The folder may be changing: a file that goes away meanwhile is left out, and so is a base model that an unfinished
    adapter does not name yet.
    """
    source = Path(model_source(model.removeprefix("sentence-transformers:")))
    facts = []
    for file in [source, *source.glob("*"), *source.glob("*/*")]:  # 1_Pooling and its like
        with suppress(OSError):
            if stat.S_ISREG((state := file.stat()).st_mode):
                facts.append((str(file), state.st_size, state.st_mtime_ns))
    base = str(source)
    with suppress(ModelError, OSError):
        base, _ = split_adapter(base, None) if source.is_dir() else (base, None)
    return sorted(facts) + (file_states(base) if base != str(source) else [])


def warn_of_special_tokens(tokenizer: TextTokenizer, spec: EmbedderSpec, name: str) -> None:
    """Templates decide which special tokens a sequence has; tell if the tokenizer itself would add others."""
    before, after = tokenizer.added_ids
    wanted = [tokenizer.eos_id] if spec.pooling.needs_eos or spec.template.eos else []
    if after not in ([], wanted) or before not in ([], [tokenizer.bos_id]):
        tokens = [token for ids in (before, after) for token in tokenizer.hf.convert_ids_to_tokens(ids)]
        warn(
            f"{name}: its tokenizer puts {' … '.join(tokens)} around a text; template {spec.template.name!r} does not"
        )
