"""The model as a GGUF file for llama.cpp: weights, tokenizer and pooling type, read back by transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from lastword.embedding import Embedder, EmbedderSpec
from lastword.embedding.gguf import model_arguments, parsed_once
from lastword.errors import ModelError, ParityError
from lastword.exporting.formats import GGUF_POOLINGS, require_gguf_spec
from lastword.exporting.runtime_folder import describe
from lastword.extras import needed
from lastword.parity.requests import GGUF

_ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
_DTYPES = {
    "float32": ("F32", "ALL_F32"),
    "float16": ("F16", "MOSTLY_F16"),
    "bfloat16": ("BF16", "MOSTLY_BF16"),
}
_USE = """\
llama.cpp and Ollama **apply no template**: send each text, without outer white space, as

```text
{prefix}TEXT{suffix}
```

and let no text be longer than {budget} tokens, for they cut the end, where the vector is read. The pooling type is in
the file; the server scales vectors (`--embd-normalize 2`). Compare its vectors with `golden.json` before you rely on
them: `lastword check` reads the file with transformers."""


def write_gguf(embedder: Embedder, standard: Path, folder: Path, dtype: str) -> None:
    """Write the file and what belongs to it, and read it back.

    Args:
        embedder: the merged model.
        standard: its folder, whose weights have this precision.
        folder: to write.
        dtype: precision of the matrices; norms stay float32.

    Raises:
        MissingExtraError: gguf is not installed.
        ModelError: GGUF cannot express the architecture, its rotary embedding, the pooling or the tokenizer.
        ParityError: transformers reads other weights.
    """
    gguf = needed("gguf", "gguf", "export to GGUF")
    spec, compiled = embedder.spec, embedder.pipeline.compiled
    config = AutoConfig.from_pretrained(standard)
    _require_expressible(config, spec)
    architecture, (kind, file_type) = _ARCHITECTURES[config.model_type], _DTYPES[dtype]
    writer = gguf.GGUFWriter(folder / GGUF, architecture)
    writer.add_name(embedder.provenance.base)
    _add_shape(writer, config)
    writer.add_pooling_type(gguf.PoolingType[GGUF_POOLINGS[spec.pooling.name]])
    writer.add_file_type(gguf.LlamaFileType[file_type])
    writer.add_string("lastword.template", spec.template.text)
    _add_tokenizer(gguf, writer, standard, config.vocab_size)
    weights = AutoModel.from_pretrained(standard, dtype=torch.float32).state_dict()
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[architecture.upper()], config.num_hidden_layers)
    for name, tensor in weights.items():
        values = _as_stored(name, tensor, config, architecture)
        stored = gguf.GGMLQuantizationType[kind if values.ndim == 2 else "F32"]
        data = gguf.quantize(np.ascontiguousarray(values), stored)
        writer.add_tensor(
            names.get_name(f"model.{name}", try_suffixes=(".weight", ".bias")), data, raw_dtype=stored
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    _require_equal_weights(folder, weights)
    use = _USE.format(prefix=spec.template.prefix, suffix=spec.template.suffix, budget=compiled.budget)
    describe(standard, spec, embedder.provenance.base, "llama.cpp and its kin", use, folder)


def _require_expressible(config: Any, spec: EmbedderSpec) -> None:
    require_gguf_spec(spec)
    problem = None
    if config.model_type not in _ARCHITECTURES:
        problem = f"a {config.model_type} model (it can: {', '.join(_ARCHITECTURES)})"
    elif (kind := config.rope_parameters.get("rope_type", "default")) != "default":
        problem = f"a rotary embedding of type {kind!r} that transformers reads back"
    if problem:
        raise ModelError(f"GGUF cannot express {problem}: use to='folder' or to='onnx'")


def _add_shape(writer: Any, config: Any) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _as_stored(name: str, tensor: Tensor, config: Any, architecture: str) -> np.ndarray:
    """llama.cpp rotates neighbouring numbers, transformers the two halves of a head: queries and keys are reordered."""
    values: np.ndarray = tensor.float().numpy()
    if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        values = (
            values.reshape(heads, 2, values.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(values.shape)
        )
    return values


def _add_tokenizer(gguf: Any, writer: Any, standard: Path, size: int) -> None:
    definition = json.loads((standard / "tokenizer.json").read_text(encoding="utf-8"))
    model = definition["model"]
    splits = _name_of_splits(definition["pre_tokenizer"])
    if model["type"] != "BPE" or splits is None:
        raise ModelError(
            "GGUF cannot express this tokenizer: it is no byte-level BPE of a known kind; use to='onnx'"
        )
    special = {token["content"]: token["id"] for token in definition["added_tokens"]}
    vocabulary = model["vocab"] | special
    tokens = [f"[unused{number}]" for number in range(size)]
    for token, number in vocabulary.items():
        tokens[number] = token
    types = [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(splits)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    )
    settings = json.loads((standard / "tokenizer_config.json").read_text(encoding="utf-8"))
    adders = {"bos_token": writer.add_bos_token_id, "eos_token": writer.add_eos_token_id,
              "pad_token": writer.add_pad_token_id}  # fmt: skip
    for name, add in adders.items():
        if name in settings:
            add(vocabulary[settings[name]])
    facts = json.loads((standard / "lastword.json").read_text(encoding="utf-8"))
    ends = facts["suffix_ids"][-1:] == [vocabulary.get(settings.get("eos_token"))]
    writer.add_add_bos_token(bool(facts["bos"]))
    writer.add_add_eos_token(ends)


def _name_of_splits(pre_tokenizer: dict[str, Any] | None) -> str | None:
    """llama.cpp's name for how text is split before merges; None for another way."""
    text = json.dumps(pre_tokenizer)
    if "ByteLevel" not in text:
        return None
    if "Digits" in text:
        return "smollm"
    if "{1,3}" in text:
        return "llama-bpe"
    return "qwen2" if "Split" in text else "gpt-2"


def _require_equal_weights(folder: Path, weights: dict[str, Tensor]) -> None:
    with parsed_once(folder / GGUF):
        name, arguments = model_arguments(folder / GGUF)
        read = AutoModel.from_pretrained(name, dtype=torch.float32, **arguments).state_dict()
    for key, weight in weights.items():
        if key not in read or not torch.equal(read[key], weight):
            raise ParityError(
                f"the written GGUF file disagrees with the model: transformers reads other numbers for {key}"
            )
