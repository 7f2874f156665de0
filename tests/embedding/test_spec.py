"""The spec: one value for everything that makes a vector besides the model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from lastword.embedding import EmbedderSpec, Pooling, Template
from lastword.errors import RequestError, TemplateError

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
    assert refused(RequestError, SPEC.changed, prompts={"query": 3}) == "prompts['query'] is int, not str"
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
