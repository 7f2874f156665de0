"""From texts to pooled vectors: the room for an end-of-text token, batches, and what each pooling reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lastword.embedding import Embedder, EmbedderSpec, GridPoint, Pooling, Template
from lastword.embedding.backbone import Backbone
from lastword.embedding.pipeline import Pipeline, pooling_mask
from lastword.errors import ModelError, RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]


def test_an_appended_end_of_text_token_takes_no_room_from_the_text(load: Load, refused: Refused) -> None:
    pipeline = load(template="ccw", pooling="eos", max_tokens=40).pipeline
    eos, plain = pipeline.tokenizer.eos_id, pipeline.compile(append_eos=False)
    assert (pipeline.compiled.max_tokens, pipeline.compiled.budget) == (41, plain.budget)
    assert pipeline.compiled.suffix_ids == (*plain.suffix_ids, eos)
    own = pipeline.variant(template=Template.parse("ccw", eos=True))
    assert (own.compiled.max_tokens, own.compiled.budget) == (40, plain.budget - 1)
    assert own.compile(append_eos=False) == own.compiled
    assert pipeline.variant(max_tokens=127).compiled.max_tokens == 128
    assert refused(RequestError, pipeline.variant, max_tokens=128) == (
        f"eos pooling takes one position more than max_tokens=128, all that {pipeline.backbone.name} has: "
        "use max_tokens=127"
    )


def test_texts_end_in_what_the_pooling_needs_unless_it_is_said(load: Load, refused: Refused) -> None:
    pipeline = load().pipeline
    eos = pipeline.tokenizer.eos_id
    ends = [pipeline.tokenize(["a car"], append).ids[0][-1] == eos for append in (None, False, True)]
    assert ends == [False, False, True]
    pipeline = pipeline.variant(pooling="eos")
    ends = [pipeline.tokenize(["a car"], append).ids[0][-1] == eos for append in (None, False, True)]
    assert ends == [True, False, True]
    message = refused(RequestError, load(bos=False).pipeline.tokenize, ["a", ""], None, [3, 8])
    assert message == "text 8 is empty and template 'none' adds no token to it"


def test_batches_are_padded_within_the_budget(load: Load) -> None:
    pipeline = load().pipeline
    assert (pipeline.batch_tokens(None), pipeline.batch_tokens(7)) == (4096, 7)
    sequences = pipeline.tokenize(["a", "a car and a cat", "a car"])
    lengths = [len(ids) for ids in sequences.ids]
    batches = list(pipeline.batches(sequences, lengths[1]))
    assert [batch.rows for batch in batches] == [[1], [2, 0]]
    (batch,) = pipeline.batches(sequences)
    assert batch.rows == [1, 2, 0]
    assert batch.input_ids.shape == (3, lengths[1])
    assert int(batch.input_ids[2, -1]) == pipeline.tokenizer.pad_id


def test_layers_and_poolings_of_one_pass_are_those_of_single_ones(load: Load) -> None:
    embedder = load(template="ccw", normalize=False)
    pipeline = embedder.pipeline
    poolings = [Pooling.parse(name) for name in ("mean", "eos", "lasttoken", "max:text")]
    assert (pipeline.layer, pipeline.variant(layer=1).layer, pipeline.variant(layer=2).layer) == (2, 1, 2)
    (batch,) = pipeline.batches(pipeline.tokenize(["the river", "a car and a cat"], append_eos=True))
    vectors = pipeline.pooled(batch, poolings, [1, 2])
    assert vectors.keys() == {(layer, pooling.spec) for layer in (1, 2) for pooling in poolings}
    for (layer, name), rows in vectors.items():
        alone = embedder.variant(layer=layer, pooling=name).encode(["the river", "a car and a cat"])
        np.testing.assert_allclose(rows[np.argsort(batch.rows)].detach(), alone, atol=1e-5)
    ends = pipeline.pooled(batch, [Pooling("eos")], [2])
    assert list(ends) == [(2, "eos")]
    torch.testing.assert_close(ends[2, "eos"], vectors[2, "eos"], atol=1e-5, rtol=1e-5)
    single = pipeline.variant(layer=1, pooling="max:text")
    torch.testing.assert_close(single.vectors(batch), vectors[1, "max:text"])


def test_one_pass_serves_all_poolings_where_no_state_depends_on_a_later_token(
    load: Load, bert_folder: Path
) -> None:
    causal = load().pipeline
    model = transformers.AutoModel.from_pretrained(bert_folder, attn_implementation="eager")
    other = Pipeline(Backbone(model, "bidirectional"), causal.tokenizer, EmbedderSpec(max_tokens=60))
    poolings = [Pooling("eos"), Pooling("mean"), Pooling("lasttoken")]
    assert causal.passes(poolings) == [poolings]
    assert other.passes(poolings) == [poolings[:1], poolings[1:]]
    assert other.passes(poolings[1:]) == [poolings[1:]]
    assert other.variant(template=Template.parse("none", eos=True)).passes(poolings) == [poolings]


def test_the_appended_token_is_for_the_poolings_that_need_it(load: Load) -> None:
    pipeline = load(template="ccp").pipeline
    (batch,) = pipeline.batches(pipeline.tokenize(["a", "a car"], append_eos=True))
    whole, text = batch.attention_mask, batch.text_mask
    assert pooling_mask(batch, Pooling("mean", "text"), True) is text
    assert torch.equal(pooling_mask(batch, Pooling("eos"), True), whole)
    assert torch.equal(pooling_mask(batch, Pooling("mean"), False), whole)
    without = pooling_mask(batch, Pooling("mean"), True)
    assert without.sum(1).tolist() == [length - 1 for length in batch.lengths]
    assert not (without & ~whole).any()
    assert [bool(without[row, length - 1]) for row, length in enumerate(batch.lengths)] == [False, False]


@pytest.mark.parametrize("pooling", ["eos", "mean"])
def test_states_before_the_final_norm_are_pooled_where_they_are_asked_for(load: Load, pooling: str) -> None:
    pipeline = load(pooling=pooling).pipeline
    (batch,) = pipeline.batches(pipeline.tokenize(["the river", "a car and a cat"]))
    vectors = {norm: pipeline.variant(norm=norm).vectors(batch) for norm in ("pre", "post")}
    for norm in ("pre", "post"):
        ((_, hidden),) = pipeline.backbone.hidden(batch, [2], norm)
        expected = Pooling(pooling)(hidden, batch.attention_mask)
        torch.testing.assert_close(vectors[norm], expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(vectors["pre"], vectors["post"], atol=0.1)


def test_a_pooling_of_more_layers_than_there_are(load: Load, refused: Refused) -> None:
    embedder = load()
    assert embedder.variant(pooling="mean:3layers").encode(["a car"]).shape == (1, 32)
    assert refused(RequestError, embedder.variant, pooling="max+mean:4layers") == (
        "pooling 'max+mean:4layers' averages 4 hidden states: up to layer 2 there are 3"
    )
    message = refused(RequestError, embedder.variant, pooling="mean:3layers", layer=1)
    assert message == "pooling 'mean:3layers' averages 3 hidden states: up to layer 1 there are 2"


def test_a_concatenation_of_the_last_token_and_the_mean_alone_and_in_a_batch(load: Load) -> None:
    embedder, texts = load(template="ccw", pooling="mean:text+eos"), ["a car", "the river was low and a cat"]
    assert (embedder.dim, embedder.encode(texts).shape) == (64, (2, 64))
    alone = np.stack([embedder.encode(text) for text in texts])
    np.testing.assert_allclose(embedder.encode(texts), alone, atol=1e-5)


DITTO_TEXTS = ["a car", "the river was low and a cat is sleeping on it", "a"]


def test_weights_of_ditto_are_those_of_the_attention_of_the_model(load: Load) -> None:
    """Ditto: Σ w_i h_i / Σ w_i, where w_i is i · A_ii of the first layer, by the model's own attention weights."""
    embedder = load(template="ccw", pooling="mean:ditto", normalize=False)
    for text in DITTO_TEXTS:
        (ids,) = embedder.pipeline.tokenize([text]).ids
        with embedder.backbone.attention("eager"), torch.no_grad():
            output = embedder.backbone.model(
                input_ids=torch.tensor([ids]), output_attentions=True, use_cache=False
            )
        diagonal = output.attentions[0][0].diagonal(dim1=-2, dim2=-1).mean(0).numpy()
        weights = diagonal * np.arange(1, len(ids) + 1)
        expected = np.average(output.last_hidden_state[0].numpy(), axis=0, weights=weights)
        np.testing.assert_allclose(
            load(template="ccw", pooling="mean:ditto", normalize=False).encode(text), expected, atol=1e-4
        )
        assert weights.std() > 0.1


@pytest.mark.parametrize("template", ["none", "ccw"])
def test_ditto_alone_in_a_batch_and_in_a_grid(load: Load, template: str) -> None:
    embedder = load(template=template, pooling="mean:ditto")
    together = embedder.encode(DITTO_TEXTS)
    np.testing.assert_allclose(np.stack([embedder.encode(text) for text in DITTO_TEXTS]), together, atol=1e-5)
    grid = embedder.encode_grid(
        DITTO_TEXTS, [template, "eol"], ["mean:ditto", "mean:text:ditto", "mean"], [1, 2]
    )
    np.testing.assert_allclose(grid[GridPoint(template, "mean:ditto", 2)], together, atol=1e-5)
    assert np.abs(grid[GridPoint(template, "mean", 2)] - together).max() > 0.01


def test_even_attention_makes_ditto_the_mean(load: Load) -> None:
    embedder = load(template="ccw", pooling="mean:ditto")
    attention = embedder.backbone.model.layers[0].self_attn
    attention.q_proj.weight.data.zero_()
    mean = embedder.variant(pooling="mean").encode(DITTO_TEXTS)
    np.testing.assert_allclose(embedder.encode(DITTO_TEXTS), mean, atol=1e-5)


def test_ditto_needs_attention_weights(load: Load, gpt2_folder: Path, refused: Refused) -> None:
    for settings, path in (
        ({"folder": gpt2_folder}, "stock"),
        ({"attention": "bidirectional"}, "bidirectional"),
    ):
        message = refused(ModelError, load, pooling="mean:ditto", **settings)
        assert f"reads attention weights, which the {path} path of" in message
        assert message.endswith("does not give: use a causal model built like Llama, or pooling='mean'")
