"""What all tests share: no network, no surprises from outside, and tiny models with fixed weights.

The models are as small as models get, and their weights are large: attention is far from uniform and
the final norm far from neutral, so whatever ought to matter for a vector does.
"""

from __future__ import annotations

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported, so it comes before the imports
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="lastword-tests-")  # nobody's cache but the tests' own
os.environ["LASTWORD_CACHE"] = os.environ["HF_HOME"] + "/lastword"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:  # one process for each core: more threads would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("HF_TOKEN", None)
os.environ.pop("HF_ENDPOINT", None)
os.environ.pop("TRANSFORMERS_VERBOSITY", None)

import atexit
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub import constants
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from lastword.embedding import Embedder, device
from tests.samples import FEW_REPETITIONS, WORDS

atexit.register(shutil.rmtree, os.environ["HF_HOME"], ignore_errors=True)

# The same precision on every processor, float32 where a test asks for none; commands read it from the cache.
with pytest.MonkeyPatch.context() as patched:
    patched.setattr(device, "_measured_bfloat16_is_faster", lambda: False)
    device._bfloat16_is_faster()

# The same examples in every run, no time limit for one, no files left behind.
settings.register_profile("lastword", derandomize=True, deadline=None, database=None)
settings.load_profile("lastword")

SENTENCES = (
    "a man is driving a car and a cat is sleeping on it",
    'This sentence: "the river was low" means in one word:',
    'This sentence: "she sold the house" belongs to the following cluster:',
    "After thinking step by step, the cluster of the text can be summarized as this.",
    "Prices: $1,299.00 (was 1.499,00), said the seller, and left.",
    "The quick brown fox jumps over the lazy dog. A long text goes on and is cut where it ends.",
    '"The end." "She left." "It was low." "A car." "A cat." "So it ends." "Or not?" "Is it?" "Was it?"',
    "Größe, naïve café, 東京, Привет, مرحبا, rocket 🚀",
)
DIM, LAYERS, POSITIONS = 32, 2, 128
SHAPE = {
    "hidden_size": DIM,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": POSITIONS,
}


@pytest.fixture(scope="session")
def models_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def llama_folder(models_root: Path) -> Path:
    """A Llama whose tokenizer begins every sequence with <s>, and has </s> and <pad>."""
    config = transformers.LlamaConfig(**SHAPE, num_key_value_heads=2, vocab_size=400)
    tokenizer = _bpe(["<s>", "</s>", "<pad>"])
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", bos)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    folder = models_root / "tiny-llama"
    return _write(folder, transformers.LlamaForCausalLM, config, tokenizer, special, seed=1)


@pytest.fixture(scope="session")
def qwen_folder(models_root: Path) -> Path:
    """A Qwen3 with its own kind of tokenizer: NFC, no begin-of-text token."""
    config = transformers.Qwen3Config(**SHAPE, num_key_value_heads=2, head_dim=8, vocab_size=400)
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    tokenizer = _bpe(list(special.values()))
    tokenizer.normalizer = normalizers.NFC()
    special["tokenizer_class"] = "Qwen2Tokenizer"
    folder = models_root / "tiny-qwen3"
    return _write(folder, transformers.Qwen3ForCausalLM, config, tokenizer, special, seed=2)


@pytest.fixture(scope="session")
def gpt2_folder(models_root: Path) -> Path:
    """A GPT-2: learned positions, one token for beginning and end, none for padding."""
    config = transformers.GPT2Config(
        n_embd=DIM, n_layer=LAYERS, n_head=4, n_positions=POSITIONS, vocab_size=400, tie_word_embeddings=True
    )
    special = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    tokenizer = _bpe(["<|endoftext|>"])
    folder = models_root / "tiny-gpt2"
    return _write(folder, transformers.GPT2LMHeadModel, config, tokenizer, special, seed=3)


@pytest.fixture(scope="session")
def bert_folder(models_root: Path) -> Path:
    """An encoder, whose tokens see later ones: to be refused."""
    config = transformers.BertConfig(**SHAPE, vocab_size=400)
    special = {"pad_token": "<pad>"}
    folder = models_root / "tiny-bert"
    return _write(folder, transformers.BertModel, config, _bpe(["<pad>"]), special, seed=4)


@pytest.fixture(scope="session")
def t5_folder(models_root: Path) -> Path:
    """The configuration of an encoder-decoder: to be refused before any weights are looked for."""
    folder = models_root / "tiny-t5"
    transformers.T5Config(d_model=DIM, num_layers=LAYERS, vocab_size=400).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def load(llama_folder: Path) -> Callable[..., Embedder]:
    """Load the tiny Llama, or another folder, in float32 on the CPU; the rest as `from_pretrained` has it."""

    def load(folder: Path = llama_folder, **settings: Any) -> Embedder:
        return Embedder.from_pretrained(folder, **{"dtype": "float32", "device": "cpu", **settings})

    return load


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Call something that must raise; gives the message."""

    def refused(kind: type[Exception], call: Callable[..., Any], *args: Any, **settings: Any) -> str:
        with pytest.raises(kind) as caught:
            call(*args, **settings)
        assert type(caught.value) is kind
        return str(caught.value)

    return refused


@pytest.fixture(scope="module")
def few_repetitions() -> Iterator[None]:
    """Fewer bootstraps, starts and halves in each score: k-means takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for path, value in FEW_REPETITIONS.items():
            patch.setattr(path, value)
        yield


@pytest.fixture(scope="session")
def hub_cache() -> Path:
    """Where models from the Hub would lie, in folders such as models--owner--name."""
    return Path(constants.HF_HUB_CACHE)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What lastword says during the test, line by line."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("lastword")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Public text for measurement, which is no part of the project."""
    folder = Path(os.environ.get("LASTWORD_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set LASTWORD_DATA to a folder that has it")
    return folder


def _bpe(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _write(
    folder: Path, kind: Any, config: Any, tokenizer: Tokenizer, special: dict[str, str], seed: int
) -> Path:
    for name in ("bos_token", "eos_token", "pad_token"):
        setattr(config, f"{name}_id", tokenizer.token_to_id(special[name]) if name in special else None)
    model = kind(config)
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            center, width = (1.0, 0.3) if "norm" in name or "ln_" in name else (0.0, 0.25)
            values = draw.normal(center, width, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(np.float32)))
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def _word_tokenizer() -> Any:
    """Whole words of the sample texts as tokens."""
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
    tokenizer = _word_tokenizer()
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
