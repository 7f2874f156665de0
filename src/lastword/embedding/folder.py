"""The saved model: a standard sentence-transformers folder, with `lastword.json` and golden vectors beside it.

The template is in `tokenizer.json` as a post-processor, so whoever tokenizes with the folder wraps texts
automatically and truncation cannot shorten the suffix. An adapter is merged into the weights. The pooling
configuration is written in both its forms, and the length limit under both its names: old servers know only
one of each.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from tokenizers import Tokenizer, processors

from lastword.embedding import latent_pooling
from lastword.embedding.card import Provenance, model_card
from lastword.embedding.device import DTYPES
from lastword.embedding.golden import GOLDEN, Encode, require_equal_ids, write_golden
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.pooling import PLAIN
from lastword.embedding.spec import LASTWORD_JSON, EmbedderSpec, require_standard
from lastword.embedding.standard import read_standard, stored_file
from lastword.embedding.template import CompiledTemplate
from lastword.embedding.tokenizer import SAVED_CLASS
from lastword.embedding.weights import write_weights
from lastword.errors import ModelError, RequestError, unknown_name
from lastword.files.plain_json import json_text
from lastword.files.run_folder import replace, require_absent

LATENT, LATENT_CLASS = "1_LatentPooling", "latent_pooling.LatentPooling"
RECIPE_JSON = "recipe.json"
"""The resolved settings of a training run, beside its checkpoints."""
STORED_DTYPES = DTYPES | {"float16": torch.float16}
"""Precisions of stored weights."""


@dataclass(frozen=True)
class Stored:
    """What a folder says: how to embed, and where the model came from.

    Attributes:
        spec: how to embed.
        provenance: where the model came from.
        unsupported: see `StandardFolder`; empty for what lastword wrote.
        latent: folder inside it of a pooling with weights, if the spec has one.
    """

    spec: EmbedderSpec
    provenance: Provenance
    unsupported: Mapping[str, str] = field(default_factory=dict)
    latent: str = LATENT

    def require_supported(self, name: str, arguments: Mapping[str, object]) -> None:
        """Refuse what lastword cannot do and no argument replaces.

        Raises:
            ModelError: the first such thing.
        """
        for argument, reason in self.unsupported.items():
            if arguments.get(argument) is None:
                replaced = f"pass {argument}=… to replace that, or " if argument else ""
                raise ModelError(
                    f"{name} is a sentence-transformers model that lastword cannot reproduce: {reason}; {replaced}"
                    f"name it sentence-transformers:{name} where that is allowed"
                )


def read(name_or_folder: str | Path, revision: str | None = None) -> Stored | None:
    """Read what a folder or a model on the Hub says of how to embed, or return None if it says nothing.

    A checkpoint in the folder of its training run embeds as the run says.

    Raises:
        ModelError: a file that cannot be read.
    """
    path = stored_file(name_or_folder, LASTWORD_JSON, revision)
    if path is None and (recipe := run_recipe(Path(name_or_folder))):
        return _of_checkpoint(Path(name_or_folder), recipe)
    if path is None:
        standard = read_standard(name_or_folder, revision)
        if standard is None:
            return None
        return Stored(standard.spec, Provenance(str(name_or_folder), revision), standard.unsupported)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        provenance = Provenance(**{name: values[name] for name in Provenance.__dataclass_fields__})
        spec = EmbedderSpec.from_dict(values)
        if (path.parent / "adapter_config.json").is_file() and not (path.parent / "config.json").is_file():
            spec = spec.changed(layer=values["layer"])  # an adapter alone: its base model has all its layers
        return Stored(spec, provenance)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged or from another version: {error!r}") from error


def run_recipe(checkpoint: Path) -> dict[str, Any] | None:
    """The resolved settings of the training run that wrote a checkpoint; None for another folder.

    Raises:
        ModelError: the file of the settings is damaged.
    """
    if not (checkpoint.name.startswith("step-") and (checkpoint / "adapter_config.json").is_file()):
        return None
    for folder in list(checkpoint.absolute().parents)[
        :2
    ]:  # the run, or OUTPUT.partial around its checkpoints
        path = folder / RECIPE_JSON
        if path.is_file():
            try:
                recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
                _ = recipe["model"], recipe["template"], recipe["pooling"]
            except (ValueError, KeyError, TypeError) as error:
                raise ModelError(f"{path} is damaged: {error!r}") from error
            return recipe
    return None


def _of_checkpoint(checkpoint: Path, recipe: dict[str, Any]) -> Stored:
    """As the model of its run embeds, whose template has the examples of a file; else as the recipe says."""
    model = checkpoint.absolute().parents[1]
    finished = read(model) if (model / LASTWORD_JSON).is_file() else None
    if finished and finished.provenance.recipe == recipe:
        spec = dataclasses.replace(finished.spec, layer=recipe.get("layer"))
        provenance = dataclasses.replace(finished.provenance, adapter=None, selection=None)
    else:
        settings = ("template", "pooling", "layer", "attention")
        spec = EmbedderSpec().changed(**{name: recipe.get(name) for name in settings})
        provenance = Provenance(str(recipe["model"]), recipe=recipe)
    return Stored(spec, provenance, latent=latent_pooling.TRAINED_POOLING)


def write(
    pipeline: Pipeline,
    provenance: Provenance,
    folder: Path,
    encode: Encode,
    *,
    overwrite: bool,
    dtype: str,
) -> Path:
    """Write a folder, check it, and move it to its path; see `Embedder.save`."""
    _require_full_weights(pipeline)
    _require_expressible(pipeline)
    if dtype not in STORED_DTYPES:
        raise RequestError(unknown_name("dtype", dtype, STORED_DTYPES))
    require_absent(folder, overwrite)
    folder = folder.absolute()  # "." has no name to put a partial folder beside
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    spec, backbone = pipeline.spec, pipeline.backbone
    try:
        bidirectional = backbone.attends == "bidirectional"
        write_weights(backbone.model, partial, STORED_DTYPES[dtype], spec.layer, bidirectional=bidirectional)
        write_description(pipeline, provenance, partial)
        if spec.pooling.trainable:
            getattr(backbone.model, latent_pooling.TRAINED_POOLING).save(partial / LATENT)
        exact = backbone.dtype == STORED_DTYPES[dtype] == torch.float32
        write_golden(partial, pipeline, encode, exact=exact)
        _make_readable(partial)
        replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def write_description(
    pipeline: Pipeline, provenance: Provenance, folder: Path, *, adapter_alone: bool = False
) -> None:
    """Write everything but the weights and golden vectors: tokenizer, modules, `lastword.json` and the card."""
    spec = pipeline.spec
    _write_tokenizer(pipeline, folder)
    _write_modules(spec, pipeline.backbone.dim, pipeline.compiled.single_length, folder)
    _write_json(folder / LASTWORD_JSON, _lastword_json(pipeline, provenance))
    (folder / "README.md").write_text(
        model_card(spec, provenance, pipeline.dim(spec.pooling), adapter_alone=adapter_alone),
        encoding="utf-8",
    )


def push(
    pipeline: Pipeline,
    provenance: Provenance,
    repo_id: str,
    encode: Encode,
    *,
    private: bool,
    token: str | None,
) -> str:
    """See `Embedder.push_to_hub`."""
    _require_full_weights(pipeline)
    require_savable(pipeline)  # before anything is created on the Hub
    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as parent:
        folder = write(pipeline, provenance, Path(parent) / "model", encode, overwrite=False, dtype="float32")
        message = "Add lastword embedding model"
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=message))


def require_savable(pipeline: Pipeline) -> None:
    """Refuse what `write` would refuse whatever the weights are: before a training run, not after it.

    Raises:
        RequestError: something that a standard folder cannot express.
        ParityError: others would get other token ids.
    """
    _require_expressible(pipeline)
    with tempfile.TemporaryDirectory() as folder:
        pipeline.backbone.model.config.save_pretrained(folder)
        _write_tokenizer(pipeline, Path(folder))
        require_equal_ids(Path(folder), pipeline)


def _require_full_weights(pipeline: Pipeline) -> None:
    if kind := pipeline.backbone.quantize:
        raise RequestError(
            f"{pipeline.backbone.name} was loaded with quantize={kind!r}: a folder is written from the full weights; "
            "load the model without quantize"
        )


def _require_expressible(pipeline: Pipeline) -> None:
    require_standard(pipeline.spec)
    if not pipeline.backbone.causal and pipeline.backbone.attends == "causal":
        raise RequestError("a standard model folder cannot express attention to later tokens; use a decoder")


def _make_readable(folder: Path) -> None:
    """Give the weights the mode of an ordinary file; safetensors writes them readable for their owner only."""
    mode = (folder / LASTWORD_JSON).stat().st_mode
    for path in folder.glob("*.safetensors"):
        path.chmod(mode)


def _write_tokenizer(pipeline: Pipeline, folder: Path) -> None:
    tokenizer, hf = pipeline.tokenizer, pipeline.tokenizer.hf
    backend = Tokenizer.from_str(json.dumps(tokenizer.definition()))
    backend.post_processor = _post_processor(backend, pipeline.compiled)
    backend.save(str(folder / "tokenizer.json"))
    if (
        not hf.all_special_ids
    ):  # a token of ordinary texts would become a special one, and texts be split there
        raise RequestError(
            f"the tokenizer of {pipeline.backbone.name} has no special token, and a standard folder needs one to pad "
            "with: add one in transformers (add_special_tokens, resize_token_embeddings) and load the result"
        )
    special = {"bos_token": hf.bos_token, "eos_token": hf.eos_token, "unk_token": hf.unk_token}
    config = {
        "tokenizer_class": SAVED_CLASS,
        "model_max_length": pipeline.compiled.single_length,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        "pad_token": backend.id_to_token(tokenizer.pad_id),
        **{name: token for name, token in special.items() if token is not None},
    }
    _write_json(folder / "tokenizer_config.json", config)


def _post_processor(backend: Tokenizer, compiled: CompiledTemplate) -> processors.TemplateProcessing:
    """The template as a post-processor: prefix, middle and suffix are a special token each, of many ids."""
    parts = {
        "<template_prefix>": compiled.prefix_ids,
        "<template_middle>": compiled.middle_ids or (),
        "<template_suffix>": compiled.suffix_ids,
    }
    special = [
        {"id": name, "ids": list(ids), "tokens": [backend.id_to_token(i) for i in ids]}
        for name, ids in parts.items()
        if ids
    ]
    before, between, after = ([name] if ids else [] for name, ids in parts.items())
    texts = ["$A"] if compiled.middle_ids is None else ["$A", *between, "$A"]
    return processors.TemplateProcessing(
        single=[*before, *texts, *after], pair=[*before, *texts, "$B:1", *after], special_tokens=special
    )


def _write_modules(spec: EmbedderSpec, dim: int, max_tokens: int, folder: Path) -> None:
    """The module chain under the names that every sentence-transformers version knows."""
    methods, trainable = [part.method for part in spec.pooling.parts], spec.pooling.trainable
    chain = [
        ("", "sentence_transformers.models.Transformer"),
        (LATENT, LATENT_CLASS) if trainable else ("1_Pooling", "sentence_transformers.models.Pooling"),
        *([("2_Normalize", "sentence_transformers.models.Normalize")] * spec.normalize),
    ]
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(chain)]
    legacy_keys = {known.legacy_key for known in PLAIN.values()} | {"mean_sqrt_len_tokens"}
    pooling = {
        "embedding_dimension": dim,
        "word_embedding_dimension": dim,
        "pooling_mode": methods[0].mode if len(methods) == 1 else [method.mode for method in methods],
        **{f"pooling_mode_{key}": key in {m.legacy_key for m in methods} for key in sorted(legacy_keys)},
        "include_prompt": True,
    }
    _write_json(folder / "modules.json", modules)
    for path, _ in chain[1:]:
        (folder / path).mkdir()
    if trainable:
        shutil.copy(latent_pooling.__file__, folder)
    else:
        _write_json(folder / "1_Pooling" / "config.json", pooling)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    versions = {
        name.replace("-", "_"): importlib.metadata.version(name)
        for name in ("sentence-transformers", "transformers", "torch")
    }
    settings = {
        "__version__": versions,
        "model_type": "SentenceTransformer",
        "prompts": dict(spec.prompts),
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    _write_json(folder / "config_sentence_transformers.json", settings)


def _lastword_json(pipeline: Pipeline, provenance: Provenance) -> dict[str, Any]:
    compiled, packages = (
        pipeline.compiled,
        ("torch", "transformers", "tokenizers", "peft", "sentence-transformers"),
    )
    return {
        "lastword": importlib.metadata.version("lastword"),
        **pipeline.spec.to_dict(),
        "layer": pipeline.layer,
        "prefix_ids": list(compiled.prefix_ids),
        **({} if compiled.middle_ids is None else {"middle_ids": list(compiled.middle_ids)}),
        "suffix_ids": list(compiled.suffix_ids),
        "bos": compiled.bos,
        **asdict(provenance),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "golden": GOLDEN,
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")
