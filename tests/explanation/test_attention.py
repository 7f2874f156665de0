"""Attention of the last token: against the formulas applied to the model's own weights."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding import Embedder, EmbedderSpec, Template
from lastword.embedding.backbone import Backbone
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, RequestError
from lastword.explanation import PARTS, token_attention
from lastword.explanation.words import marked_tokens
from lastword.training.adapter import add_adapter

TEXT = "a man is driving a car"
HEADS, GROUPS, HEAD_DIM, LAYERS = 4, 2, 8, 2
MERGES = [("a", "n"), ("m", "an"), ("Ġ", "man"), ("c", "a"), ("ca", "r"), ("Ġ", "car")]


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Every byte is a token, and so are `man`, `car` and the pieces that they are merged from."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in MERGES)]
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "</s>", *pieces])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def llama(layers: int = LAYERS, dtype: torch.dtype = torch.float32) -> Backbone:
    """Weights ten times larger than usual, so that attention is far from uniform."""
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=HEADS * HEAD_DIM, num_hidden_layers=layers, num_attention_heads=HEADS,
        num_key_value_heads=GROUPS, intermediate_size=48, max_position_embeddings=128, initializer_range=0.2,
    )  # fmt: skip
    return Backbone(transformers.LlamaModel(config).to(dtype), "tiny-llama")


def tiny_embedder(backbone: Backbone | None = None, **settings: object) -> Embedder:
    spec = EmbedderSpec().changed(**{"template": "ccw", "pooling": "lasttoken", **settings})
    return Embedder(backbone or llama(), TextTokenizer(byte_tokenizer()), spec)


def rotated(states: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotary positions, pair by pair of dimensions: (heads, seq, head_dim)."""
    half = states.shape[-1] // 2
    angle = torch.arange(states.shape[1])[:, None] * base ** (-torch.arange(half) / half)
    first, second = states[..., :half], states[..., half:]
    return torch.cat(
        [first * angle.cos() - second * angle.sin(), second * angle.cos() + first * angle.sin()], dim=-1
    )


@torch.no_grad()
def by_hand(backbone: Backbone, ids: list[int]) -> Tensor:
    """Mean over heads of softmax(q kᵀ / √d) in the first layer, for the last of the tokens."""
    layer = backbone.model.layers[0]
    states = backbone.model.embed_tokens(torch.tensor(ids))
    states = states / (states.pow(2).mean(-1, keepdim=True) + backbone.model.config.rms_norm_eps).sqrt()
    queries = (states @ layer.self_attn.q_proj.weight.T).view(len(ids), HEADS, HEAD_DIM).transpose(0, 1)
    keys = (states @ layer.self_attn.k_proj.weight.T).view(len(ids), GROUPS, HEAD_DIM).transpose(0, 1)
    queries, keys = rotated(queries), rotated(keys).repeat_interleave(HEADS // GROUPS, dim=0)
    logits = torch.einsum("hd,hsd->hs", queries[:, -1], keys) / HEAD_DIM**0.5
    return logits.softmax(-1).mean(0)


@pytest.mark.parametrize("template", ["none", "ccw", "ccp"])
def test_weights_are_the_softmax_computed_by_hand(template: str) -> None:
    embedder = tiny_embedder(llama(layers=1), template=template)
    weights = torch.tensor([token.weight for token in token_attention(embedder, TEXT)])
    expected = by_hand(embedder.backbone, embedder.pipeline.tokenize([TEXT]).ids[0])
    assert weights == pytest.approx(expected, abs=1e-6)
    assert weights.max() > 2 / len(weights)  # far from uniform


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_sum_to_one(dtype: torch.dtype) -> None:
    tokens = token_attention(tiny_embedder(llama(dtype=dtype)), TEXT)
    assert sum(token.weight for token in tokens) == pytest.approx(1.0, abs=1e-12)
    assert all(0 <= token.weight <= 1 for token in tokens)


def test_weights_are_those_of_the_last_layer() -> None:
    deep = tiny_embedder()
    shallow = tiny_embedder(llama(layers=1))
    shallow.backbone.model.layers[0].load_state_dict(deep.backbone.model.layers[0].state_dict())
    shallow.backbone.model.embed_tokens.load_state_dict(deep.backbone.model.embed_tokens.state_dict())
    weights = [[token.weight for token in token_attention(model, TEXT)] for model in (deep, shallow)]
    assert weights[0] != pytest.approx(weights[1], abs=0.01)


def test_tokens_join_to_the_sequence_and_parts_follow_the_template() -> None:
    tokens = token_attention(tiny_embedder(), f"  {TEXT} ")
    assert [token.part for token in tokens] == sorted((token.part for token in tokens), key=PARTS.index)
    parts = {part: "".join(token.token for token in tokens if token.part == part) for part in PARTS}
    assert parts == {
        "bos": "<s>",
        "template": 'This sentence: "',
        "text": TEXT,
        "suffix": '" belongs to the following cluster:',
    }
    assert " man" in [token.token for token in tokens]


def test_both_copies_of_an_echo_are_text() -> None:
    tokens = token_attention(tiny_embedder(template="echo"), TEXT)
    shown = [(part, "".join(token.token for token in own)) for part, own in groupby(tokens, lambda t: t.part)]
    assert shown[1:] == [
        ("template", "Rewrite the sentence: "), ("text", TEXT), ("template", ", rewritten sentence: "), ("text", TEXT),
    ]  # fmt: skip
    content = [
        token.content for token in marked_tokens(tiny_embedder(template="echo"), TEXT, frozenset({"a"}))
    ]
    assert sum(content) % 2 == 0
    assert any(content)


def test_no_template_and_no_begin_of_text() -> None:
    tokens = token_attention(tiny_embedder(template=Template.parse("none", bos=False)), TEXT)
    assert {token.part for token in tokens} == {"text"}
    assert sum(token.weight for token in tokens) == pytest.approx(1.0)


def test_eos_pooling_reads_from_the_appended_token() -> None:
    tokens = token_attention(tiny_embedder(pooling="eos"), TEXT)
    assert (tokens[-1].token, tokens[-1].part) == ("</s>", "suffix")


def test_boundary_string_keeps_the_parts() -> None:
    tokens = token_attention(tiny_embedder(template=Template.parse("ccw", boundary="string")), TEXT)
    assert "".join(token.token for token in tokens if token.part == "text") == TEXT


def test_long_text_is_truncated_and_the_suffix_is_complete() -> None:
    tokens = token_attention(tiny_embedder(), "car " * 200)
    assert len(tokens) == 127
    assert (
        "".join(token.token for token in tokens if token.part == "suffix")
        == '" belongs to the following cluster:'
    )


def test_a_character_of_several_tokens_belongs_to_the_last() -> None:
    tokens = [token.token for token in token_attention(tiny_embedder(template="none"), "né 日🚲!")]
    assert tokens == ["<s>", "n", "", "é", " ", "", "", "日", "", "", "", "🚲", "!"]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_implementation_is_restored(implementation: str) -> None:
    embedder = tiny_embedder()
    embedder.backbone.model.set_attn_implementation(implementation)
    before = embedder.encode([TEXT])
    token_attention(embedder, TEXT)
    assert embedder.backbone.model.config._attn_implementation == implementation
    np.testing.assert_allclose(embedder.encode([TEXT]), before, atol=1e-6)


def test_model_without_attention_weights_is_refused() -> None:
    config = transformers.Lfm2Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, layer_types=["full_attention", "conv"],
    )  # fmt: skip
    embedder = tiny_embedder(Backbone(transformers.Lfm2Model(config), "half-conv"))
    with pytest.raises(ModelError) as caught:
        token_attention(embedder, TEXT)
    assert str(caught.value) == (
        "half-conv returns attention weights for 1 of 2 layers: use a model whose layers all have softmax attention"
    )
    assert embedder.backbone.model.config._attn_implementation == "sdpa"


def test_a_text_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(RequestError, match="text 0 is int, not str: give texts as strings"):
        token_attention(tiny_embedder(), 7)  # type: ignore[arg-type]


def test_adapter_in_the_model_changes_the_weights() -> None:
    embedder = tiny_embedder()
    before = [token.weight for token in token_attention(embedder, TEXT)]
    parameters = add_adapter(embedder.backbone.model, TrainConfig(rank=2, alpha=2.0, dropout=0.0))
    embedder.backbone.model.eval()
    assert [token.weight for token in token_attention(embedder, TEXT)] == pytest.approx(before, abs=1e-6)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter))
    assert [token.weight for token in token_attention(embedder, TEXT)] != pytest.approx(before, abs=1e-3)
