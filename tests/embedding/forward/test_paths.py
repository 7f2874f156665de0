"""What forward paths guarantee, and that work is shared only where the guarantee holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lastword.embedding import Embedder, EmbedderSpec
from lastword.embedding.backbone import Backbone
from lastword.embedding.forward.float32 import in_float32
from lastword.embedding.forward.stock import difference
from lastword.embedding.forward.tree import Tree
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, RequestError

Load = Callable[..., Embedder]
Refused = Callable[..., str]
POOLINGS = ["mean", "eos", "lasttoken", "max"]
TEXTS = ["a man is driving a car", "the river", 'This sentence: "x"']


@pytest.mark.parametrize(
    ("fixture", "path", "positions"),
    [
        ("llama_folder", "fused", "relative"),
        ("qwen_folder", "fused", "relative"),
        ("gpt2_folder", "stock", "absolute"),
    ],
)
def test_guarantees_are_measured(
    request: pytest.FixtureRequest, fixture: str, path: str, positions: str
) -> None:
    backbone = Backbone.load(request.getfixturevalue(fixture), dtype="float32", device="cpu")
    for forward in (backbone.stock, backbone.path_for(10)):
        guarantees = forward.guarantees
        assert (guarantees.causal, guarantees.max_tokens, guarantees.positions) == (True, 128, positions)
    assert (backbone.path, backbone.causal) == (path, True)
    assert backbone.path_for(129).name == "stock"


def test_the_stock_path_keeps_no_keys_and_values(load: Load) -> None:
    embedder, kept = load(fused=False), list[bool]()
    embedder.backbone.model.register_forward_pre_hook(
        lambda model, args, settings: kept.append(settings["use_cache"]), with_kwargs=True
    )
    embedder.encode(TEXTS)
    assert set(kept) == {False}


def test_a_hook_ends_the_guarantee_of_the_fused_path(load: Load) -> None:
    backbone = load().backbone
    hook = backbone.model.layers[0].register_forward_hook(lambda *_: None)
    assert (backbone.path, backbone.fused.guarantees.max_tokens) == ("stock", 0)  # type: ignore[union-attr]
    hook.remove()
    assert backbone.path == "fused"


def test_an_attention_window_bounds_the_fused_path() -> None:
    config = transformers.MistralConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=8,
    )  # fmt: skip
    backbone = Backbone(transformers.MistralModel(config), "windowed")
    assert (backbone.path_for(8).name, backbone.path_for(9).name) == ("fused", "stock")


@pytest.fixture
def bidirectional(bert_folder: Path, llama_folder: Path) -> Embedder:
    """A model whose tokens see later ones, which `from_pretrained` refuses and a later method may ask for."""
    model = transformers.AutoModel.from_pretrained(bert_folder, attn_implementation="eager")
    backbone = Backbone(model, "bidirectional")
    return Embedder(
        backbone, TextTokenizer.load(llama_folder), EmbedderSpec().changed(template="ccw", max_tokens=60)
    )


def test_causality_is_recorded_and_not_demanded(
    bidirectional: Embedder, refused: Refused, tmp_path: Path
) -> None:
    assert (bidirectional.backbone.causal, bidirectional.backbone.path) == (False, "stock")
    assert refused(RequestError, bidirectional.save, tmp_path / "model") == (
        "a standard model folder cannot express attention to later tokens; use a decoder"
    )


def test_an_appended_token_is_not_shared_where_it_would_be_seen(bidirectional: Embedder) -> None:
    together = bidirectional.encode_poolings(TEXTS, POOLINGS)
    for pooling in POOLINGS:
        alone = bidirectional.variant(pooling=pooling).encode(TEXTS)
        np.testing.assert_allclose(together[pooling], alone, atol=1e-5)
    assert np.abs(together["lasttoken"] - together["eos"]).max() > 0.01


def test_padding_is_not_seen_by_such_a_model(bidirectional: Embedder) -> None:
    together = bidirectional.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(bidirectional.encode(text), vector, atol=1e-5)


@pytest.fixture(params=["llama_folder", "qwen_folder"])
def switched(load: Callable[..., Embedder], request: pytest.FixtureRequest) -> Embedder:
    """A decoder whose mask is switched."""
    folder = request.getfixturevalue(request.param)
    return load(folder, template="ccw", pooling="mean", attention="bidirectional")


def test_every_token_sees_the_whole_text_where_the_mask_is_switched(switched: Embedder) -> None:
    """LLM2Vec: the state of the first token changes with the last one; without it, it cannot."""
    backbone, pipeline = switched.backbone, switched.pipeline
    assert (backbone.path, backbone.causal, backbone.attends) == ("bidirectional", False, "bidirectional")
    causal = switched.variant(attention="causal").backbone
    assert (causal.path, causal.causal, causal.attends) == ("fused", True, "causal")
    (batch,) = pipeline.batches(pipeline.tokenize(["a man is driving a car", "a man is driving a cat"]))
    for seen, same in ((backbone, False), (causal, True)):
        ((_, states),) = seen.hidden(batch, [2])
        assert torch.allclose(states[0, 0], states[1, 0], atol=1e-5) is same


def test_switched_vectors_alone_in_a_batch_and_by_another_implementation(switched: Embedder) -> None:
    together = switched.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(switched.encode(text), vector, atol=1e-5)
    with switched.backbone.attention("eager"):
        np.testing.assert_allclose(switched.encode(TEXTS), together, atol=1e-5)
    again = switched.variant(attention="causal").variant(attention="bidirectional")
    np.testing.assert_array_equal(again.encode(TEXTS), together)
    assert np.abs(switched.variant(attention="causal").encode(TEXTS) - together).max() > 0.01


def test_poolings_layers_and_a_cut_of_a_switched_model(switched: Embedder) -> None:
    together = switched.encode_poolings(TEXTS, POOLINGS)
    for pooling in POOLINGS:
        alone = switched.variant(pooling=pooling).encode(TEXTS)
        np.testing.assert_allclose(together[pooling], alone, atol=1e-5)
    for point, vectors in switched.encode_grid(TEXTS, ["ccw", "eol"], ["mean", "eos"], [1, 2]).items():
        alone = switched.variant(template=point.template, pooling=point.pooling, layer=point.layer).encode(
            TEXTS
        )
        np.testing.assert_allclose(vectors, alone, atol=1e-5)
    lower = switched.variant(layer=1)
    expected = lower.encode(TEXTS)
    cut = lower.cut()
    assert (cut.backbone.layers, cut.backbone.path) == (1, "bidirectional")
    np.testing.assert_allclose(cut.encode(TEXTS), expected, atol=1e-5)


def test_a_switched_model_is_stored_as_such(switched: Embedder, refused: Refused, tmp_path: Path) -> None:
    saved = switched.save(tmp_path / "model")
    assert json.loads((saved / "config.json").read_text())["is_causal"] is False
    loaded = Embedder.from_pretrained(saved, dtype="float32", device="cpu")
    assert (loaded.spec.attention, loaded.identity) == ("bidirectional", switched.identity)
    np.testing.assert_array_equal(loaded.encode(TEXTS), switched.encode(TEXTS))
    assert refused(ModelError, Embedder.from_pretrained, saved, attention="causal").endswith(
        "lastword needs a decoder, such as Qwen/Qwen3-0.6B; use attention='bidirectional'"
    )
    (saved / "lastword.json").unlink()
    assert Embedder.from_pretrained(saved).spec.attention == "bidirectional"


def test_only_models_built_like_llama_are_switched(gpt2_folder: Path, refused: Refused) -> None:
    message = refused(ModelError, Embedder.from_pretrained, gpt2_folder, attention="bidirectional")
    assert message == (
        f"attention='bidirectional': {gpt2_folder} (gpt2) is not built like Llama, and only attention in all its "
        "layers can be switched; use attention='causal'"
    )


def test_a_grid_of_such_a_model_shares_nothing(bidirectional: Embedder) -> None:
    grid = bidirectional.encode_grid(TEXTS, ["ccw", "eol"], ["mean", "eos"], [2])
    assert len(grid) == 4
    for point, vectors in grid.items():
        alone = bidirectional.variant(template=point.template, pooling=point.pooling, layer=point.layer)
        np.testing.assert_allclose(vectors, alone.encode(TEXTS), atol=1e-5)


def test_a_model_whose_states_are_all_zero_loads(llama_folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(llama_folder)
    model.norm.weight.data.zero_()
    backbone = Backbone(model, "collapsed")
    assert (backbone.causal, backbone.path) == (True, "fused")


def test_a_difference_is_relative_to_the_length_of_each_state() -> None:
    reference = torch.tensor([[[3.0, 4.0], [300.0, 400.0]], [[0.3, 0.4], [3.0, 4.0]]])
    states = reference.clone()
    states[0, 1, 0] += 50
    assert difference(states, reference) == pytest.approx(0.1)
    states[1, 0, 1] += 0.1
    assert difference(states, reference) == pytest.approx(0.2)
    assert difference(states.bfloat16(), states.bfloat16()) == 0
    assert difference(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def _bidirectional_gemma(attention: float) -> transformers.Gemma3TextModel:
    """A model whose tokens see later ones; attention adds only this much of what it would."""
    config = transformers.Gemma3TextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=64, use_bidirectional_attention=True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Gemma3TextModel(config)
    with torch.no_grad():
        for layer in model.layers:
            layer.post_attention_layernorm.weight.fill_(attention - 1)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_slight_view_of_later_tokens_is_not_causal(dtype: torch.dtype) -> None:
    assert not Backbone(_bidirectional_gemma(0.02).to(dtype), "bidirectional").causal


def test_products_of_quantised_weights_may_differ_more() -> None:
    model = _bidirectional_gemma(0.001)
    assert not Backbone(model, "bidirectional").causal
    assert Backbone(model, "rounded", quantize="int8").causal


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_position_embeddings_are_absolute(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = transformers.GPT2Model(
        transformers.GPT2Config(
            n_embd=32, n_layer=2, n_head=4, vocab_size=300, bos_token_id=0, eos_token_id=0
        )
    )
    with torch.no_grad():
        model.wte.weight.mul_(50)  # positions move a state by less than bfloat16 rounds it
    assert Backbone(model.to(dtype), "gpt2").stock.guarantees.positions == "absolute"


def test_a_model_computes_in_float32_and_has_its_weights_back(llama_folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(llama_folder, dtype=torch.bfloat16)
    model.layers[1].register_buffer("scale", torch.ones(3, dtype=torch.float16))

    def state() -> dict[str, tuple[torch.dtype, int]]:
        return {name: (tensor.dtype, tensor.data_ptr()) for name, tensor in model.state_dict().items()}

    stored, inside = state(), {}
    with in_float32(model), torch.no_grad():
        model.layers[1].register_forward_pre_hook(lambda *_: inside.update(state()))
        assert model(torch.tensor([[5, 17, 99]])).last_hidden_state.dtype == torch.float32
    half = {name for name, (dtype, _) in inside.items() if dtype != torch.float32}
    assert half == {name for name in stored if name.startswith(("layers.0.", "embed_tokens."))}
    assert state() == stored


def test_an_error_before_the_weights_of_a_layer_are_float32_is_not_hidden(llama_folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(llama_folder, dtype=torch.bfloat16)

    def fail(*_: object) -> None:
        raise ValueError("of the hook")

    model.layers[0].register_forward_pre_hook(fail)
    with in_float32(model), pytest.raises(ValueError, match="of the hook"):
        model(torch.tensor([[5, 17, 99]]))
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}


def test_what_a_tree_sees_is_on_the_device_of_the_states() -> None:
    assert Tree.of([[1, 2], [1, 3]]).sees(4, torch.device("meta")).device.type == "meta"
