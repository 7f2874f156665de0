"""The tokenizer on its own: white space, normalizers, padding, positions of characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import transformers
from tokenizers import AddedToken, normalizers

from lastword.embedding.tokenizer import TextTokenizer, keeps_normalizer
from lastword.errors import ModelError


def test_outer_white_space_is_removed_unless_it_is_to_be_kept(llama_folder: Path) -> None:
    tokenizer, keeping = (TextTokenizer.load(llama_folder, **some) for some in ({}, {"strip": False}))
    ids = tokenizer.part_ids("a car")
    assert tokenizer.text_ids([" a car \n"]) == TextTokenizer(tokenizer.hf).text_ids([" a car \n"]) == [ids]
    assert keeping.text_ids([" a car \n"]) == [keeping.part_ids(" a car \n")] != [ids]


def test_white_space_that_is_a_token_is_kept(llama_folder: Path) -> None:
    hf: Any = transformers.AutoTokenizer.from_pretrained(llama_folder)
    hf.add_tokens([AddedToken("   ", normalized=True)])
    tokenizer = TextTokenizer(hf)
    assert tokenizer.text_ids(["   a car"]) == [tokenizer.part_ids("   a car")]


def test_normalizers_of_the_model_itself_are_kept(llama_folder: Path) -> None:
    hf: Any = transformers.AutoTokenizer.from_pretrained(llama_folder)
    hf.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.NFC()])
    tokenizer = TextTokenizer(hf)
    assert tokenizer.part_ids(" A Car") == tokenizer.part_ids(" a car")
    assert tokenizer.text_ids([" A Car"]) == [tokenizer.part_ids("a car")]


def test_padding_uses_the_first_special_token_that_there_is(llama_folder: Path, gpt2_folder: Path) -> None:
    llama, gpt2 = TextTokenizer.load(llama_folder), TextTokenizer.load(gpt2_folder)
    assert llama.pad_id == llama.hf.pad_token_id != llama.eos_id
    assert gpt2.hf.pad_token_id is None
    assert gpt2.pad_id == gpt2.eos_id is not None


@pytest.mark.parametrize("attributes", [{}, {"is_fast": False}])
def test_a_tokenizer_without_tokenizer_json_is_refused(
    attributes: dict[str, bool], refused: Callable[..., str]
) -> None:
    assert refused(ModelError, TextTokenizer, SimpleNamespace(name_or_path="old", **attributes)) == (
        "old has no tokenizer.json: lastword needs a fast tokenizer"
    )


def test_each_id_of_a_text_stands_for_characters_of_it(llama_folder: Path) -> None:
    tokenizer, text = TextTokenizer.load(llama_folder), "  a car, on the river "
    (offsets,), (ids,) = tokenizer.text_offsets([text]), tokenizer.text_ids([text])
    assert len(offsets) == len(ids)
    assert [text[start:end] for start, end in offsets] == [tokenizer.hf.decode([i]) for i in ids]


@pytest.mark.parametrize(("kind", "kept"), [("llama", True), ("qwen2", False)])
def test_some_models_get_normalizers_of_their_own(kind: str, kept: bool) -> None:
    assert keeps_normalizer(transformers.AutoConfig.for_model(kind)) is kept
