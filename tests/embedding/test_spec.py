"""The spec: one value for everything that makes a vector besides the model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lastword
from lastword.adaptation.request import check_request
from lastword.bundled import PATHS
from lastword.embedding import Embedder, EmbedderSpec, Pooling, Template
from lastword.embedding.spec import known_spec, require_late
from lastword.errors import RequestError, TemplateError
from lastword.pairs.mining import mine_negatives

Refused = Callable[..., str]
SPEC = EmbedderSpec().changed(
    template="ccw", pooling="eos", layer=3, norm="pre", max_tokens=60, normalize=False, bos=False,
    prompts={"query": "search: "},
)  # fmt: skip


def test_none_changes_nothing_and_strings_are_parsed() -> None:
    assert SPEC.changed(template=None, pooling=None, layer=None, bos=None) == SPEC
    assert (SPEC.template, SPEC.pooling) == (Template.parse("ccw", bos=False), Pooling("eos"))
    assert SPEC.changed(boundary="string").template == Template.parse("ccw", bos=False, boundary="string")
    assert SPEC.changed(normalize=True).normalize


def test_plain_values_come_back() -> None:
    assert EmbedderSpec.from_dict(SPEC.to_dict()) == replace(SPEC, layer=None)  # a folder ends at its layer


@pytest.mark.parametrize(
    "change",
    [
        {"template": "sum"}, {"pooling": "mean"}, {"layer": 2}, {"norm": "post"}, {"max_tokens": 61},
        {"normalize": True}, {"bos": True}, {"boundary": "string"}, {"prompts": {"query": "other: "}},
        {"attention": "bidirectional"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_identity_changes_with_every_value(change: dict[str, object]) -> None:
    assert SPEC.changed(**change).identity != SPEC.identity


def test_identity_does_not_change_with_names() -> None:
    assert replace(SPEC, template=replace(SPEC.template, name="custom")).identity == SPEC.identity
    assert EmbedderSpec(prompts={"query": "", "document": ""}).identity == EmbedderSpec().identity


def test_invalid_values(refused: Refused) -> None:
    assert refused(RequestError, SPEC.changed, norm="mid") == "unknown norm 'mid': Known: post, pre"
    assert refused(RequestError, SPEC.changed, attention="both") == (
        "unknown attention 'both': Known: causal, bidirectional"
    )
    assert refused(RequestError, SPEC.changed, prompts={"query": 3}) == "prompts['query']=3: give a string"
    assert refused(TemplateError, SPEC.changed, template="cwc").startswith(
        "unknown template 'cwc': did you mean"
    )
    assert refused(RequestError, SPEC.fitted, 2, 128, "tiny") == "layer=3: this model has hidden states 0 … 2"


def test_prompts_are_found_by_their_names() -> None:
    spec = EmbedderSpec(prompts={"passage": "p: ", "corpus": "c: "})
    assert (spec.prompt(("document", "passage", "corpus")), spec.prompt(("query",))) == ("p: ", "")


def test_checking_a_request_does_not_load_torch() -> None:
    code = (
        "import sys\nfrom lastword.embedding import EmbedderSpec\n"
        "EmbedderSpec().changed(template='ccw', pooling='mean:text')\n"
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_depends_on_the_model_is_filled_in(refused: Refused) -> None:
    assert EmbedderSpec().fitted(4, 100, "m") == EmbedderSpec(max_tokens=99)
    assert (
        EmbedderSpec().fitted(4, 513, "m").max_tokens == EmbedderSpec().fitted(4, 9000, "m").max_tokens == 512
    )
    assert EmbedderSpec(max_tokens=100).fitted(4, 100, "m").max_tokens == 100
    assert [EmbedderSpec(layer=layer).fitted(4, 9, "m").layer for layer in (None, 0, 3, 4)] == [
        None,
        0,
        3,
        None,
    ]
    assert refused(RequestError, EmbedderSpec(max_tokens=101).fitted, 4, 100, "tiny") == (
        "max_tokens=101: tiny has 100 positions; use at most that many"
    )
    for layer in (-1, 5):
        message = refused(RequestError, EmbedderSpec(layer=layer).fitted, 4, 100, "tiny")
        assert message == f"layer={layer}: this model has hidden states 0 … 4"


def test_sequences_are_shortened_to_the_positions_of_a_model() -> None:
    assert EmbedderSpec().shortened(70).max_tokens == 70
    assert EmbedderSpec(max_tokens=60).shortened(70).max_tokens == 60
    assert EmbedderSpec(max_tokens=80).shortened(70) == EmbedderSpec(max_tokens=70)


def test_differences_are_named_with_both_values() -> None:
    plain = EmbedderSpec(max_tokens=512)
    assert plain.differences(plain) == []
    assert plain.differences(SPEC) == [
        "template 'ccw' (bos=False) instead of 'none'",
        "pooling 'eos' instead of 'mean'",
        "layer 3 instead of the last",
        "norm 'pre' instead of 'post'",
        "max_tokens 60 instead of 512",
        "normalize False instead of True",
    ]
    template = replace(Template.parse("a {text}", eos=True, boundary="string"), bos=True)
    assert plain.differences(replace(plain, template=template)) == [
        "template 'a {text}' (bos=True, eos=True, boundary=string) instead of 'none'"
    ]
    assert SPEC.differences(replace(SPEC, prompts={})) == ["prompts {} instead of {'query': 'search: '}"]
    assert replace(plain, prompts={"query": ""}).differences(plain) == []


def test_plain_values_hold_everything() -> None:
    values = SPEC.to_dict()
    assert values == {
        "template": {
            "name": "ccw",
            "prefix": 'This sentence: "',
            "suffix": '" belongs to the following cluster:',
            "bos": False,
            "eos": False,
            "boundary": "ids",
        },
        "pooling": "eos",
        "layer": 3,
        "norm": "pre",
        "max_tokens": 60,
        "normalize": False,
        "prompts": {"query": "search: "},
        "attention": "causal",
    }
    del values["prompts"], values["attention"]
    assert EmbedderSpec.from_dict({**values, "more": 1}) == replace(SPEC, layer=None, prompts={})


def test_identity_does_not_depend_on_the_order_of_prompts() -> None:
    prompts = {"query": "q", "document": "d"}
    other = dict(reversed(prompts.items()))
    assert EmbedderSpec(prompts=prompts).identity == EmbedderSpec(prompts=other).identity
    assert EmbedderSpec(prompts={"query": "", "document": "d"}).identity != EmbedderSpec().identity


def _adapt(folder: Path, **settings: Any) -> None:
    lines = [f'{name} = "{value}"' for name, value in settings.items()]
    (folder / "recipe.toml").write_text("\n".join([*lines, "rank = 4"]))
    check_request(str(PATHS["products"]), folder / "out", model="mini", recipe=folder / "recipe.toml")


PAIRS = str(PATHS["pairs"])
COMMANDS: dict[str, Callable[..., Any]] = {
    "export": lambda folder, **settings: lastword.export("mini", folder / "out", **settings),
    "train": lambda folder, **settings: lastword.train(
        folder / "out", model="mini", pairs=[PAIRS], **settings
    ),
    "whiten": lambda folder, **settings: lastword.whiten("mini", "topics", folder / "out", **settings),
    "mine": lambda folder, **settings: mine_negatives(PAIRS, folder / "out.parquet", **settings),
    "distill": lambda folder, **settings: lastword.distill(
        "mini", ["a"], folder / "out", student="shallow", **settings
    ),
    "adapt": _adapt,
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"pooling": "mean:4layers"}, "pooling 'mean:4layers' (a mean of layers); use one layer"),
        ({"pooling": "mean:ditto"}, "pooling 'mean:ditto' (weights from attention); use 'mean'"),
        ({"pooling": "lasttoken+mean"}, "pooling 'lasttoken+mean' in this order; use 'mean+lasttoken'"),
        ({"template": "eol+ccw"}, "template 'eol+ccw', an average; use one of its templates"),
    ],
    ids=str,
)
def test_what_no_folder_could_hold_is_refused_before_the_model_is_loaded(
    command: str, settings: dict[str, Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*args: object, **options: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Embedder, "from_pretrained", loaded)
    with pytest.raises(RequestError) as caught:
        COMMANDS[command](tmp_path, **settings)
    expected = f"a standard model folder cannot express {problem}"
    if command == "train" and "template" in settings:
        expected = "template='eol+ccw' is an average: train with one template"
    assert str(caught.value) == expected
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_pooled_afterwards(load: Callable[..., Embedder], refused: Refused) -> None:
    for pooling in ("lasttoken", "weightedmean", "mean+max", "mean:ditto"):
        message = refused(RequestError, require_late, load(pooling=pooling).spec)
        assert message == (
            f"long_texts='late' pools the mean of each window's states, not {pooling!r}: use pooling='mean', or "
            "long_texts='windows'"
        )
    for template, boundary in (("echo", "ids"), ("eol+sum", "ids"), ("ccw", "string")):
        message = refused(
            RequestError, require_late, load(template=template, boundary=boundary, pooling="mean").spec
        )
        assert f"not {template!r}: use another, or long_texts='windows'" in message
    for pooling in ("mean", "mean:text", "mean:2layers"):
        require_late(load(template="ccw", pooling=pooling).spec)


def test_how_a_model_would_embed_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    spec = EmbedderSpec(
        template=Template.parse("eol"), pooling=Pooling.parse("max"), attention="bidirectional"
    )
    (tmp_path / "lastword.json").write_text(json.dumps(spec.to_dict()))
    assert known_spec(tmp_path) == spec
    assert known_spec(tmp_path, "sum", "mean") == spec.changed(template="sum", pooling="mean")
    (tmp_path / "lastword.json").write_text("{")
    assert (
        known_spec(tmp_path, pooling="cls")
        == known_spec("mini", None, "cls")
        == EmbedderSpec().changed(pooling="cls")
    )
