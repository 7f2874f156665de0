"""Attention of the last token in every layer and head: against the stock model, one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from lastword.embedding import Embedder
from lastword.embedding.backbone import Backbone
from lastword.errors import RequestError
from lastword.explanation import token_attention
from lastword.explanation.attention import last_attention
from lastword.explanation.shares import KINDS, attention_shares
from lastword.explanation.words import content_tokens, english_stop_words

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
def plainly(embedder: Embedder, text: str) -> torch.Tensor:
    """(layers, heads, seq) from a model of its own, loaded by transformers, and a batch of one."""
    model = transformers.AutoModel.from_pretrained(
        embedder.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ids = torch.tensor(embedder.tokenize([text]).ids)
    attentions = model(input_ids=ids, output_attentions=True).attentions
    return torch.stack([layer[0, :, -1] for layer in attentions]).double()


def batched(embedder: Embedder, texts: Sequence[str], batch_tokens: int) -> list[torch.Tensor]:
    sequences = embedder.tokenize(texts)
    found: dict[int, torch.Tensor] = {}
    for batch in embedder.batches(sequences, batch_tokens):
        weights = last_attention(embedder, batch)
        for place, (row, length) in enumerate(zip(batch.rows, batch.lengths, strict=True)):
            assert weights[:, place, :, length:].abs().sum() == 0
            found[row] = weights[:, place, :, :length]
    return [found[row] for row in range(len(texts))]


@pytest.mark.parametrize("model", ["llama_folder", "qwen_folder", "gpt2_folder"])
@pytest.mark.parametrize("pooling", ["lasttoken", "eos"])
def test_weights_are_those_of_the_stock_model(
    model: str, pooling: str, load: Load, request: pytest.FixtureRequest
) -> None:
    embedder = load(request.getfixturevalue(model), template="ccw", pooling=pooling)
    for text, found in zip(TEXTS, batched(embedder, TEXTS, 4096), strict=True):
        torch.testing.assert_close(found, plainly(embedder, text), atol=2e-6, rtol=1e-4)
        assert found.sum(-1).numpy() == pytest.approx(np.ones(found.shape[:2]), abs=1e-12)


@given(order=st.permutations(range(len(TEXTS))), batch_tokens=st.sampled_from([1, 50, 90, 4096]))
def test_batch_mates_and_order_change_nothing(load: Load, order: list[int], batch_tokens: int) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    alone = batched(embedder, TEXTS, 1)
    together = batched(embedder, [TEXTS[row] for row in order], batch_tokens)
    for place, row in enumerate(order):
        torch.testing.assert_close(together[place], alone[row], atol=2e-6, rtol=1e-4)


def test_one_text_is_the_last_layer_of_many(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    for text, found in zip(TEXTS, batched(embedder, TEXTS, 4096), strict=True):
        tokens = [token.weight for token in token_attention(embedder, text)]
        assert tokens == pytest.approx(found[-1].mean(0).tolist(), abs=2e-6)


def test_the_fused_forward_goes_on_afterwards(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    before = embedder.backbone.fused_length
    token_attention(embedder, TEXTS[0])
    assert embedder.backbone.fused_length == before > 0
    assert not any(module._forward_hooks for module in embedder.backbone.model.modules())


def test_layers_above_the_pooled_one_are_left_out(load: Load) -> None:
    whole = load(template="ccw", pooling="lasttoken")
    lower = whole.with_layer(1)
    (found,) = batched(lower, TEXTS[:1], 4096)
    assert len(found) == 1
    torch.testing.assert_close(found, batched(whole, TEXTS[:1], 4096)[0][:1])
    with pytest.raises(RequestError) as caught:
        token_attention(whole.with_layer(0), TEXTS[0])
    assert str(caught.value) == (
        "layer=0: the token embeddings come before all attention; use layer 1 or higher"
    )


def test_a_model_of_an_older_build_is_asked_for_its_weights(load: Load) -> None:
    config = transformers.GPTJConfig(
        vocab_size=400, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=128, initializer_range=0.2
    )
    torch.manual_seed(0)
    embedder = Embedder(
        Backbone(transformers.GPTJModel(config), "tiny-gptj"), load().tokenizer, template="ccw"
    )
    assert not getattr(embedder.backbone.model, "_can_record_outputs", None)
    weights = [token.weight for token in token_attention(embedder, TEXTS[0])]
    with embedder.backbone.attention("eager"), torch.no_grad():
        ids = torch.tensor(embedder.tokenize(TEXTS[:1]).ids)
        wanted = embedder.backbone.model(ids, output_attentions=True).attentions[-1][0, :, -1].mean(0)
    assert weights == pytest.approx(wanted.tolist(), abs=1e-6)
    assert max(weights) > 1.5 / len(weights)


def slowly(embedder: Embedder, text: str) -> dict[str, np.ndarray]:
    """Shares of a text by loops over tokens, for every layer."""
    weights = plainly(embedder, text).numpy()
    (start, end), length = embedder.tokenize([text]).spans[0], weights.shape[-1]
    (content,) = content_tokens(embedder, [text], english_stop_words())
    kinds = []
    for place in range(length):
        if place == length - 1:
            kinds.append("itself")
        elif place == 0 and embedder.compiled.bos:
            kinds.append("bos")
        elif place < start:
            kinds.append("template")
        elif place >= end:
            kinds.append("suffix")
        else:
            kinds.append("content" if content[place - start] else "other")
    shares = np.array([[sum(w for w, k in zip(row, kinds, strict=True) if k == kind) for kind in KINDS]
                       for row in weights.mean(1)])  # fmt: skip
    rest = [place for place, kind in enumerate(kinds) if kind not in ("bos", "itself")]
    remaining = weights.mean(1)[:, rest]
    remaining = remaining / remaining.sum(1, keepdims=True)
    words = [kinds[place] == "content" for place in rest]
    evenness = np.exp(-(remaining * np.log(remaining)).sum(1)) / len(rest)
    if len(rest) < 2:
        evenness = np.full(len(weights), np.nan)
    on_words = remaining[:, words].sum(1) if any(words) else np.full(len(weights), np.nan)
    return {"kinds": shares, "content": on_words, "evenness": evenness, "level": np.array(np.mean(words))}


@pytest.mark.parametrize("template", ["ccw", "none"])
@pytest.mark.parametrize("model", ["llama_folder", "qwen_folder"])
def test_shares_are_those_of_loops_over_tokens(
    model: str, template: str, load: Load, request: pytest.FixtureRequest
) -> None:
    embedder = load(request.getfixturevalue(model), template=template, pooling="lasttoken")
    found = attention_shares(embedder, TEXTS, english_stop_words(), batch_tokens=90)
    assert found.kinds.sum(-1) == pytest.approx(np.ones((len(TEXTS), 2)), abs=1e-9)
    assert found.heads.sum(-1) == pytest.approx(np.ones((2, 4)), abs=1e-9)
    assert found.heads.mean(1) == pytest.approx(found.kinds.mean(0), abs=1e-9)
    for row, text in enumerate(TEXTS):
        wanted = slowly(embedder, text)
        assert found.kinds[row] == pytest.approx(wanted["kinds"], abs=1e-5)
        assert found.content[row] == pytest.approx(wanted["content"], abs=1e-5, nan_ok=True)
        assert found.evenness[row] == pytest.approx(wanted["evenness"], abs=1e-5, nan_ok=True)
        if not np.isnan(found.level[row]):
            assert found.level[row] == pytest.approx(wanted["level"])


def test_shares_do_not_depend_on_the_batches(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    one, other = (
        attention_shares(embedder, TEXTS, english_stop_words(), batch_tokens=size) for size in (1, 4096)
    )
    for name in ("kinds", "heads", "content", "evenness", "level"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-6, nan_ok=True)


def test_a_text_of_stop_words_has_no_share_on_content(load: Load) -> None:
    found = attention_shares(load(template="ccw"), ["it is what it is", "a car"], english_stop_words())
    assert np.isnan(found.content[0]).all()
    assert np.isnan(found.level[0])
    assert (found.content[1] > 0).all()
    assert not np.isnan(found.evenness).any()


def test_a_single_token_looks_at_itself(load: Load, qwen_folder: Path) -> None:
    found = attention_shares(load(qwen_folder, template="none"), ["a"], english_stop_words())
    assert found.kinds[0, :, KINDS.index("itself")] == pytest.approx([1, 1])
    assert np.isnan(found.evenness).all()
