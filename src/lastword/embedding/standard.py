"""What a sentence-transformers folder says of how to embed, where lastword did not write it.

What an `EmbedderSpec` cannot say is kept as a reason to refuse: it must not be ignored silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
)

from lastword.console import warn
from lastword.embedding.loading import tokenizer_source
from lastword.embedding.pooling import MODES, PLAIN, Pooling
from lastword.embedding.spec import EmbedderSpec
from lastword.embedding.template import Template
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, first_line

_POOLINGS = {method.mode: name for name, method in PLAIN.items() if name != "eos"}
_LEGACY = {method.legacy_key: method.mode for method in PLAIN.values()} | {
    "mean_sqrt_len_tokens": "mean_sqrt_len_tokens"
}
# Settings of the Transformer module that change no vector, or that are read below.
_TRANSFORMER = {"max_seq_length", "transformer_task", "modality_config", "module_output_name", "unpad_inputs"}
_LOADING = {"attn_implementation", "device_map", "dtype", "padding_side", "torch_dtype", "trust_remote_code"}
_STATES = {"method": "forward", "method_output_name": "last_hidden_state"}


@dataclass(frozen=True)
class StandardFolder:
    """How a sentence-transformers folder embeds.

    Attributes:
        spec: what could be read.
        unsupported: what an `EmbedderSpec` cannot say: the argument that would replace it ("" if none) → reason.
    """

    spec: EmbedderSpec
    unsupported: Mapping[str, str]


def stored_file(name_or_folder: str | Path, file: str, revision: str | None = None) -> Path | None:
    """A file of a folder or of a model on the Hub, or None if it, or the model, does not exist.

    Raises:
        ModelError: the Hub cannot say.
    """
    if Path(name_or_folder).exists():
        path = Path(name_or_folder, file)
        return path if path.is_file() else None
    try:
        return Path(hf_hub_download(str(name_or_folder), file, revision=revision))
    except (EntryNotFoundError, RepositoryNotFoundError, HFValidationError):
        return None  # without a network: not in the cache
    except HfHubHTTPError as error:
        raise ModelError(f"{name_or_folder}: cannot read {file}: {first_line(error)}") from error


def read_standard(name_or_folder: str | Path, revision: str | None = None) -> StandardFolder | None:
    """Read how a sentence-transformers folder embeds, or return None if it is none.

    Raises:
        ModelError: a file cannot be read, or what it describes is no text embedder.
    """

    def content(file: str) -> Any:
        path = stored_file(name_or_folder, file, revision)
        try:
            return {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{path} is damaged: {error}") from error

    modules = content("modules.json")
    if not modules:
        return None
    try:
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        settings = content("config_sentence_transformers.json")
        unsupported = dict(_of_modules(modules, kinds, settings))
        if unsupported:
            return StandardFolder(EmbedderSpec(), unsupported)
        normalize, transformer = "Normalize" in kinds, content("sentence_bert_config.json")
        tokenizer = TextTokenizer.load(*tokenizer_source(str(name_or_folder), revision), strip=False)
        unsupported |= _of_transformer(transformer)
        spec = EmbedderSpec(
            template=_template(tokenizer, unsupported),
            pooling=_pooling(content(f"{modules[1]['path']}/config.json"), normalize, settings, unsupported),
            max_tokens=transformer.get("max_seq_length") or tokenizer.hf.model_max_length,
            normalize=normalize,
            prompts=_prompts(settings),
            attention="causal" if content("config.json").get("is_causal", True) else "bidirectional",
        )
        default = settings.get("default_prompt_name")
        if spec.prompts.get(default or ""):
            unsupported["prompts"] = f"it puts its prompt {default!r} before texts without one"
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{name_or_folder}: its sentence-transformers files are damaged: {error!r}"
        ) from error
    if tokenizer.hf.truncation_side == "left":
        warn(f"{name_or_folder} truncates long texts at their beginning; lastword does it at their end")
    return StandardFolder(spec, unsupported)


def _of_modules(
    modules: list[dict[str, Any]], kinds: list[str], settings: dict[str, Any]
) -> list[tuple[str, str]]:
    """Reasons why these modules are not Transformer, Pooling and perhaps Normalize."""
    if (model := settings.get("model_type", "SentenceTransformer")) != "SentenceTransformer":
        return [("", f"it is a {model}, which gives no single vector for a text")]
    foreign = [
        module["type"] for module in modules if not module["type"].startswith("sentence_transformers.")
    ]
    if foreign:
        return [("", f"its module {foreign[0]} is code of its own, and lastword runs no remote code")]
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - {"Normalize"}:
        return [
            ("", f"its modules are {', '.join(kinds)}; lastword knows Transformer, Pooling and Normalize")
        ]
    if modules[0]["path"]:
        return [
            (
                "",
                f"its weights are in {modules[0]['path']}/: save it with a newer sentence-transformers first",
            )
        ]
    if dim := settings.get("truncate_dim"):
        return [("", f"it truncates vectors to {dim} dimensions (truncate_dim)")]
    return []


def _of_transformer(settings: dict[str, Any]) -> dict[str, str]:
    """Reasons why the Transformer module does more than run the model on a text."""
    unsupported: dict[str, str] = {}
    modes = settings.get("modality_config", {})
    loading = {
        key
        for name in ("model", "processor", "tokenizer", "config")
        for suffix in ("args", "kwargs")
        for key in settings.get(f"{name}_{suffix}") or {}
    } - _LOADING
    known = _TRANSFORMER | {name for name in settings if name.endswith(("_args", "_kwargs"))} - {
        "processing_kwargs"
    }
    further = sorted(name for name, value in settings.items() if value and name not in known)
    if further or loading:
        name = [*further, *sorted(loading)][0]
        unsupported[""] = f"sentence_bert_config.json sets {name}, which lastword does not know"
    elif settings.get("transformer_task", "feature-extraction") != "feature-extraction" or (
        modes and {key: modes["text"][key] for key in _STATES} != _STATES
    ):
        unsupported[""] = "it does not pool the last hidden states"
    if "message" in modes:
        unsupported["template"] = "its chat template is put around every text"
    return unsupported


def _template(tokenizer: TextTokenizer, unsupported: dict[str, str]) -> Template:
    """What the tokenizer's post-processor adds before and after a text."""
    before, after = tokenizer.added_ids
    bos, eos = before[:1] == [tokenizer.bos_id], after[-1:] == [tokenizer.eos_id]
    sides = before[bos:], after[: len(after) - eos]
    prefix, suffix = (str(tokenizer.hf.decode(ids, clean_up_tokenization_spaces=False)) for ids in sides)
    if (tokenizer.part_ids(prefix), tokenizer.part_ids(suffix)) != sides:
        unsupported["template"] = f"the tokens {sides} that its tokenizer adds are those of no string"
    return Template("custom" if prefix or suffix else "none", prefix, suffix, bos=bos, eos=eos)


def _pooling(
    module: dict[str, Any], normalize: bool, settings: dict[str, Any], unsupported: dict[str, str]
) -> Pooling:
    """The pooling, in the present spelling (`pooling_mode`) or the old one (`pooling_mode_mean_tokens` …)."""
    modes = module.get("pooling_mode")
    if modes is None:
        chosen = {mode for key, mode in _LEGACY.items() if module.get(f"pooling_mode_{key}")}
        modes = [mode for mode in MODES if mode in chosen] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if modes == ["mean_sqrt_len_tokens"] and normalize:
        modes = ["mean"]  # the same direction
    if not modes or set(modes) - set(_POOLINGS) or len(set(modes)) < len(modes):
        unsupported["pooling"] = (
            f"it pools by {' and '.join(modes)}; lastword knows each of {', '.join(_POOLINGS)}"
        )
        return Pooling("mean")
    pooling = Pooling.parse("+".join(_POOLINGS[mode] for mode in modes))
    if not module.get("include_prompt", True) and not pooling.reads_last and any(_prompts(settings).values()):
        unsupported["pooling"] = "it leaves the prompt's tokens out of its pooling (include_prompt)"
    return pooling


def _prompts(settings: dict[str, Any]) -> dict[str, str]:
    return {name: prompt or "" for name, prompt in (settings.get("prompts") or {}).items()}
