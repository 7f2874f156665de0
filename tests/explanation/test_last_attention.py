"""Attention of the last token in every layer and head: against transformers, one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from lastword.embedding import Embedder, EmbedderSpec
from lastword.embedding.backbone import Backbone
from lastword.errors import RequestError
from lastword.explanation import token_attention
from lastword.explanation.attention import last_attention
from lastword.explanation.shares import KINDS, attention_shares
from lastword.explanation.words import content_tokens
from lastword.stopwords import english_stop_words

Load = Callable[..., Embedder]
TEXTS = [
    "a man is driving a car",
    "the river was low",
    "Größe, naïve café, 東京, rocket 🚀",
    "she sold the house and left, and the quick brown fox jumps over the lazy dog again and again",
    "it is what it is",
    "!?",
]


@torch.no_grad()
def reference_attention(embedder: Embedder, text: str) -> torch.Tensor:
    """(layers, heads, seq) from a model loaded by transformers, with a batch of one."""
    model = transformers.AutoModel.from_pretrained(
        embedder.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    model.config.is_causal = embedder.spec.attention == "causal"
    ids = torch.tensor(embedder.pipeline.tokenize([text]).ids)
    attentions = model(input_ids=ids, output_attentions=True).attentions
    return torch.stack([layer[0, :, -1] for layer in attentions]).double()


def batched(embedder: Embedder, texts: Sequence[str], batch_tokens: int) -> list[torch.Tensor]:
    sequences = embedder.pipeline.tokenize(texts)
    by_row: dict[int, torch.Tensor] = {}
    for batch in embedder.pipeline.batches(sequences, batch_tokens):
        weights = last_attention(embedder, batch)
        for i, (row, length) in enumerate(zip(batch.rows, batch.lengths, strict=True)):
            assert weights[:, i, :, length:].abs().sum() == 0
            by_row[row] = weights[:, i, :, :length]
    return [by_row[row] for row in range(len(texts))]


@pytest.mark.parametrize("model", ["llama_folder", "qwen_folder", "gpt2_folder"])
@pytest.mark.parametrize("pooling", ["lasttoken", "eos"])
def test_weights_are_those_of_the_stock_model(
    model: str, pooling: str, load: Load, request: pytest.FixtureRequest
) -> None:
    embedder = load(request.getfixturevalue(model), template="ccw", pooling=pooling)
    for text, weights in zip(TEXTS, batched(embedder, TEXTS, 4096), strict=True):
        torch.testing.assert_close(weights, reference_attention(embedder, text), atol=2e-6, rtol=1e-4)
        assert weights.sum(-1).numpy() == pytest.approx(np.ones(weights.shape[:2]), abs=1e-12)


def test_bidirectional_attention(load: Load) -> None:
    causal = load(template="ccw", pooling="mean")
    both = causal.variant(attention="bidirectional")
    for text, seen, whole in zip(
        TEXTS, batched(causal, TEXTS, 4096), batched(both, TEXTS, 4096), strict=True
    ):
        torch.testing.assert_close(seen[0], whole[0], atol=2e-6, rtol=1e-4)  # the last token sees all in both
        torch.testing.assert_close(whole, reference_attention(both, text), atol=2e-6, rtol=1e-4)
    assert (seen[1] - whole[1]).abs().max() > 1e-4


@given(order=st.permutations(range(len(TEXTS))), batch_tokens=st.sampled_from([1, 50, 90, 4096]))
def test_batch_mates_and_order_change_nothing(load: Load, order: list[int], batch_tokens: int) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    alone = batched(embedder, TEXTS, 1)
    together = batched(embedder, [TEXTS[row] for row in order], batch_tokens)
    for i, row in enumerate(order):
        torch.testing.assert_close(together[i], alone[row], atol=2e-6, rtol=1e-4)


def test_token_attention_is_the_last_layer(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    for text, weights in zip(TEXTS, batched(embedder, TEXTS, 4096), strict=True):
        tokens = [token.weight for token in token_attention(embedder, text)]
        assert tokens == pytest.approx(weights[-1].mean(0).tolist(), abs=2e-6)


def test_the_fused_forward_path_is_available_afterwards(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    before = embedder.backbone.path
    token_attention(embedder, TEXTS[0])
    assert embedder.backbone.path == before == "fused"
    assert not any(module._forward_hooks for module in embedder.backbone.model.modules())


def test_layers_above_the_pooled_one_are_left_out(load: Load) -> None:
    whole = load(template="ccw", pooling="lasttoken")
    lower = whole.variant(layer=1)
    (weights,) = batched(lower, TEXTS[:1], 4096)
    assert len(weights) == 1
    torch.testing.assert_close(weights, batched(whole, TEXTS[:1], 4096)[0][:1])
    with pytest.raises(RequestError) as caught:
        token_attention(whole.variant(layer=0), TEXTS[0])
    assert str(caught.value) == (
        "layer=0: the token embeddings come before all attention; use layer 1 or higher"
    )


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (transformers.BloomModel, transformers.BloomConfig(hidden_size=32, n_layer=2, n_head=4)),
        (
            transformers.GPTNeoModel,  # one attention module wraps another
            transformers.GPTNeoConfig(
                hidden_size=32,
                num_layers=2,
                num_heads=4,
                attention_types=[[["global", "local"], 1]],
                max_position_embeddings=128,
            ),
        ),
    ],
)
def test_older_model_classes_get_the_option_output_attentions(model: Any, config: Any, load: Load) -> None:
    config.vocab_size, config.initializer_range = 400, 0.2
    torch.manual_seed(0)
    embedder = Embedder(
        Backbone(model(config), "tiny-older"),
        load().pipeline.tokenizer,
        EmbedderSpec().changed(template="ccw"),
    )
    assert not getattr(embedder.backbone.model, "_can_record_outputs", None)
    weights = [token.weight for token in token_attention(embedder, TEXTS[0])]
    with embedder.backbone.attention("eager"), torch.no_grad():
        ids = torch.tensor(embedder.pipeline.tokenize(TEXTS[:1]).ids)
        expected = embedder.backbone.model(ids, output_attentions=True).attentions[-1][0, :, -1].mean(0)
    assert weights == pytest.approx(expected.tolist(), abs=1e-6)
    assert max(weights) > 1.5 / len(weights)


def shares_by_loops(embedder: Embedder, text: str) -> dict[str, np.ndarray]:
    """Shares of a text by loops over tokens, for every layer."""
    weights = reference_attention(embedder, text).numpy()
    (start, end), length = embedder.pipeline.tokenize([text]).spans[0], weights.shape[-1]
    (content,) = content_tokens(embedder, [text], english_stop_words())
    kinds = []
    for i in range(length):
        if i == length - 1:
            kinds.append("itself")
        elif i == 0 and embedder.pipeline.compiled.bos:
            kinds.append("bos")
        elif i < start:
            kinds.append("template")
        elif i >= end:
            kinds.append("suffix")
        else:
            kinds.append("content" if content[i - start] else "other")
    by_kind = np.array([[sum(w for w, k in zip(row, kinds, strict=True) if k == kind) for kind in KINDS]
                       for row in weights.mean(1)])  # fmt: skip
    rest = [i for i, kind in enumerate(kinds) if kind not in ("bos", "itself")]
    remaining = weights.mean(1)[:, rest]
    remaining = remaining / remaining.sum(1, keepdims=True)
    words = [kinds[i] == "content" for i in rest]
    balance = np.exp(-(remaining * np.log(remaining)).sum(1)) / len(rest)
    if len(rest) < 2:
        balance = np.full(len(weights), np.nan)
    on_words = remaining[:, words].sum(1) if any(words) else np.full(len(weights), np.nan)
    return {"kinds": by_kind, "content": on_words, "balance": balance, "uniform": np.array(np.mean(words))}


@pytest.mark.parametrize("template", ["ccw", "none"])
@pytest.mark.parametrize("model", ["llama_folder", "qwen_folder"])
def test_shares_equal_those_of_loops_over_tokens(
    model: str, template: str, load: Load, request: pytest.FixtureRequest
) -> None:
    embedder = load(request.getfixturevalue(model), template=template, pooling="lasttoken")
    shares = attention_shares(embedder, TEXTS, english_stop_words(), batch_tokens=90)
    assert shares.kinds.sum(-1) == pytest.approx(np.ones((len(TEXTS), 2)), abs=1e-9)
    assert shares.heads.sum(-1) == pytest.approx(np.ones((2, 4)), abs=1e-9)
    assert shares.heads.mean(1) == pytest.approx(shares.kinds.mean(0), abs=1e-9)
    for row, text in enumerate(TEXTS):
        expected = shares_by_loops(embedder, text)
        assert shares.kinds[row] == pytest.approx(expected["kinds"], abs=1e-5)
        assert shares.content[row] == pytest.approx(expected["content"], abs=1e-5, nan_ok=True)
        assert shares.balance[row] == pytest.approx(expected["balance"], abs=1e-5, nan_ok=True)
        if not np.isnan(shares.uniform[row]):
            assert shares.uniform[row] == pytest.approx(expected["uniform"])


def test_shares_do_not_depend_on_the_batches(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    first, second = (
        attention_shares(embedder, TEXTS, english_stop_words(), batch_tokens=size) for size in (1, 4096)
    )
    for name in ("kinds", "heads", "content", "balance", "uniform"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), abs=1e-6, nan_ok=True)


def test_a_text_of_stop_words_has_no_share_on_content(load: Load) -> None:
    shares = attention_shares(load(template="ccw"), ["it is what it is", "a car"], english_stop_words())
    assert np.isnan(shares.content[0]).all()
    assert np.isnan(shares.uniform[0])
    assert (shares.content[1] > 0).all()
    assert not np.isnan(shares.balance).any()


def test_a_single_token_attends_to_itself(load: Load, qwen_folder: Path) -> None:
    shares = attention_shares(load(qwen_folder, template="none"), ["a"], english_stop_words())
    assert shares.kinds[0, :, KINDS.index("itself")] == pytest.approx([1, 1])
    assert np.isnan(shares.balance).all()
