"""The artefact: a standard sentence-transformers folder, with `lastword.json` and golden vectors beside it.

The template lives in `tokenizer.json` as a post-processor, so whoever tokenizes with the folder
wraps texts by itself and truncation cannot cut the suffix. An adapter is merged into the weights.
Both spellings of the pooling configuration are written, and the length limit under both names:
old servers know only one of each.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from safetensors import SafetensorError
from tokenizers import Tokenizer, processors
from torch import Tensor, nn
from transformers import AutoModel

from lastword.console import quiet
from lastword.embedding.backbone import DTYPES
from lastword.embedding.card import model_card
from lastword.embedding.template import CompiledTemplate, Template
from lastword.errors import (
    ExistingOutputError,
    ModelError,
    ParityError,
    RequestError,
    WorkError,
    unknown_name,
)

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder

CARD, GOLDEN = "lastword.json", "golden.json"
_LEGACY_POOLING = {
    "cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken",
}  # fmt: skip
# What must embed alike everywhere: short, long, of equal length, quoted, other scripts, emoji, odd white space.
GOLDEN_TEXTS = (
    "a man is driving a car",
    "a cat is sleeping on it",
    "The quick brown fox jumps over the lazy dog.",
    "word",
    "Zebras?",
    '"Quoted", she said, and left.',
    "  outer white space is no part of a text \n",
    "Größe, naïve café, 東京, Привет, مرحبا",
    "rocket 🚀 and family 👩‍👩‍👧",
    "Prices: $1,299.00 (was 1.499,00 €) — 25 % off!",
    "line one\nline two\tand a tab",
    "A long text goes on and is cut where the model's length ends, while the template stays whole. " * 40,
)


@dataclass(frozen=True)
class Facts:
    """What a folder tells about where its model came from.

    Attributes:
        base: name or folder of the base model.
        revision: its revision on the Hub, if one was asked for.
        base_hash: SHA-256 of its weights.
        adapter: rank, alpha, targets and hash of the merged adapter; None for a base model.
        recipe: the resolved settings of the training.
        selection: which checkpoint was kept, and by what.
    """

    base: str
    revision: str | None = None
    base_hash: str | None = None
    adapter: dict[str, Any] | None = None
    recipe: dict[str, Any] | None = None
    selection: dict[str, Any] | None = None


@dataclass(frozen=True)
class Stored:
    """What `lastword.json` says about how to embed."""

    template: Template
    pooling: str
    max_tokens: int
    normalize: bool
    facts: Facts = field(default_factory=lambda: Facts(base=""))


def read(name_or_folder: str | Path, revision: str | None = None) -> Stored | None:
    """Read the `lastword.json` of a folder or of a model on the Hub, or return None where there is none.

    Raises:
        ModelError: a `lastword.json` that cannot be understood.
    """
    path = Path(name_or_folder) / CARD
    if not Path(name_or_folder).exists():
        try:
            path = Path(hf_hub_download(str(name_or_folder), CARD, revision=revision))
        except EntryNotFoundError:  # not in the repository, or without a network not in the cache
            return None
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        facts = Facts(**{name: card[name] for name in Facts.__dataclass_fields__})
        return Stored(
            Template(**card["template"]), card["pooling"], card["max_tokens"], card["normalize"], facts
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged or from another version: {error!r}") from error


def write(embedder: Embedder, folder: Path, *, overwrite: bool, dtype: str) -> Path:
    """See `Embedder.save`."""
    _require_expressible(embedder)
    if dtype not in DTYPES:
        raise RequestError(unknown_name("dtype", dtype, DTYPES))
    if folder.exists() and not overwrite:
        raise ExistingOutputError(f"{folder} exists: give another place or --overwrite")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        _write_model(embedder, partial, DTYPES[dtype])
        _write_tokenizer(embedder, partial)
        _write_modules(embedder, partial)
        _write_card(embedder, partial)
        _write_golden(embedder, partial, dtype)
        _let_others_read(partial)
        replace_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _let_others_read(folder: Path) -> None:
    """Give all files the mode of an ordinary one; weights are written for their owner alone."""
    ordinary = (folder / CARD).stat().st_mode
    for path in folder.glob("*.safetensors"):
        path.chmod(ordinary)


def replace_folder(new: Path, target: Path) -> None:
    """Move a finished folder to its place; what was there goes only when the new one stands."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    new.rename(target)
    if old.is_file():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)


def push(embedder: Embedder, repo_id: str, *, private: bool, token: str | None) -> str:
    """See `Embedder.push_to_hub`."""
    import tempfile

    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as parent:
        folder = write(embedder, Path(parent) / "model", overwrite=False, dtype="float32")
        return str(
            api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message="Add lastword embedding model"
            )
        )


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """State dict in float32 with every LoRA layer's product added to the weight it stands beside."""
    weights: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if ".lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".")
        value = tensor.detach().cpu().float()
        if owner.endswith(".base_layer") and leaf == "weight":
            layer: Any = model.get_submodule(owner.removesuffix(".base_layer"))
            for adapter in layer.active_adapters:
                value = value + layer.get_delta_weight(adapter).detach().cpu().float()
        weights[name.replace(".base_layer.", ".")] = value.contiguous()
    return weights


def _require_expressible(embedder: Embedder) -> None:
    """A standard folder pools over whole sequences, after the final norm, around joined ids."""
    problem = None
    if embedder.pooling.over == "text":
        problem = f"pooling {embedder.pooling.spec!r} (over the text alone); use {embedder.pooling.name!r}"
    elif embedder.norm == "pre":
        problem = "norm='pre'; use norm='post'"
    elif embedder.template.boundary == "string":
        problem = "boundary='string'; use boundary='ids'"
    if problem:
        raise RequestError(f"a standard model folder cannot express {problem}")


def _write_model(embedder: Embedder, folder: Path, dtype: torch.dtype) -> None:
    weights = merged_weights(embedder.backbone.model)
    config = type(embedder.backbone.model.config).from_dict(embedder.backbone.model.config.to_dict())
    if embedder.layer is not None:  # the layers above the pooled one are left out
        config.num_hidden_layers = embedder.layer
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: embedder.layer]
    config.dtype = dtype
    with torch.device("meta"):
        model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    names = model.state_dict().keys()
    model.load_state_dict({name: weights[name] for name in names}, assign=True)
    try:
        model.to(dtype).save_pretrained(folder)
    except (SafetensorError, RuntimeError) as error:  # what a full disk looks like from there
        raise WorkError(f"could not write the weights: {str(error).splitlines()[0]}") from error
    _write_rope_for_old_readers(folder / "config.json")


def _write_rope_for_old_readers(path: Path) -> None:
    """Repeat the rotary settings under their names before transformers 5.

    A reader that knows only `rope_scaling` must see that there is scaling, and refuse it if it cannot
    do it, rather than drop it without a word.
    """
    config = json.loads(path.read_text())
    rope = config.get("rope_parameters")
    if isinstance(rope, dict) and "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            config["rope_scaling"] = {key: value for key, value in rope.items() if key != "rope_theta"}
    path.write_text(json.dumps(config, indent=2) + "\n")


def _write_tokenizer(embedder: Embedder, folder: Path) -> None:
    tokenizer, hf = embedder.tokenizer, embedder.tokenizer.hf
    backend = Tokenizer.from_str(json.dumps(tokenizer.definition()))
    backend.post_processor = _post_processor(backend, embedder.compiled)
    backend.save(str(folder / "tokenizer.json"))
    special = {"bos_token": hf.bos_token, "eos_token": hf.eos_token, "unk_token": hf.unk_token}
    config = {
        # A class of its own (LlamaTokenizerFast, TokenizersBackend) would rebuild the post-processor or be
        # unknown to older readers; this one keeps tokenizer.json as it is, in every version.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": embedder.compiled.max_tokens,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "pad_token": backend.id_to_token(tokenizer.pad_id),
        **{name: token for name, token in special.items() if token is not None},
    }
    _write_json(folder / "tokenizer_config.json", config)


def _post_processor(backend: Tokenizer, compiled: CompiledTemplate) -> processors.TemplateProcessing:
    """The template as a post-processor: prefix and suffix are one piece each, of as many ids as they take."""
    sides = {"<template_prefix>": compiled.prefix_ids, "<template_suffix>": compiled.suffix_ids}
    pieces = [
        {"id": name, "ids": list(ids), "tokens": [backend.id_to_token(i) for i in ids]}
        for name, ids in sides.items()
        if ids
    ]
    before, after = ([name] if ids else [] for name, ids in sides.items())
    return processors.TemplateProcessing(
        single=[*before, "$A", *after], pair=[*before, "$A", "$B:1", *after], special_tokens=pieces
    )


def _write_modules(embedder: Embedder, folder: Path) -> None:
    """The module chain under the names that every sentence-transformers version knows."""
    mode = "lasttoken" if embedder.pooling.name == "eos" else embedder.pooling.name
    chain = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        *([("2_Normalize", "Normalize")] * embedder.normalize),
    ]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(chain)
    ]
    pooling = {
        "embedding_dimension": embedder.dim,
        "word_embedding_dimension": embedder.dim,
        "pooling_mode": mode,
    }
    legacy = {f"pooling_mode_{suffix}": name == mode for name, suffix in _LEGACY_POOLING.items()}
    _write_json(folder / "modules.json", modules)
    for path, _ in chain[1:]:
        (folder / path).mkdir()
    _write_json(folder / "1_Pooling" / "config.json", {**pooling, **legacy, "include_prompt": True})
    _write_json(folder / "sentence_bert_config.json", {
        "max_seq_length": embedder.compiled.max_tokens, "do_lower_case": False,
    })  # fmt: skip
    versions = {
        name: importlib.metadata.version(name) for name in ("sentence-transformers", "transformers", "torch")
    }
    _write_json(folder / "config_sentence_transformers.json", {
        "__version__": {name.replace("-", "_"): version for name, version in versions.items()},
        "model_type": "SentenceTransformer", "prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine",
    })  # fmt: skip


def _write_card(embedder: Embedder, folder: Path) -> None:
    compiled = embedder.compiled
    packages = ("torch", "transformers", "tokenizers", "peft", "sentence-transformers")
    card = {
        "lastword": importlib.metadata.version("lastword"),
        "template": asdict(embedder.template),
        "prefix_ids": list(compiled.prefix_ids),
        "suffix_ids": list(compiled.suffix_ids),
        "bos": compiled.bos,
        "pooling": embedder.pooling.spec,
        "layer": embedder.layer if embedder.layer is not None else embedder.backbone.layers,
        "norm": embedder.norm,
        "normalize": embedder.normalize,
        "max_tokens": embedder.max_tokens,
        **asdict(embedder.facts),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "golden": GOLDEN,
    }
    _write_json(folder / CARD, card)
    (folder / "README.md").write_text(model_card(embedder), encoding="utf-8")


def _write_golden(embedder: Embedder, folder: Path, dtype: str) -> None:
    """Embed the golden texts with the written folder in float32, and require that it agrees with the embedder."""
    reloaded = type(embedder).from_pretrained(folder, dtype="float32", device="cpu")
    with quiet():
        golden, mine = reloaded.encode(GOLDEN_TEXTS), embedder.encode(GOLDEN_TEXTS)
    cosine = float((_unit(mine) * _unit(golden)).sum(1).min())
    exact = embedder.backbone.dtype == DTYPES[dtype] == torch.float32 and reloaded.facts == embedder.facts
    if cosine < (0.99999 if exact else 0.99):
        raise ParityError(
            f"the written folder disagrees with the model in memory: smallest cosine {cosine:.5f}"
        )
    _write_json(folder / GOLDEN, {
        "about": "float32 vectors of these texts, as this folder must give them anywhere",
        "texts": list(GOLDEN_TEXTS), "vectors": [[float(f"{x:.8g}") for x in row] for row in golden],
    })  # fmt: skip


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
