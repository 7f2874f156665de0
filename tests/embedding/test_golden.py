"""What others read from a saved folder is what the model in memory gives, whatever its type."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from tokenizers import AddedToken, Tokenizer
from transformers import AutoConfig, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from lastword.embedding import Embedder
from lastword.embedding import folder as folders
from lastword.embedding.golden import GOLDEN_TEXTS
from lastword.embedding.tokenizer import SAVED_CLASS, TextTokenizer, keeps_normalizer
from lastword.errors import ParityError, RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 48, "max_position_embeddings": 128, "vocab_size": 400, "pad_token_id": None,
    "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
}  # fmt: skip
# transformers builds the tokenizers of the first two anew, and has tokenizer classes of its own for the others.
TYPES = ("qwen2", "qwen3_5_moe_text", "qwen2_moe", "gemma3_text", "olmo", "phi3", "mistral")
EDGES = (" ", "\n", "\r\n", "\t", "\u00a0", "\u3000", '"', "'", "“", ".", ",", "!?", "…", "(", ")")
TEXTS = [
    text
    for edge in EDGES
    for text in (f"{edge}a man", f"a man{edge}", f"{edge}a man{edge}", f" {edge} a man {edge} ")
]


@pytest.fixture
def model_of(qwen_folder: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Write a tiny random model of a type, with the tokenizer of the tiny Qwen3."""

    def model_of(model_type: str) -> Path:
        folder = shutil.copytree(qwen_folder, tmp_path / model_type)
        (folder / "model.safetensors").unlink()
        config = AutoConfig.for_model(model_type, **SMALL)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(config)
            for parameter in model.parameters():
                parameter.data += 0.2 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        return folder

    return model_of


@pytest.mark.parametrize(("model_type", "template"), [("qwen2", "none"), *((name, "sum") for name in TYPES)])
def test_ids_and_vectors_of_others(
    load: Load, model_of: Callable[[str], Path], tmp_path: Path, model_type: str, template: str
) -> None:
    """Texts that begin and end in white space, quotes and punctuation."""
    embedder = load(model_of(model_type), template=template, pooling="lasttoken")
    folder = embedder.save(tmp_path / "saved")
    expected = embedder.pipeline.tokenize(TEXTS).ids
    assert AutoTokenizer.from_pretrained(folder)(TEXTS)["input_ids"] == expected
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(TEXTS)[0].ids == expected[0]
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert np.abs(vectors - embedder.encode(TEXTS)).max() <= 1e-5
    assert load(folder).pipeline.tokenize(TEXTS).ids == expected


def test_every_decoder_type_of_transformers(qwen_folder: Path, tmp_path: Path) -> None:
    """The tokenizer as it would be saved: transformers gives the ids that the model in memory gets."""
    shutil.copy(qwen_folder / "tokenizer.json", tmp_path / "tokenizer.json")
    settings = {"tokenizer_class": SAVED_CLASS, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    saved = tmp_path / "saved"
    saved.mkdir()
    shutil.copy(tmp_path / "tokenizer_config.json", saved / "tokenizer_config.json")
    kept = {}
    for model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        try:
            config = AutoConfig.for_model(model_type)
        except Exception:  # its configuration needs a library or values of its own
            continue
        kept[model_type] = keeps_normalizer(config)
        base: Any = AutoTokenizer.from_pretrained(tmp_path, config=config)
        tokenizer = TextTokenizer(base, strip=kept[model_type])
        (saved / "tokenizer.json").write_text(json.dumps(tokenizer.definition()))
        others = AutoTokenizer.from_pretrained(saved, config=config)(TEXTS, add_special_tokens=False)
        assert others["input_ids"] == tokenizer.text_ids(TEXTS), model_type
    assert len(kept) > 150
    assert not kept["qwen2"]
    assert sum(kept.values()) > 0.9 * len(kept)


@pytest.mark.parametrize("model_type", ["gemma3", "qwen3_5", "mistral3"])
def test_the_decoder_of_a_model_with_images(
    load: Load, qwen_folder: Path, tmp_path: Path, model_type: str
) -> None:
    """Saved alone: the folder needs no image processor, and transformers keeps its tokenizer."""
    base = shutil.copytree(qwen_folder, tmp_path / "base")
    vision = {
        "hidden_size": 32, "num_hidden_layers": 1, "depth": 1, "num_attention_heads": 2, "num_heads": 2,
        "intermediate_size": 32, "out_hidden_size": 32, "image_size": 28, "patch_size": 14,
    }  # fmt: skip
    config = AutoConfig.for_model(model_type, text_config=SMALL, vision_config=vision)
    config.image_token_id = 5
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModel.from_config(config)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base)
    embedder = load(base, template="sum", pooling="lasttoken", normalize=False)
    ids = embedder.pipeline.tokenize(TEXTS[:3]).ids
    rows = [torch.tensor([row]) for row in ids]
    with torch.inference_mode():
        states = [model.eval()(input_ids=row, use_cache=False).last_hidden_state[0, -1] for row in rows]
    assert np.abs(embedder.encode(TEXTS[:3]) - torch.stack(states).numpy()).max() <= 1e-4
    folder = embedder.save(tmp_path / "saved")
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert np.abs(vectors - embedder.encode(TEXTS)).max() <= 1e-4


def test_a_folder_that_others_cannot_load_is_refused(
    load: Load, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_modules(spec: Any, dim: int, max_tokens: int, folder: Path) -> None:
        (folder / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "absent.Module"}]')

    monkeypatch.setattr(folders, "_write_modules", without_modules)
    message = refused(ParityError, load(template="ccw").save, tmp_path / "saved")
    assert message.startswith("the written folder, a llama model, does not load in sentence-transformers: ")
    assert "\n" not in message


@pytest.mark.parametrize("token", ["   ", "\t\t", " man"])
def test_white_space_in_added_tokens(load: Load, llama_folder: Path, tmp_path: Path, token: str) -> None:
    """Stripping would change these tokens; the tokenizers of Pythia, OLMo and Phi-2 have such."""
    base = shutil.copytree(llama_folder, tmp_path / "base")
    backend = Tokenizer.from_file(str(base / "tokenizer.json"))
    backend.add_tokens([AddedToken(token, normalized=True)])
    backend.save(str(base / "tokenizer.json"))
    embedder = load(_with_rows(base, backend.get_vocab_size()), template="ccw", pooling="lasttoken")
    texts = [*TEXTS, f"a{token}b", f"{token}b", f"a{token}"]
    plain = AutoTokenizer.from_pretrained(base)(texts, add_special_tokens=False)["input_ids"]
    assert embedder.pipeline.tokenizer.text_ids(texts) == plain
    folder = embedder.save(tmp_path / "saved")
    assert AutoTokenizer.from_pretrained(folder)(texts)["input_ids"] == embedder.pipeline.tokenize(texts).ids


def _with_rows(folder: Path, rows: int) -> Path:
    """Give a model as many token embeddings."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(rows, mean_resizing=False)
    model.save_pretrained(folder)
    return folder


def test_other_ids_are_refused(
    load: Load, model_of: Callable[[str], Path], refused: Refused, tmp_path: Path
) -> None:
    """A tokenizer that strips, in a model whose saved tokenizer could not."""
    embedder = load(model_of("qwen2"), template="sum", pooling="lasttoken")
    stripping = Embedder(embedder.backbone, TextTokenizer(embedder.pipeline.tokenizer.hf), embedder.spec)
    message = refused(ParityError, stripping.save, tmp_path / "saved")
    assert message.startswith(
        "the written folder disagrees with the model in memory: transformers, which reads the tokenizer of a qwen2 "
        "model as Qwen2Tokenizer, gives other tokens for '  outer white space"
    )
    others, memory = (ast.literal_eval(tokens) for tokens in re.findall(r"\[.*?\]", message)[-2:])
    assert others[0] != memory[0], "the first tokens that differ"
    assert len(others) == len(memory) == 5
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "mean"}),
        ("config_sentence_transformers.json", {"prompts": {"query": "another question: "}}),
    ],
)
def test_other_vectors_with_equal_ids_are_refused(
    load: Load,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    changes: dict[str, Any],
) -> None:
    """Those of texts alone, and those of texts with a prompt."""
    monkeypatch.setattr(folders, "_write_modules", _with(folders._write_modules, file, changes))
    embedder = load(template="ccw", pooling="lasttoken", prompts={"query": "the question: "})
    message = refused(ParityError, embedder.save, tmp_path / "saved")
    assert message.startswith("the written folder disagrees with the model in memory: smallest cosine ")
    assert message.endswith(" in sentence-transformers")
    assert not (tmp_path / "saved").exists()


def _with(write: Callable[..., None], file: str, changes: dict[str, Any]) -> Callable[..., None]:
    def written(spec: Any, dim: int, max_tokens: int, folder: Path) -> None:
        write(spec, dim, max_tokens, folder)
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return written


def test_the_stored_vectors_are_those_of_the_model(load: Load, tmp_path: Path) -> None:
    embedder = load(template="ccw", pooling="lasttoken", prompts={"query": "the question: "})
    content = (embedder.save(tmp_path / "saved") / "golden.json").read_text(encoding="utf-8")
    assert content.endswith("}\n")
    golden = json.loads(content)
    assert golden.keys() == {"about", "texts", "ids", "vectors"}
    assert golden["ids"] == embedder.pipeline.tokenize(GOLDEN_TEXTS).ids
    assert golden["texts"] == list(GOLDEN_TEXTS)
    np.testing.assert_allclose(golden["vectors"], embedder.encode(GOLDEN_TEXTS), atol=1e-5)


def test_a_tokenizer_without_special_tokens_is_refused(
    load: Load, gpt2_folder: Path, refused: Refused, tmp_path: Path
) -> None:
    """Padding would need one: a letter as the padding token would split texts."""
    base = shutil.copytree(gpt2_folder, tmp_path / "base")
    definition = json.loads((base / "tokenizer.json").read_text()) | {"added_tokens": []}
    (base / "tokenizer.json").write_text(json.dumps(definition))
    (base / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    message = refused(RequestError, load(base, template="ccw").save, tmp_path / "saved")
    assert message.startswith(
        f"the tokenizer of {base} has no special token, and a standard folder needs one to pad"
    )
    assert not (tmp_path / "saved").exists()


def test_padding_with_another_special_token(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    """Neither padding nor end-of-text token: the begin-of-text token pads, not the first token of the vocabulary."""
    base = shutil.copytree(llama_folder, tmp_path / "base")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    embedder = load(base, template="ccw", pooling="lasttoken")
    folder = embedder.save(tmp_path / "saved")
    assert json.loads((folder / "tokenizer_config.json").read_text())["pad_token"] == "<s>"
    vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert np.abs(vectors - embedder.encode(TEXTS)).max() <= 1e-5
