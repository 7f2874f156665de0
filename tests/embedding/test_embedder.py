"""The embedder as it is called: shapes, scaling, messages, and what tells one embedder from another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import pyarrow
import pytest
import torch
from torch import Tensor

from lastword.embedding import Embedder, EmbedderSpec, Template
from lastword.embedding import folder as folders
from lastword.embedding.card import Provenance
from lastword.embedding.folder import write_description
from lastword.embedding.loading import warn_of_special_tokens
from lastword.embedding.pipeline import Pipeline
from lastword.embedding.pooling import PLAIN
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import ModelError, RequestError, TemplateError
from lastword.geometry import unit

Load = Callable[..., Embedder]
Refused = Callable[..., str]
LONG = "a man is driving a car, " * 60
SOME = ["a man", 'This sentence: "x"', "Größe, 東京 🚀", LONG]


def test_one_string_gives_one_vector(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    one, many = embedder.encode("a man"), embedder.encode(["a man", "a longer text than that"])
    assert one.shape == (32,)
    np.testing.assert_allclose(one, many[0], atol=1e-6)
    assert embedder.encode([]).shape == (0, 32)


def test_vectors_have_length_one_unless_told_otherwise(load: Load) -> None:
    embedder = load(template="ccw")
    np.testing.assert_allclose(np.linalg.norm(embedder.encode(SOME), axis=1), 1, atol=1e-6)
    raw = embedder.encode(SOME, normalize=False)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.1
    np.testing.assert_allclose(embedder.encode(SOME), unit(raw), atol=1e-6)
    as_set = load(template="ccw", normalize=False)
    np.testing.assert_allclose(as_set.encode(SOME), raw, atol=1e-6)
    np.testing.assert_allclose(as_set.encode(SOME, normalize=True), unit(raw), atol=1e-6)


def test_truncate_dim_cuts_before_scaling(load: Load, refused: Refused) -> None:
    embedder = load(template="ccw")
    raw = embedder.encode(SOME, normalize=False)
    np.testing.assert_allclose(embedder.encode(SOME, truncate_dim=8), unit(raw[:, :8]), atol=1e-6)
    np.testing.assert_allclose(embedder.encode(SOME[0], truncate_dim=8), unit(raw[:, :8])[0], atol=1e-6)
    for dim in (0, 33):
        assert refused(RequestError, embedder.encode, SOME, truncate_dim=dim) == (
            f"truncate_dim={dim}: vectors have 32 dimensions; use 1 … 32"
        )


def test_unit_leaves_zeros() -> None:
    np.testing.assert_array_equal(unit(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_truncated_texts_are_counted(load: Load, said: list[str]) -> None:
    load(template="ccw").encode(["short", LONG, LONG])
    assert said == ["1 of 2 texts were truncated to 127 tokens"]


def test_text_pooling_of_an_empty_text_is_finite(load: Load) -> None:
    vectors = load(template="ccw").encode_poolings(
        ["", "a"], [f"{name}:text" for name in PLAIN if name != "eos"]
    )
    assert all(np.isfinite(rows).all() for rows in vectors.values())


def test_what_is_no_string(load: Load, refused: Refused) -> None:
    message = refused(RequestError, load().encode, ["a", "a", ["b"]])
    assert message == "text 2 is list, not str: give texts as strings"


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (RequestError, {"layer": 3}, "layer=3: this model has hidden states 0 … 2"),
        (RequestError, {"layer": -1}, "layer=-1: this model has hidden states 0 … 2"),
        (RequestError, {"norm": "prae"}, "unknown norm 'prae': did you mean 'pre'? Known: post, pre"),
        (TemplateError, {"max_tokens": 0}, "template 'none' takes 1 tokens and max_tokens is 0: no room for "
         "a text; raise max_tokens above 1 or shorten the template"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(
    load: Load, refused: Refused, kind: type[Exception], setting: dict[str, object], message: str
) -> None:
    assert refused(kind, load, **setting) == message


def test_more_tokens_than_positions(load: Load, llama_folder: Path, refused: Refused) -> None:
    assert refused(RequestError, load, max_tokens=129) == (
        f"max_tokens=129: {llama_folder} has 128 positions; use at most that many"
    )
    assert load().pipeline.max_tokens == 127
    assert refused(RequestError, load, pooling="eos", max_tokens=128) == (
        f"eos pooling takes one position more than max_tokens=128, all that {llama_folder} has: use max_tokens=127"
    )


def test_eos_reads_an_over_long_text_of_learned_positions(load: Load, gpt2_folder: Path) -> None:
    vectors = load(gpt2_folder, pooling="eos").encode([LONG, "short"])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (None, "is NoneType: give a list"),
        (7, "is int: give a list"),
        (float("nan"), "is float: give a list"),
        (b"abc", "is bytes: give a list"),
        ({"a", "b"}, "is set: give a list"),
        ({"a": 1}, "is dict: give a list"),
        ((text for text in "ab"), "is an iterator (generator): give list(texts)"),
        (map(str, [1]), "is an iterator (map): give list(texts)"),
        (np.array("abc"), "is ndarray: give a list"),
        (np.array([["a", "b"]]), "is ndarray of 2 dimensions: give one column of it"),
        (pandas.DataFrame({"a": ["b"]}), "is DataFrame of 2 dimensions: give one column of it"),
    ],
)
def test_what_holds_no_texts_in_order_is_refused(
    load: Load, refused: Refused, texts: Any, problem: str
) -> None:
    embedder = load(prompts={"query": "query: "})
    calls = [
        embedder.encode,
        embedder.encode_query,
        embedder.encode_document,
        lambda texts: embedder.encode_poolings(texts, ["mean"]),
        lambda texts: embedder.encode_grid(texts, ["ccw"]),
    ]
    for call in calls:
        assert refused(RequestError, call, texts) == f"texts {problem}"


def test_a_bare_string_is_no_list(load: Load, refused: Refused) -> None:
    embedder = load()
    calls = {
        "texts": [
            lambda: embedder.encode_poolings("abc", ["mean"]),
            lambda: embedder.encode_grid("abc", ["ccw"]),
            lambda: list(embedder.encode_stream("abc")),
        ],
        "poolings": [
            lambda: embedder.encode_poolings(["abc"], "mean"),
            lambda: embedder.encode_grid(["abc"], ["ccw"], "mean"),
        ],
        "templates": [lambda: embedder.encode_grid(["abc"], "ccw")],
    }
    for name, wrong in calls.items():
        for call in wrong:
            assert refused(RequestError, call) == f"{name} is str: give a list"
    assert (
        refused(RequestError, embedder.encode_poolings, ["a"], []) == "poolings is empty: give at least one"
    )
    assert refused(RequestError, embedder.encode_grid, ["a"], []) == "templates is empty: give at least one"
    assert (
        refused(RequestError, embedder.encode_grid, ["a"], ["ccw"], layers=1) == "layers is int: give a list"
    )


def test_columns_and_iterators_of_texts(load: Load) -> None:
    embedder, texts = load(), ["a man", "a cat"]
    expected = embedder.encode(texts)
    for column in (np.array(texts), pandas.Series(texts, index=[7, 3]), pandas.Index(texts), tuple(texts)):
        np.testing.assert_array_equal(embedder.encode(column), expected)
    np.testing.assert_array_equal(np.concatenate([*embedder.encode_stream(iter(texts))]), expected)


def test_columns_of_arrow_are_texts(load: Load) -> None:
    """Such as `Store.table()["text"]`: its cells are no strings of Python."""
    embedder, texts = load(prompts={"query": "query: "}), ["a man", "a cat"]
    for column in (pyarrow.array(texts), pyarrow.chunked_array([texts[:1], texts[1:]])):
        np.testing.assert_array_equal(embedder.encode(column), embedder.encode(texts))
        np.testing.assert_array_equal(embedder.encode_query(column), embedder.encode_query(texts))
        np.testing.assert_array_equal(
            np.concatenate([*embedder.encode_stream(column)]), embedder.encode(texts)
        )
        assert [*embedder.encode_poolings(column, ["mean"])] == ["mean"]
        assert len([*embedder.encode_grid(column, ["ccw", "none"])]) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_tokens": 0}, "batch_tokens=0: give a whole number, 1 or more"),
        ({"batch_tokens": "9"}, "batch_tokens='9': give a whole number, 1 or more"),
        ({"batch_tokens": 2.5}, "batch_tokens=2.5: give a whole number, 1 or more"),
        ({"truncate_dim": "8"}, "truncate_dim='8': give a whole number"),
        ({"truncate_dim": True}, "truncate_dim=True: give a whole number"),
        ({"normalize": "no"}, "normalize='no': give True or False"),
        ({"prompt_name": 3}, "unknown prompt 3: there are no prompts"),
    ],
)
def test_options_of_another_kind_are_refused(
    load: Load, refused: Refused, wrong: dict[str, Any], message: str
) -> None:
    embedder = load()
    assert refused(RequestError, embedder.encode, ["a"], **wrong) == message
    assert refused(RequestError, lambda: [*embedder.encode_stream(["a"], **wrong)]) == message
    if "prompt_name" not in wrong:
        assert refused(RequestError, embedder.encode_query, ["a"], **wrong) == message


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"template": 5}, "unknown template 5: Known: none, "),
        ({"template": ["ccw"]}, "unknown template ['ccw']: did you mean 'ccw'? "),
        ({"pooling": 5}, "unknown pooling 5: Known: mean, "),
        ({"norm": 1}, "unknown norm 1: Known: post, pre"),
        ({"layer": "1"}, "layer='1': give a whole number"),
        ({"layer": 1.0}, "layer=1.0: give a whole number"),
        ({"max_tokens": "9"}, "max_tokens='9': give a whole number"),
        ({"normalize": "no"}, "normalize='no': give True or False"),
        ({"bos": "no"}, "bos='no': give True or False"),
        ({"fused": "no"}, "fused='no': give True or False"),
        ({"prompts": "query"}, "prompts='query': give a dict, such as {'query': 'search query: '}"),
        ({"prompts": {3: "x"}}, "the name of prompt 'x'=3: give a string"),
        ({"dtype": 32}, "unknown dtype 32: Known: float32, bfloat16"),
        ({"quantize": 8}, "unknown quantization 8: Known: int8, nf4"),
        ({"revision": 5}, "revision=5: give a string"),
        ({"device": 0}, "no device 0 here: "),
    ],
)
def test_settings_of_another_kind_are_refused(
    load: Load, refused: Refused, wrong: dict[str, Any], message: str
) -> None:
    if wrong == {"device": 0} and torch.cuda.is_available():
        pytest.skip("there is a device 0")
    kind = TemplateError if "template" in wrong else RequestError
    assert refused(kind, load, **wrong).startswith(message)


def test_numbers_of_numpy_are_numbers(load: Load) -> None:
    embedder = load(layer=np.int64(1), max_tokens=np.int32(20))
    assert embedder.identity == load(layer=1, max_tokens=20).identity
    assert embedder.encode(["a"], truncate_dim=np.int64(8)).shape == (1, 8)
    assert load(max_tokens=20).pipeline.max_tokens == 20


def test_eos_pooling_without_an_end_of_text_token(load: Load, qwen_folder: Path, refused: Refused) -> None:
    embedder = load(qwen_folder)
    embedder.pipeline.tokenizer.eos_id = None
    assert refused(TemplateError, embedder.encode_poolings, ["a"], ["eos"]) == (
        "eos=True, but this tokenizer has no end-of-text token: use eos=False"
    )


def test_bfloat16_is_near(load: Load) -> None:
    exact, near = (load(template="ccw", dtype=dtype).encode(SOME) for dtype in ("float32", "bfloat16"))
    assert near.dtype == np.float32
    assert 0.99 < (exact * near).sum(1).min() < 0.999999


def test_base_model_has_plain_defaults(load: Load, llama_folder: Path) -> None:
    embedder = load()
    assert (
        embedder.spec.template.name,
        embedder.spec.pooling.spec,
        embedder.spec.layer,
        embedder.spec.norm,
    ) == (
        "none",
        "mean",
        None,
        "post",
    )
    assert (embedder.name, embedder.dim, embedder.provenance.base) == (
        str(llama_folder),
        32,
        str(llama_folder),
    )


def test_templates_share_the_weights(load: Load) -> None:
    embedder = load(pooling="lasttoken", max_tokens=60, normalize=False, layer=1, norm="pre")
    other = embedder.variant(template="sum")
    assert other.backbone is embedder.backbone
    assert other.spec.template == Template.parse("sum")
    assert other.spec == replace(embedder.spec, template=Template.parse("sum"))
    assert other.provenance is embedder.provenance


def test_lengths_share_the_weights(load: Load) -> None:
    embedder = load(template="sum", pooling="lasttoken", max_tokens=60, normalize=False, layer=1, norm="pre")
    other = embedder.variant(max_tokens=30)
    assert other.backbone is embedder.backbone
    assert (other.pipeline.compiled.max_tokens, embedder.spec.max_tokens) == (30, 60)
    assert other.spec == replace(embedder.spec, max_tokens=30)
    assert other.provenance is embedder.provenance


def test_identity_differs_where_vectors_may(load: Load, qwen_folder: Path) -> None:
    settings_: list[dict[str, object]] = [
        {},
        {"template": "ccw"},
        {"pooling": "lasttoken"},
        {"pooling": "mean:text"},
        {"layer": 1},
        {"norm": "pre"},
        {"max_tokens": 64},
        {"normalize": False},
        {"bos": False},
        {"boundary": "string"},
        {"dtype": "bfloat16"},
        {"folder": qwen_folder},
    ]
    identities = [load(**one).identity for one in settings_]
    assert len(set(identities)) == len(identities)
    assert load().identity == load(layer=2).identity == identities[0]


def test_identity_differs_with_one_weight(load: Load) -> None:
    embedder = load()
    before = embedder.identity, embedder.backbone.weights_hash
    with torch.no_grad():
        embedder.backbone.model.norm.weight[3] += 1e-6
    assert embedder.backbone.weights_hash != before[1]
    assert embedder.identity != before[0]


def test_identity_differs_with_the_configuration(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    """The same weights under other settings are another model: rotary base, scaling, epsilon of the norms."""
    before = load()
    seen = {before.identity}
    changes: list[dict[str, object]] = [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}},
        {"rms_norm_eps": 0.1},
        {"hidden_act": "gelu"},
    ]
    for number, change in enumerate(changes):
        folder = Path(shutil.copytree(llama_folder, tmp_path / str(number)))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | change))
        other = load(folder)
        assert other.backbone.weights_hash == before.backbone.weights_hash
        assert np.abs(other.encode(SOME) - before.encode(SOME)).max() > 1e-4
        seen.add(other.identity)
    assert len(seen) == 1 + len(changes)
    copy = Path(shutil.copytree(llama_folder, tmp_path / "copy"))
    assert load(copy).identity == before.identity


def test_identity_differs_with_the_tokenizer(load: Load, llama_folder: Path, tmp_path: Path) -> None:
    before = load()
    folder = Path(shutil.copytree(llama_folder, tmp_path / "lower"))
    definition = json.loads((folder / "tokenizer.json").read_text())
    definition["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    other = load(folder)
    assert np.abs(other.encode(["A Man"]) - before.encode(["A Man"])).max() > 1e-4
    assert other.identity != before.identity
    assert other.backbone.identity == before.backbone.identity


def test_attention_implementations_are_one_identity(load: Load) -> None:
    embedder = load()
    before = embedder.identity
    with embedder.backbone.attention("eager"):
        assert embedder.identity == before


def test_pooled_vectors_carry_gradients(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken")
    weight: Tensor = embedder.backbone.model.layers[0].mlp.up_proj.weight.requires_grad_(True)
    for batch in embedder.pipeline.batches(embedder.pipeline.tokenize(SOME)):
        embedder.pipeline.vectors(batch).sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().max() > 0


def test_encoder_is_refused(load: Load, bert_folder: Path) -> None:
    with pytest.raises(ModelError, match="lastword needs a decoder"):
        load(bert_folder)


def test_replacing_the_template_keeps_its_policies(load: Load) -> None:
    template = replace(Template.parse("ccw"), eos=True)
    assert load(template=template).pipeline.compiled.suffix_ids[-1] == load().pipeline.tokenizer.eos_id


def test_a_revision_is_in_the_provenance(load: Load, llama_folder: Path) -> None:
    assert load(revision="v1").provenance == Provenance(str(llama_folder), "v1")


@pytest.mark.parametrize(
    "verb", ["encode", "encode_query", "encode_stream", "encode_poolings", "encode_grid"]
)
def test_batches_are_as_small_as_asked_for(verb: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load(pooling="lasttoken")
    sizes: list[int | None] = []

    def size(self: Pipeline, requested: int | None) -> int:
        sizes.append(requested)
        return 99

    monkeypatch.setattr(Pipeline, "batch_tokens", size)
    arguments = {"encode_poolings": [["mean"]], "encode_grid": [["ccw"]]}.get(verb, [])
    list(getattr(embedder, verb)(["a", "b"], *arguments, batch_tokens=7))
    assert set(sizes) == {7}


def test_a_prompt_is_put_before_a_single_text_too(load: Load) -> None:
    embedder = load(prompts={"query": "question: "})
    vector = embedder.encode("a car", prompt_name="query")
    np.testing.assert_allclose(vector, embedder.encode("question: a car"), atol=1e-6)
    assert np.abs(vector - embedder.encode("a car")).max() > 0.01


@pytest.mark.parametrize(
    ("before", "after", "spec", "warned"),
    [
        ([1], [], {}, False),
        ([1], [2], {}, True),
        ([1], [2], {"pooling": "eos"}, False),
        ([1], [2], {"template": Template("x", "", "", eos=True)}, False),
        ([7], [], {}, True),
        ([], [3], {"pooling": "eos"}, True),
        ([], [], {"pooling": "eos"}, False),
    ],
)
def test_special_tokens_that_the_tokenizer_alone_would_add_are_named(
    before: list[int], after: list[int], spec: dict[str, object], warned: bool, said: list[str]
) -> None:
    hf = SimpleNamespace(convert_ids_to_tokens=lambda ids: [f"<{i}>" for i in ids])
    tokenizer: Any = SimpleNamespace(added_ids=(before, after), bos_id=1, eos_id=2, hf=hf)
    warn_of_special_tokens(tokenizer, EmbedderSpec().changed(**spec), "model")
    tokens = " … ".join(f"<{i}>" for i in before + after)
    expected = f"model: its tokenizer puts {tokens} around a text; template 'none' does not"
    assert said == ([expected] if warned else [])


def test_layers_after_the_pooled_one_are_cut(load: Load) -> None:
    embedder = load(template="ccw", pooling="lasttoken", layer=1)
    expected = embedder.encode(SOME)
    assert load().cut().backbone.layers == 2, "nothing to cut"
    cut = embedder.cut()
    assert (cut.backbone.layers, len(cut.backbone.model.layers), cut.backbone.path) == (1, 1, "fused")
    assert cut.spec == replace(embedder.spec, layer=None)
    assert (cut.name, cut.backbone.quantize) == (embedder.name, None)
    assert cut.provenance is embedder.provenance
    np.testing.assert_allclose(cut.encode(SOME), expected, atol=1e-5)
    plain = load(layer=1, fused=False).cut()
    assert (plain.backbone.fused, plain.backbone.layers) == (None, 1)


def test_an_adapter_has_an_embedder_of_its_own_over_the_same_weights(
    load: Load, llama_folder: Path, tmp_path: Path
) -> None:
    embedder = load()
    settings = {"base_model_name_or_path": str(llama_folder)}
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    other = embedder.with_adapter(tmp_path, template="ccw", pooling="lasttoken")
    expected = embedder.variant(template="ccw", pooling="lasttoken")
    assert other.spec == expected.spec
    assert other.backbone.model is embedder.backbone.model
    assert (other.name, embedder.name) == (str(tmp_path), str(llama_folder))
    np.testing.assert_allclose(other.encode(SOME), expected.encode(SOME), atol=1e-6)


def test_an_adapter_embeds_as_its_folder_says(load: Load, tmp_path: Path) -> None:
    """A tokenizer that leaves outer white space is stored so, too."""
    embedder = load()
    tokenizer = TextTokenizer.load(embedder.name, strip=False)
    spec = EmbedderSpec().changed(template="sum", max_tokens=60)
    provenance = Provenance("the base model")
    write_description(Pipeline(embedder.backbone, tokenizer, spec), provenance, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": embedder.name}))
    other = embedder.with_adapter(tmp_path)
    assert (other.spec, other.provenance) == (spec, provenance)
    assert other.pipeline.tokenizer.text_ids([" a car "]) == tokenizer.text_ids([" a car "])
    assert tokenizer.text_ids([" a car "]) != embedder.pipeline.tokenizer.text_ids([" a car "])
    assert embedder.with_adapter(tmp_path, template="ccw").spec.template.name == "ccw"


def test_the_model_itself_is_uploaded(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load()
    seen: list[Any] = []

    def push(*arguments: Any, **settings: Any) -> str:
        seen.extend([*arguments, settings])
        return "address"

    monkeypatch.setattr(folders, "push", push)
    assert embedder.push_to_hub("someone/model", private=True, token="secret") == "address"
    settings = {"private": True, "token": "secret"}
    assert seen == [embedder.pipeline, embedder.provenance, "someone/model", embedder.encode, settings]
