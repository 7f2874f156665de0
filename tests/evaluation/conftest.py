"""A labelled file, and a decoder of two layers as a plain and as a sentence-transformers folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .samples import WORDS, topic_texts


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    """A table with text, label and split: 12 training and 10 test texts of each of three topics."""
    path = tmp_path / "tickets.jsonl"
    rows = []
    for split, per_label, seed in (("train", 12, 1), ("test", 10, 2)):
        texts, labels = topic_texts(per_label, seed)
        rows += [{"text": t, "label": lab, "split": split} for t, lab in zip(texts, labels, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", "the", *[word for group in WORDS.values() for word in group]]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="session")
def decoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers and 16 dimensions with fixed weights."""
    import torch
    from transformers import LlamaConfig, LlamaModel

    folder = tmp_path_factory.mktemp("decoder")
    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sentence_folder(decoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The decoder as a sentence-transformers folder with mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path_factory.mktemp("sentence")
    SentenceTransformer(modules=[Transformer(str(decoder_folder)), Pooling(16, "mean")], device="cpu").save(
        str(folder)
    )
    return folder
