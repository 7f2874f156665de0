"""Every decoder architecture of the installed transformers, made tiny at random, and what lastword does with it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lastword.embedding import Embedder
from lastword.errors import LastwordError
from lastword.training import LastStep, train

TYPES = tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))
TEXTS = [
    "a man is driving a car",
    "the river was low",
    "She left.",
    "a cat is sleeping on it and the house is sold",
]
PARAMETERS = 5_000_000  # more is not tiny
SAME = 2e-5  # largest difference of a coordinate of unit vectors
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_MOST_LAYERS = 4
_SIZES: dict[int, tuple[str, ...]] = {
    32: (
        "hidden_size", "d_model", "n_embd", "embedding_size", "dim_model", "word_embed_proj_dim", "lru_width",
        "attention_hidden_size", "input_embedding_size", "output_embedding_size", "embed_dim", "emb_dim",
        "backbone_hidden_size",
    ),
    4: (
        "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads", "decoder_attention_heads",
        "encoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads", "laurel_rank",
        "swa_num_attention_heads", "num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts",
        "mamba_n_heads", "mamba_num_heads", "linear_num_value_heads", "linear_num_heads", "time_step_rank",
        "mamba_dt_rank", "rotary_dim",
    ),
    2: (
        *_LAYERS, "decoder_layers", "encoder_layers", "num_decoder_layers", "num_encoder_layers", "num_blocks",
        "depth", "num_key_value_heads", "num_kv_heads", "kv_n_heads", "swa_num_key_value_heads", "index_n_heads",
        "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "linear_num_key_heads", "pad_token_id",
    ),
    8: (
        "head_dim", "attention_head_size", "kv_channels", "dim_head", "v_head_dim", "qk_nope_head_dim",
        "qk_rope_head_dim", "swa_head_dim", "index_head_dim", "linear_key_head_dim", "linear_value_head_dim",
        "linear_head_dim", "query_pre_attn_scalar", "global_head_dim", "swa_v_head_dim", "mamba_d_state",
        "state_size", "ssm_state_size", "mamba_chunk_size", "chunk_size", "hidden_size_per_layer_input",
    ),
    48: (
        "intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "ffn_hidden_size", "dff", "dim_ff",
        "feed_forward_size", "moe_intermediate_size", "shared_expert_intermediate_size", "intermediate_size_mlp",
        "shared_experts_intermediate_size", "shared_intermediate_size", "dense_intermediate_size", "n_inner",
        "expert_ffn_hidden_size", "moe_shared_expert_intermediate_size",
    ),
    128: (
        "max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "context_length", "model_max_length",
        "max_target_positions", "original_max_position_embeddings",
    ),
    16: (
        "sliding_window", "attention_window_size", "local_attention", "attention_chunk_size", "window_size",
        "sliding_window_size", "q_lora_rank", "kv_lora_rank", "o_lora_rank", "mamba_d_head", "mamba_head_dim",
    ),
    400: ("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size", "unpadded_vocab_size"),
    1: ("moe_top_k", "topk_group", "n_group", "num_expert_group", "n_groups", "first_k_dense_replace", "eos_token_id"),
    0: ("num_kv_shared_layers", "num_nextn_predict_layers", "bos_token_id"),
    64: ("mamba_d_ssm",),
    256: ("index_topk",),  # above every length here, as in the trained models
}  # fmt: skip
_SMALL = {name: size for size, names in _SIZES.items() for name in names}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_QWEN4 = {
    "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 64,
    "indexer_compress_ratio": 4,
}  # fmt: skip
_FROM_NONE = {"pad_token_id", "bos_token_id", "eos_token_id", "head_dim", "num_key_value_heads"}
# What the sizes above do not fit together for.
_OWN: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), _ROPE)},
    "dbrx": {"attn_config": {"rope_theta": 10_000.0, "kv_n_heads": 2, "clip_qkv": 8.0}},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dory": {"n_input_layers": 1, "n_recurrent_layers": 1, "n_output_layers": 1, "num_hidden_layers": 3}
    | {"layer_types": ["sliding_attention", "full_attention", "full_attention"]},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots3_note_text": {"swa_head_dim": 16},
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    },
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"num_layers": 1, "num_hidden_layers": 2},
    "mamba2": {"num_heads": 8},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "reformer": {"is_decoder": True, "axial_pos_embds": False, "attn_layers": ["local", "local"]},
    "qwen4_exp_text": _QWEN4,
    "qwen4_exp": {"text_config": {"model_type": "qwen4_exp_text", **_QWEN4}},
    "roc_bert": {
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": 40,
        "shape_embed_dim": 8,
        "shape_vocab_size": 40,
    },
    "xmod": {"default_language": "en_XX"},
    "zamba2": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "zaya": {"num_experts_per_tok": 1},
}


def tiny_config(model_type: str) -> Any:
    """The configuration of an architecture with small sizes and, if its layers differ, one layer of each kind."""
    kind = CONFIG_MAPPING[model_type]
    sizes = _sizes(kind().to_dict()) | _OWN.get(model_type, {})
    return kind(**sizes)


def _sizes(default: dict[str, Any]) -> dict[str, Any]:
    small = {
        name: size
        for name, size in _SMALL.items()
        if name in default
        and (name in _FROM_NONE if default[name] is None else type(default[name]) in (int, float))
    }
    if "kv_lora_rank" in small and "num_key_value_heads" in small:
        small["num_key_value_heads"] = small["num_attention_heads"]
    small |= _one_layer_of_each_kind(default, [name for name in _LAYERS if name in small])
    for name, value in default.items():
        if isinstance(value, dict) and name.endswith("_config") and name != "per_layer_config":
            whole = {"model_type": value["model_type"]} if "model_type" in value else value
            small[name] = {**whole, **_sizes(value)}
    return small


def _one_layer_of_each_kind(default: dict[str, Any], counts: list[str]) -> dict[str, Any]:
    layers = next((default[name] for name in counts), 0)
    lists = {name: v for name, v in default.items() if isinstance(v, list) and len(v) == layers > 2}
    if not lists:
        return {}
    kinds: dict[str, int] = {}
    for layer in range(layers):
        kinds.setdefault(str([values[layer] for values in lists.values()]), layer)
    chosen = list(kinds.values())[:_MOST_LAYERS]
    chosen = chosen if len(chosen) > 1 else [0, 1]
    small: dict[str, Any] = {
        name: [_SMALL.get(name, values[i]) for i in chosen] for name, values in lists.items()
    }
    own = {int(layer): values for layer, values in default.get("per_layer_config", {}).items()}
    if own:
        sizes = {new: own[layer] for new, layer in enumerate(chosen) if layer in own}
        small["per_layer_config"] = {
            layer: {name: _SMALL.get(name, value) for name, value in values.items()}
            for layer, values in sizes.items()
        }
    return small | dict.fromkeys(counts, len(chosen))


def write_tiny(model_type: str, folder: Path) -> int:
    """Write a tiny model with random weights and a tokenizer; an encoder-decoder's configuration alone.

    Returns:
        Number of parameters, 0 if no weights were written.

    Raises:
        ValueError: it is too large.
        Exception: whatever transformers raises where the sizes do not fit together.
    """
    config = tiny_config(model_type)
    _write_tokenizer(folder)
    if config.is_encoder_decoder:
        config.save_pretrained(folder)
        return 0
    with torch.device("meta"):
        count = sum(p.numel() for p in AutoModelForCausalLM.from_config(config).parameters())
    if count > PARAMETERS:
        raise ValueError(f"it would have {count:,} parameters")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        model(input_ids=torch.arange(8)[None])
    model.save_pretrained(folder)
    return count


def _write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet, special = pre_tokenizers.ByteLevel.alphabet(), ["<s>", "</s>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("bos_token", "eos_token", "pad_token"), special, strict=True))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names})
    )


def row(model_type: str, folder: Path) -> dict[str, Any]:
    """Try everything with a tiny model; each entry is "yes", or the reason why not.

    Args:
        model_type: of `TYPES`.
        folder: an empty folder to work in.
    """
    result: dict[str, Any] = {"type": model_type, "class": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type]}
    base = folder / "model"
    base.mkdir()
    with _quiet():
        made = _try(result, "made", lambda: result.update(parameters=write_tiny(model_type, base)), base)
        if made and _try(result, "loads", lambda: _load(base), base):
            embedder = _load(base)
            result["path"], result["attention"] = embedder.backbone.path, embedder.backbone.implementation
            _try(result, "alone", lambda: _same(embedder.encode(TEXTS), _one_by_one(embedder)), base)
            if embedder.backbone.path == "fused":
                _try(
                    result,
                    "fused",
                    lambda: _same(embedder.encode(TEXTS), _load(base, fused=False).encode(TEXTS)),
                    base,
                )
            _try(result, "saves", lambda: _save(embedder, folder / "saved"), base)
            if result["saves"] == "yes":
                _try(result, "cuts", lambda: _cut(embedder.variant(layer=1), folder / "cut"), base)
            if _try(result, "trains", lambda: _train(base, folder), base):
                result["adapted"] = json.loads((folder / "trained" / "lastword.json").read_text())["adapter"][
                    "modules"
                ]
    return result


def _try(result: dict[str, Any], name: str, step: Callable[[], object], base: Path) -> bool:
    try:
        step()
        result[name] = "yes"
    except Exception as error:  # whatever an architecture brings
        reason = (
            str(error).strip().partition("\n")[0].replace(str(base), "MODEL").replace(str(base.parent), "")
        )
        result[name] = reason if isinstance(error, LastwordError) else f"{type(error).__name__}: {reason}"
    return result[name] == "yes"


def _load(folder: Path, **settings: Any) -> Embedder:
    return Embedder.from_pretrained(
        folder, template="ccw", pooling="lasttoken", dtype="float32", device="cpu", **settings
    )


def _one_by_one(embedder: Embedder) -> np.ndarray:
    return np.stack([embedder.encode(text) for text in TEXTS])


def _same(vectors: np.ndarray, others: np.ndarray) -> None:
    if not np.isfinite(vectors).all():
        raise ValueError("vectors are not finite")
    if (difference := float(np.abs(vectors - others).max())) > SAME:
        raise ValueError(f"vectors differ by {difference:.1g}")


def _save(embedder: Embedder, folder: Path) -> None:
    embedder.save(folder)
    theirs = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    _same(embedder.encode(TEXTS), theirs)


def _cut(embedder: Embedder, folder: Path) -> None:
    embedder.save(folder)
    _same(
        embedder.encode(TEXTS), Embedder.from_pretrained(folder, dtype="float32", device="cpu").encode(TEXTS)
    )


def _train(base: Path, folder: Path) -> None:
    pairs = folder / "pairs.csv"
    pairs.write_text("anchor,positive\n" + "".join(f"text {i},a text {i}\n" for i in range(8)))
    train(
        folder / "trained", scorer=LastStep(), model=str(base), pairs=[str(pairs)], steps=1, batch_pairs=4, rank=2,
        learning_rate=0.01, warmup_steps=0, schedule="constant", device="cpu", dtype="float32", trackers="none",
    )  # fmt: skip
    before, after = _load(base).encode(TEXTS), _load(folder / "trained").encode(TEXTS)
    if not np.isfinite(after).all() or np.abs(before - after).max() < 1e-6:
        raise ValueError("training changed nothing, or spoiled everything")


@contextmanager
def _quiet() -> Iterator[None]:
    """Libraries warn of what is usual for random weights of odd architectures."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            transformers.logging.set_verbosity(level)
