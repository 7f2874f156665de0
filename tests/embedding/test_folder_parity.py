"""The saved folder gives the same vectors in sentence-transformers, which knows nothing of lastword."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer

from lastword.embedding import Embedder, Template
from lastword.embedding.golden import GOLDEN_TEXTS
from lastword.errors import RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEXTS = [
    "a man is driving a car",
    "She left.",
    "  outer white space \n",
    "inner  white\n\nspace",
    'a "quoted" word',
    "Größe, 東京, مرحبا",
    "rocket 🚀 and family 👩‍👩‍👧",
    "control \x00\x1b characters",
    "goes on and on, " * 100,
]
CASES = {
    "none, mean": ("llama", {"template": "none", "pooling": "mean"}),
    "ccw, lasttoken": ("llama", {"template": "ccw", "pooling": "lasttoken"}),
    "sum, eos": ("llama", {"template": "sum", "pooling": "eos"}),
    "ccp, weightedmean": ("llama", {"template": "ccp", "pooling": "weightedmean"}),
    "eol, max": ("llama", {"template": "eol", "pooling": "max"}),
    "question, cls": ("llama", {"template": "question", "pooling": "cls"}),
    "own template": ("llama", {"template": "\n🚀 {text} → ", "pooling": "lasttoken"}),
    "no begin-of-text": ("llama", {"template": "ccw", "pooling": "mean", "bos": False}),
    "eos in the template": ("llama", {"template": Template.parse("ccw", eos=True), "pooling": "mean"}),
    "short sequences": ("llama", {"template": "sum", "pooling": "lasttoken", "max_tokens": 24}),
    "not normalised": ("llama", {"template": "ccw", "pooling": "mean", "normalize": False}),
    "echo, lasttoken": ("llama", {"template": "echo", "pooling": "lasttoken"}),
    "echo, short sequences": ("qwen", {"template": "{text};{text}", "pooling": "mean", "max_tokens": 13}),
    "echo, eos": ("llama", {"template": "{text} = {text}", "pooling": "eos", "max_tokens": 40}),
    "two poolings": ("llama", {"template": "ccw", "pooling": "mean+lasttoken"}),
    "three poolings": ("qwen", {"template": "ccw", "pooling": "cls+max+weightedmean", "normalize": False}),
    "bidirectional": ("llama", {"template": "ccw", "pooling": "mean", "attention": "bidirectional"}),
    "qwen, bidirectional, eos": ("qwen", {"template": "eol", "pooling": "eos", "attention": "bidirectional"}),
    "bidirectional, layer 1": ("llama", {"pooling": "mean", "layer": 1, "attention": "bidirectional"}),
    "layer 1": ("llama", {"template": "ccw", "pooling": "mean", "layer": 1}),
    "layer 0": ("llama", {"template": "ccw", "pooling": "max", "layer": 0}),
    "qwen, classify, lasttoken": ("qwen", {"template": "classify", "pooling": "lasttoken"}),
    "qwen, pcot, eos": ("qwen", {"template": "pcot", "pooling": "eos"}),
    "qwen, layer 1": ("qwen", {"template": "ccw", "pooling": "lasttoken", "layer": 1}),
    "gpt2, ke, weightedmean": ("gpt2", {"template": "ke", "pooling": "weightedmean"}),
    "gpt2, begin-of-text": ("gpt2", {"template": "ccw", "pooling": "lasttoken", "bos": True}),
    "gpt2, layer 1": ("gpt2", {"template": "none", "pooling": "mean", "layer": 1, "bos": True}),
}


@pytest.fixture(scope="module")
def embedder(load: Load) -> Embedder:
    return load(template="ccw", pooling="lasttoken")


@pytest.fixture(scope="module")
def saved(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return embedder.save(tmp_path_factory.mktemp("saved") / "model")


def _standard(folder: Path, texts: list[str]) -> np.ndarray:
    """What somebody without lastword gets."""
    vectors: np.ndarray = SentenceTransformer(str(folder), device="cpu").encode(texts)
    return vectors


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_sentence_transformers_gives_the_same_vectors(
    load: Load, request: pytest.FixtureRequest, tmp_path: Path, case: str
) -> None:
    name, settings = CASES[case]
    embedder = load(request.getfixturevalue(f"{name}_folder"), **settings)
    texts = [*TEXTS, ""]  # every case has a token to give even for an empty text
    folder = embedder.save(tmp_path / "model")
    expected = embedder.encode(texts)
    assert np.abs(_standard(folder, texts) - expected).max() <= 1e-5
    again = load(folder)
    assert np.abs(again.encode(texts) - expected).max() <= 1e-5
    assert (again.spec.template, again.spec.pooling) == (embedder.spec.template, embedder.spec.pooling)
    assert (again.pipeline.max_tokens, again.spec.normalize) == (
        embedder.pipeline.max_tokens,
        embedder.spec.normalize,
    )
    assert again.pipeline.compiled == embedder.pipeline.compiled


@pytest.mark.parametrize(("case", "layers"), [("layer 0", 0), ("layer 1", 1), ("qwen, layer 1", 1)])
def test_layers_above_the_pooled_one_are_left_out(
    load: Load, request: pytest.FixtureRequest, tmp_path: Path, case: str, layers: int
) -> None:
    name, settings = CASES[case]
    folder = load(request.getfixturevalue(f"{name}_folder"), **settings).save(tmp_path / "model")
    assert _json(folder / "config.json")["num_hidden_layers"] == layers
    assert _json(folder / "lastword.json")["layer"] == layers
    numbers = {key.split(".")[1] for key in load_file(folder / "model.safetensors") if "layers." in key}
    assert numbers == {str(layer) for layer in range(layers)}


def test_golden_vectors_are_what_sentence_transformers_gives(saved: Path) -> None:
    golden = _json(saved / "golden.json")
    assert golden["texts"] == list(GOLDEN_TEXTS)
    assert (
        golden["about"]
        == "token ids and float32 vectors of these texts, as this folder must give them anywhere"
    )
    assert np.abs(_standard(saved, golden["texts"]) - np.array(golden["vectors"])).max() <= 1e-5


@pytest.mark.parametrize("name", ["llama", "qwen"])
def test_adapter_is_merged(load: Load, request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    base = request.getfixturevalue(f"{name}_folder")
    embedder = load(base, template="ccw", pooling="lasttoken")
    plain = embedder.encode(TEXTS)
    config = peft.LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"])
    peft.inject_adapter_in_model(config, embedder.backbone.model)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, weight in embedder.backbone.model.named_parameters():
            if "lora_B" in key:
                weight.copy_(torch.randn(weight.shape, generator=draw) * 0.2)
    adapted = embedder.encode(TEXTS)
    assert np.abs(adapted - plain).max() > 0.05
    folder = embedder.save(tmp_path / "model")
    assert np.abs(_standard(folder, TEXTS) - adapted).max() <= 1e-5
    merged, original = load_file(folder / "model.safetensors"), load_file(base / "model.safetensors")
    assert set(merged) == {key.removeprefix("model.") for key in original} - {"lm_head.weight"}
    untouched = "layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(merged[untouched], original[f"model.{untouched}"], atol=0, rtol=0)


def test_appended_end_of_text_comes_on_top_of_the_length(load: Load, tmp_path: Path) -> None:
    embedder = load(template="sum", pooling="eos", max_tokens=30)
    folder = embedder.save(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(TEXTS[-1], truncation=True)["input_ids"]
    assert ids == embedder.pipeline.tokenize(TEXTS[-1:]).ids[0]
    assert len(ids) == 31
    assert ids[-1] == tokenizer.eos_token_id
    assert _json(folder / "lastword.json")["max_tokens"] == 30


def test_stored_in_bfloat16(embedder: Embedder, load: Load, refused: Refused, tmp_path: Path) -> None:
    folder = embedder.save(tmp_path / "model", dtype="bfloat16")
    assert {weight.dtype for weight in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert _json(folder / "config.json")["dtype"] == "bfloat16"
    golden = np.array(_json(folder / "golden.json")["vectors"])
    assert np.abs(load(folder).encode(GOLDEN_TEXTS) - golden).max() <= 1e-5
    assert refused(RequestError, embedder.save, tmp_path / "other", dtype="int8") == (
        "unknown dtype 'int8': Known: float32, bfloat16, float16"
    )


def test_rotary_settings_under_their_old_names_too(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    base = shutil.copytree(llama_folder, tmp_path / "base")
    config = _json(base / "config.json")
    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    config["rope_parameters"] = {"rope_theta": 5000.0, **scaling}
    (base / "config.json").write_text(json.dumps(config))
    embedder = load(base, template="ccw", pooling="lasttoken")
    folder = embedder.save(tmp_path / "model")
    written = _json(folder / "config.json")
    assert written["rope_theta"] == 5000.0
    assert written["rope_scaling"] == scaling
    assert written["rope_parameters"] == {"rope_theta": 5000.0, **scaling}
    assert np.abs(_standard(folder, TEXTS) - embedder.encode(TEXTS)).max() <= 1e-5
    del written["rope_parameters"]  # as a reader before transformers 5 sees it
    (folder / "config.json").write_text(json.dumps(written))
    assert np.abs(_standard(folder, TEXTS) - embedder.encode(TEXTS)).max() <= 1e-5


def test_no_scaling_is_written_where_there_is_none(saved: Path) -> None:
    config = _json(saved / "config.json")
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    assert "rope_scaling" not in config


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"template": "ccw", "pooling": "lasttoken", "layer": 2, "norm": "post", "max_tokens": 127}, None),
        ({"prompts": {"query": "q: "}}, None),  # there were none
        ({"template": "a {text}"}, "template 'a {text}' instead of 'ccw'"),
        ({"pooling": "mean:text"}, "pooling 'mean:text' instead of 'lasttoken'"),
        ({"layer": 1}, "layer 1 instead of the last"),
        ({"norm": "pre"}, "norm 'pre' instead of 'post'"),
        ({"boundary": "string"}, "template 'ccw' (boundary=string) instead of 'ccw'"),
        ({"bos": False}, "template 'ccw' (bos=False) instead of 'ccw'"),
        (
            {"max_tokens": 40, "normalize": False},
            "max_tokens 40 instead of 127, normalize False instead of True",
        ),
    ],
)
def test_a_warning_names_what_is_replaced(
    load: Load, saved: Path, said: list[str], changes: dict[str, Any], expected: str | None
) -> None:
    load(saved, **changes)
    assert said == ([f"{saved} stores how it embeds, but this uses {expected}"] if expected else [])


def test_given_settings_win_over_the_stored_ones(load: Load, saved: Path, llama_folder: Path) -> None:
    again = load(saved, template="sum", pooling="mean", max_tokens=40, normalize=False)
    fresh = load(llama_folder, template="sum", pooling="mean", max_tokens=40, normalize=False)
    np.testing.assert_allclose(again.encode(TEXTS), fresh.encode(TEXTS), atol=1e-5)
    assert again.provenance.base == str(llama_folder)
    assert load(saved, bos=False).pipeline.compiled.bos is False


def test_a_folder_on_the_hub_loads_with_its_template(load: Load, embedder: Embedder, hub_cache: Path) -> None:
    """Read from the cache of the Hub, as it is without a network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = hub_cache / "models--somebody--embedder"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    embedder.save(cached / "snapshots" / commit)
    from_hub = load("somebody/embedder")
    assert (from_hub.spec.template, from_hub.spec.pooling) == (embedder.spec.template, embedder.spec.pooling)
    assert np.abs(from_hub.encode(TEXTS) - embedder.encode(TEXTS)).max() <= 1e-5


def test_a_base_model_on_the_hub_loads_without_one(load: Load, llama_folder: Path, hub_cache: Path) -> None:
    commit = "76543210fedcba9876543210fedcba9876543210"
    cached = hub_cache / "models--somebody--base"
    shutil.copytree(llama_folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    assert load("somebody/base").spec.template == Template.parse("none")
