"""Attention of the last token: against the model's own weights, taken through the formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor

from lastword.config import TrainConfig
from lastword.embedding import Embedder, Template
from lastword.embedding.backbone import Backbone
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, RequestError
from lastword.explanation import PARTS, token_attention
from lastword.training.adapter import add_adapter

TEXT = "a man is driving a car"
HEADS, GROUPS, HEAD_DIM, LAYERS = 4, 2, 8, 2
MERGES = [("a", "n"), ("m", "an"), ("Ġ", "man"), ("c", "a"), ("ca", "r"), ("Ġ", "car")]


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Every byte is a token, and so are `man`, `car` and what leads to them."""
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(left + right for left, right in MERGES)]
    vocabulary = {piece: place for place, piece in enumerate(["<s>", "</s>", *pieces])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def llama(layers: int = LAYERS, dtype: torch.dtype = torch.float32) -> Backbone:
    """Weights ten times the usual size, so that attention is far from uniform."""
    torch.manual_seed(7)
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=HEADS * HEAD_DIM, num_hidden_layers=layers, num_attention_heads=HEADS,
        num_key_value_heads=GROUPS, intermediate_size=48, max_position_embeddings=128, initializer_range=0.2,
    )  # fmt: skip
    return Backbone(transformers.LlamaModel(config).to(dtype), "tiny-llama")


def embedder(backbone: Backbone | None = None, **settings: object) -> Embedder:
    return Embedder(
        backbone or llama(),
        TextTokenizer(byte_tokenizer()),
        **{"template": "ccw", "pooling": "lasttoken", **settings},
    )


def rotated(states: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotary positions, pair by pair of dimensions: (heads, seq, head_dim)."""
    half = states.shape[-1] // 2
    angle = torch.arange(states.shape[1])[:, None] * base ** (-torch.arange(half) / half)
    one, other = states[..., :half], states[..., half:]
    return torch.cat(
        [one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()], dim=-1
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
    subject = embedder(llama(layers=1), template=template)
    found = torch.tensor([token.weight for token in token_attention(subject, TEXT)])
    wanted = by_hand(subject.backbone, subject.tokenize([TEXT]).ids[0])
    assert found == pytest.approx(wanted, abs=1e-6)
    assert found.max() > 2 / len(found)  # not the uniform weights that any softmax could give


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_sum_to_one(dtype: torch.dtype) -> None:
    found = token_attention(embedder(llama(dtype=dtype)), TEXT)
    assert sum(token.weight for token in found) == pytest.approx(1.0, abs=1e-12)
    assert all(0 <= token.weight <= 1 for token in found)


def test_weights_are_those_of_the_last_layer() -> None:
    deep = embedder()
    shallow = embedder(llama(layers=1))
    shallow.backbone.model.layers[0].load_state_dict(deep.backbone.model.layers[0].state_dict())
    shallow.backbone.model.embed_tokens.load_state_dict(deep.backbone.model.embed_tokens.state_dict())
    weights = [[token.weight for token in token_attention(one, TEXT)] for one in (deep, shallow)]
    assert weights[0] != pytest.approx(weights[1], abs=0.01)


def test_tokens_join_to_the_sequence_and_parts_follow_the_template() -> None:
    found = token_attention(embedder(), f"  {TEXT} ")
    assert [token.part for token in found] == sorted((token.part for token in found), key=PARTS.index)
    parts = {part: "".join(token.token for token in found if token.part == part) for part in PARTS}
    assert parts == {
        "bos": "<s>",
        "template": 'This sentence: "',
        "text": TEXT,
        "suffix": '" belongs to the following cluster:',
    }
    assert " man" in [token.token for token in found]


def test_no_template_and_no_begin_of_text() -> None:
    found = token_attention(embedder(template=Template.parse("none", bos=False)), TEXT)
    assert {token.part for token in found} == {"text"}
    assert sum(token.weight for token in found) == pytest.approx(1.0)


def test_eos_pooling_reads_from_the_appended_token() -> None:
    found = token_attention(embedder(pooling="eos"), TEXT)
    assert (found[-1].token, found[-1].part) == ("</s>", "suffix")


def test_boundary_string_keeps_the_parts() -> None:
    found = token_attention(embedder(template=Template.parse("ccw", boundary="string")), TEXT)
    assert "".join(token.token for token in found if token.part == "text") == TEXT


def test_long_text_is_cut_and_the_suffix_is_whole() -> None:
    found = token_attention(embedder(), "car " * 200)
    assert len(found) == 127
    assert (
        "".join(token.token for token in found if token.part == "suffix")
        == '" belongs to the following cluster:'
    )


def test_character_of_several_tokens_stands_at_the_last() -> None:
    found = [token.token for token in token_attention(embedder(template="none"), "né 日🚲!")]
    assert found == ["<s>", "n", "", "é", " ", "", "", "日", "", "", "", "🚲", "!"]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_implementation_is_restored(implementation: str) -> None:
    subject = embedder()
    subject.backbone.model.set_attn_implementation(implementation)
    before = subject.encode([TEXT])
    token_attention(subject, TEXT)
    assert subject.backbone.model.config._attn_implementation == implementation
    np.testing.assert_allclose(subject.encode([TEXT]), before, atol=1e-6)


def test_model_without_attention_weights_is_refused() -> None:
    config = transformers.Lfm2Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, layer_types=["full_attention", "conv"],
    )  # fmt: skip
    subject = embedder(Backbone(transformers.Lfm2Model(config), "half-conv"))
    with pytest.raises(ModelError) as caught:
        token_attention(subject, TEXT)
    assert str(caught.value) == (
        "half-conv gives attention weights for 1 of 2 layers: use a model whose layers all have softmax attention"
    )
    assert subject.backbone.model.config._attn_implementation == "sdpa"


def test_what_is_no_string_is_refused() -> None:
    with pytest.raises(RequestError, match="text 0 is int, not str: give texts as strings"):
        token_attention(embedder(), 7)  # type: ignore[arg-type]


def test_adapter_in_the_model_changes_the_weights() -> None:
    subject = embedder()
    before = [token.weight for token in token_attention(subject, TEXT)]
    parameters = add_adapter(subject.backbone.model, TrainConfig(rank=2, alpha=2.0, dropout=0.0))
    subject.backbone.model.eval()
    assert [token.weight for token in token_attention(subject, TEXT)] == pytest.approx(before, abs=1e-6)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter))
    assert [token.weight for token in token_attention(subject, TEXT)] != pytest.approx(before, abs=1e-3)
