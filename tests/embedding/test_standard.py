"""A sentence-transformers folder embeds as it does there: made and read by plain sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import LayerNorm, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, processors

from lastword.embedding import Embedder, Template
from lastword.errors import ModelError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
TEXTS = [
    "a man is driving a car", "She left.", "  outer white space \n", '"a quoted" word', "word",
    "Größe, 東京, مرحبا", "goes on and on, " * 100,
]  # fmt: skip
DIM = 32
PROMPTS = {"query": "the question: ", "passage": "the text: ", "other": "Cluster: "}


@pytest.fixture
def standard(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder with sentence-transformers."""

    def standard(
        base: Path,
        pooling: Any = "mean",
        *,
        normalize: bool = False,
        special: tuple[str, str] = ("", ""),
        include_prompt: bool = True,
        further: tuple[Any, ...] = (),
        transformer: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Path:
        source = shutil.copytree(base, tmp_path / "source")
        _add_special_tokens(source, *special)
        modules = [
            Transformer(str(source), **(transformer or {})),
            Pooling(DIM, pooling, include_prompt=include_prompt),
            *further,
            *([Normalize()] * normalize),
        ]
        SentenceTransformer(modules=modules, device="cpu", **settings).save(str(tmp_path / "standard"))
        return tmp_path / "standard"

    return standard


def _add_special_tokens(folder: Path, before: str, after: str) -> None:
    """Let the tokenizer put tokens around every text."""
    if before or after:
        backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokens = [(token, backend.token_to_id(token)) for token in {before, after} if token]
        backend.post_processor = processors.TemplateProcessing(
            single=" ".join(filter(None, (before, "$A", after))), special_tokens=tokens
        )
        backend.save(str(folder / "tokenizer.json"))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lasttoken, EOS": ("llama", {"pooling": "lasttoken", "special": ("<s>", "</s>"), "normalize": True}),
    "lasttoken, EOS alone": ("llama", {"pooling": "lasttoken", "special": ("", "</s>")}),
    "lasttoken, another token": ("qwen", {"pooling": "lasttoken", "special": ("", "<|endoftext|>")}),
    "lasttoken, EOS, qwen": ("qwen", {"pooling": "lasttoken", "special": ("", "<|im_end|>"), "normalize": True}),
    "mean, EOS": ("llama", {"special": ("<s>", "</s>")}),
    "mean, normalised": ("llama", {"normalize": True}),
    "mean, not normalised": ("qwen", {}),
    "mean by root of length, normalised": ("llama", {"pooling": "mean_sqrt_len_tokens", "normalize": True}),
    "weightedmean": ("llama", {"pooling": "weightedmean"}),
    "max": ("qwen", {"pooling": "max"}),
    "cls": ("llama", {"pooling": "cls"}),
    "prompts": ("llama", {"prompts": PROMPTS, "normalize": True}),
    "prompts, lasttoken, not pooled": (
        "llama", {"pooling": "lasttoken", "special": ("<s>", "</s>"), "prompts": PROMPTS, "include_prompt": False},
    ),
    "empty prompts, not pooled": ("llama", {"prompts": {"query": "", "document": ""}, "include_prompt": False}),
    "short": ("llama", {"transformer": {"max_seq_length": 12}, "special": ("<s>", "</s>"), "pooling": "lasttoken"}),
}  # fmt: skip


def _vectors_agree(embedder: Embedder, model: SentenceTransformer) -> None:
    for own, others in (
        (embedder.encode, model.encode),
        (embedder.encode_query, model.encode_query),
        (embedder.encode_document, model.encode_document),
    ):
        expected = others(TEXTS)
        assert np.abs(own(TEXTS) - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
    for name in model.prompts:
        np.testing.assert_allclose(
            embedder.encode(TEXTS, prompt_name=name), model.encode(TEXTS, prompt_name=name), atol=1e-4
        )


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_sentence_transformers(
    load: Load,
    standard: Callable[..., Path],
    request: pytest.FixtureRequest,
    said: list[str],
    tmp_path: Path,
    case: str,
) -> None:
    base, settings = CASES[case]
    folder = standard(request.getfixturevalue(f"{base}_folder"), **settings)
    model, embedder = SentenceTransformer(str(folder), device="cpu"), load(folder)
    assert not [line for line in said if "truncated to" not in line]
    assert embedder.pipeline.max_tokens == model.max_seq_length
    _vectors_agree(embedder, model)
    again = load(embedder.save(tmp_path / "saved"))
    _vectors_agree(again, model)


@pytest.mark.parametrize(
    "mode", ["mean_tokens", "lasttoken", "weightedmean_tokens", "max_tokens", "cls_token"]
)
def test_the_old_spelling_of_the_pooling(
    load: Load, standard: Callable[..., Path], llama_folder: Path, mode: str
) -> None:
    folder = standard(llama_folder, special=("<s>", "</s>"))
    old = {"word_embedding_dimension": DIM, "pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": 40, "do_lower_case": False})
    )
    _vectors_agree(load(folder), SentenceTransformer(str(folder), device="cpu"))


def test_a_folder_of_lastword_without_its_own_file(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    """Template, length and white space are read from what sentence-transformers reads."""
    embedder = load(llama_folder, template="sum", pooling="eos", max_tokens=60)
    folder = embedder.save(tmp_path / "saved")
    (folder / "lastword.json").unlink()
    again = load(folder)
    assert again.spec.template == Template(
        "custom", 'This sentence: "', '" can be summarized as', bos=True, eos=True
    )
    np.testing.assert_allclose(again.encode(TEXTS), embedder.encode(TEXTS), atol=1e-5)


def test_a_folder_on_the_hub(
    load: Load, standard: Callable[..., Path], llama_folder: Path, hub_cache: Path
) -> None:
    """Read from the cache of the Hub, as it is without a network."""
    folder = standard(llama_folder, "lasttoken", special=("<s>", "</s>"), prompts=PROMPTS)
    commit = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c"
    cached = hub_cache / "models--somebody--standard"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    _vectors_agree(load("somebody/standard"), SentenceTransformer(str(folder), device="cpu"))


REFUSED: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "Dense": ({"further": (Dense(DIM, 8),)}, "its modules are Transformer, Pooling, Dense", {}),
    "LayerNorm": ({"further": (LayerNorm(DIM),)}, "its modules are Transformer, Pooling, LayerNorm", {}),
    "two poolings": (
        {"pooling": ("mean", "mean_sqrt_len_tokens")},
        "it pools by mean and mean_sqrt_len_tokens; lastword knows each of mean", {"pooling": "mean"},
    ),
    "root of length": ({"pooling": "mean_sqrt_len_tokens"}, "it pools by mean_sqrt_len_tokens", {"pooling": "max"}),
    "prompt not pooled": (
        {"prompts": PROMPTS, "include_prompt": False}, "it leaves the prompt's tokens out of its pooling",
        {"pooling": "mean"},
    ),
    "default prompt": (
        {"prompts": PROMPTS, "default_prompt_name": "query"}, "it puts its prompt 'query' before texts without one",
        {"prompts": {}},
    ),
    "fewer dimensions": ({"truncate_dim": 8}, "it truncates vectors to 8 dimensions", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_lastword_cannot_do_is_refused(
    load: Load,
    standard: Callable[..., Path],
    llama_folder: Path,
    refused: Refused,
    said: list[str],
    case: str,
) -> None:
    settings, reason, instead = REFUSED[case]
    folder = standard(llama_folder, **settings)
    message = refused(ModelError, load, folder)
    assert message.startswith(
        f"{folder} is a sentence-transformers model that lastword cannot reproduce: {reason}"
    )
    assert f"sentence-transformers:{folder}" in message
    for argument in instead:
        assert f"pass {argument}=… to replace that" in message
    if instead:
        load(folder, **instead)


def test_a_chat_template_around_texts_is_refused(
    load: Load, standard: Callable[..., Path], llama_folder: Path, refused: Refused, tmp_path: Path
) -> None:
    base = shutil.copytree(llama_folder, tmp_path / "base")
    settings = json.loads((base / "tokenizer_config.json").read_text())
    settings["chat_template"] = "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}"
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    folder = standard(base)
    assert "its chat template is put around every text" in refused(ModelError, load, folder)
    assert load(folder, template="sum").spec.template.name == "sum"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"do_lower_case": True}, "sentence_bert_config.json sets do_lower_case"),
        ({"query_length": 16}, "sentence_bert_config.json sets query_length"),
        ({"config_args": {"is_causal": False}}, "sentence_bert_config.json sets is_causal"),
        ({"transformer_task": "text-generation"}, "it does not pool the last hidden states"),
    ],
)
def test_settings_of_the_transformer_that_change_vectors_are_refused(
    load: Load,
    standard: Callable[..., Path],
    llama_folder: Path,
    refused: Refused,
    settings: dict[str, Any],
    reason: str,
) -> None:
    folder = standard(llama_folder)
    harmless = {"max_seq_length": 40, "do_lower_case": False, "model_args": {"torch_dtype": "float32"}}
    (folder / "sentence_bert_config.json").write_text(json.dumps(harmless))
    assert load(folder).pipeline.max_tokens == 40
    (folder / "sentence_bert_config.json").write_text(json.dumps(harmless | settings))
    assert reason in refused(ModelError, load, folder)


def test_other_modules_and_models_are_refused(
    load: Load, standard: Callable[..., Path], llama_folder: Path, refused: Refused
) -> None:
    folder = standard(llama_folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "pooling.MyPooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "its module pooling.MyPooling is code of its own" in refused(ModelError, load, folder)
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    settings["model_type"] = "SparseEncoder"
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings))
    assert "it is a SparseEncoder" in refused(ModelError, load, folder)
    (folder / "modules.json").write_text('[{"idx": 0}]')
    assert f"{folder}: its sentence-transformers files are damaged: KeyError" in refused(
        ModelError, load, folder
    )


def test_truncation_at_the_beginning(
    load: Load, standard: Callable[..., Path], llama_folder: Path, said: list[str]
) -> None:
    folder = standard(llama_folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"truncation_side": "left"}))
    load(folder)
    assert said == [f"{folder} truncates long texts at their beginning; lastword does it at their end"]


def test_a_warning_names_what_is_replaced(
    load: Load, standard: Callable[..., Path], llama_folder: Path, said: list[str]
) -> None:
    folder = standard(llama_folder, "lasttoken", special=("<s>", "</s>"), prompts=PROMPTS)
    load(folder, template="sum", pooling="mean", normalize=True, max_tokens=60, prompts={"query": "q: "})
    assert said == [
        f"{folder} stores how it embeds, but this uses template 'sum' instead of 'none' (bos=True, eos=True), "
        "pooling 'mean' instead of 'lasttoken', max_tokens 60 instead of 128, normalize True instead of False, "
        f"prompts {{'query': 'q: '}} instead of {dict(sorted((PROMPTS | {'document': ''}).items()))}"
    ]


@pytest.mark.parametrize(("special", "tokens"), [(("", "</s>"), "</s>"), (("<pad>", ""), "<pad>")])
def test_a_base_model_whose_tokenizer_adds_more_than_a_beginning(
    load: Load, llama_folder: Path, said: list[str], tmp_path: Path, special: tuple[str, str], tokens: str
) -> None:
    """Not a sentence-transformers folder: the template decides, and a warning says what it leaves out."""
    base = shutil.copytree(llama_folder, tmp_path / "base")
    _add_special_tokens(base, *special)
    load(base)
    assert said == [f"{base}: its tokenizer puts {tokens} around a text; template 'none' does not"]
    said.clear()
    if tokens == "</s>":
        load(base, pooling="eos")
        assert said == []
