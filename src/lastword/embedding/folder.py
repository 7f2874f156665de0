"""The artefact: a standard sentence-transformers folder, with `lastword.json` and golden vectors beside it.

The template lives in `tokenizer.json` as a post-processor, so whoever tokenizes with the folder
wraps texts by itself and truncation cannot cut the suffix. An adapter is merged into the weights.
Both spellings of the pooling configuration are written, and the length limit under both names:
old servers know only one of each.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError
from tokenizers import Tokenizer, processors

from lastword.embedding.card import model_card
from lastword.embedding.device import DTYPES
from lastword.embedding.golden import GOLDEN, write_golden
from lastword.embedding.template import CompiledTemplate, Template
from lastword.embedding.weights import write_weights
from lastword.errors import ExistingOutputError, ModelError, RequestError, unknown_name
from lastword.files.run_folder import replace

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder

CARD = "lastword.json"
_LEGACY_POOLING = {
    "cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len": "mean_sqrt_len_tokens",
    "weightedmean": "weightedmean_tokens", "lasttoken": "lasttoken",
}  # fmt: skip


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
    folder = folder.absolute()  # "." has no name to put a partial folder beside
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        write_weights(embedder, partial, DTYPES[dtype])
        _write_tokenizer(embedder, partial)
        _write_modules(embedder, partial)
        _write_card(embedder, partial)
        write_golden(embedder, partial, dtype)
        _let_others_read(partial)
        replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _let_others_read(folder: Path) -> None:
    """Give all files the mode of an ordinary one; weights are written for their owner alone."""
    ordinary = (folder / CARD).stat().st_mode
    for path in folder.glob("*.safetensors"):
        path.chmod(ordinary)


def push(embedder: Embedder, repo_id: str, *, private: bool, token: str | None) -> str:
    """See `Embedder.push_to_hub`."""
    import tempfile

    from huggingface_hub import HfApi

    _require_expressible(embedder)  # before anything is created there
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as parent:
        folder = write(embedder, Path(parent) / "model", overwrite=False, dtype="float32")
        return str(
            api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message="Add lastword embedding model"
            )
        )


def _require_expressible(embedder: Embedder) -> None:
    """A standard folder pools over whole sequences, after the final norm, around joined ids."""
    if kind := embedder.backbone.quantize:
        raise RequestError(
            f"{embedder.name} was loaded with quantize={kind!r}: its full weights are needed to write a folder; "
            "load it without"
        )
    problem = None
    if embedder.pooling.over == "text":
        problem = f"pooling {embedder.pooling.spec!r} (over the text alone); use {embedder.pooling.name!r}"
    elif embedder.norm == "pre":
        problem = "norm='pre'; use norm='post'"
    elif embedder.template.boundary == "string":
        problem = "boundary='string'; use boundary='ids'"
    if problem:
        raise RequestError(f"a standard model folder cannot express {problem}")


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


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
