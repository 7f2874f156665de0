"""What is compared is read from names, numbers and files; messages name the invalid value and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lastword.embedding import TEMPLATES
from lastword.errors import MissingFileError, RequestError, TemplateError
from lastword.probing.choices import POOLINGS, read_layers, read_poolings, read_suffixes, read_templates

Refused = Callable[..., str]


def suffixes(folder: Path, text: str) -> Path:
    path = folder / "suffixes.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_is_all_named_templates() -> None:
    assert [template.name for template in read_templates(None)] == list(TEMPLATES)
    assert [pooling.spec for pooling in read_poolings(None)] == list(POOLINGS)


def test_names_with_commas_and_whole_templates_with_theirs() -> None:
    names = ["none, ccw", "First, think: {text}, then say", "eol"]
    assert [template.text for template in read_templates(names)] == [
        "{text}", TEMPLATES["ccw"], "First, think: {text}, then say", TEMPLATES["eol"],
    ]  # fmt: skip
    assert [pooling.spec for pooling in read_poolings("mean,Mean:text")] == ["mean", "mean:text"]


@pytest.mark.parametrize(
    ("layers", "numbers"),
    [("all", [0, 1, 2, 3]), ("last", [3]), ("0, 2,last", [0, 2, 3]), ([1, 3], [1, 3]), (2, [2])],
)
def test_layers(layers: Any, numbers: list[int]) -> None:
    assert read_layers(layers, 3) == numbers


def test_suffixes_and_whole_templates(tmp_path: Path) -> None:
    path = suffixes(tmp_path, "# ends\n\n  means in one word:\nTopic of {text} is\n#x\n belongs to\n")
    assert [template.text for template in read_suffixes(path)] == [
        'This sentence: "{text}" means in one word:', "Topic of {text} is", 'This sentence: "{text}" belongs to',
    ]  # fmt: skip
    assert [template.text for template in read_suffixes(path, "A text: {text}.")] == [
        "A text: {text}. means in one word:", "Topic of {text} is", "A text: {text}. belongs to",
    ]  # fmt: skip
    assert read_templates(None, path)[0].text == 'This sentence: "{text}" means in one word:'
    assert read_templates(["none"], path)[0].name == "none"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", RequestError, "{path} has no suffix: write one on each line, such as: means in one word:"),
        ("# a\n\n", RequestError, "{path} has no suffix: write one on each line, such as: means in one word:"),
        ("is\n\nwas\n is \n", RequestError, "{path}, line 4: 'is' repeats line 1"),
        (
            "is\nThis sentence: \"{text}\" is", RequestError,
            "{path}, line 2: 'This sentence: \"{text}\" is' repeats line 1",
        ),
        (
            "a {text} b {text}", TemplateError,
            "{path}, line 1: 'a {text} b {text}' has {text} 2 times: a whole template has it once",
        ),
    ],
)  # fmt: skip
def test_invalid_suffixes(
    text: str, kind: type[Exception], message: str, tmp_path: Path, refused: Refused
) -> None:
    path = suffixes(tmp_path, text)
    assert refused(kind, read_suffixes, path) == message.replace("{path}", str(path))


def test_a_file_of_suffixes_that_cannot_be_read(tmp_path: Path, refused: Refused) -> None:
    missing = tmp_path / "no.txt"
    assert refused(MissingFileError, read_suffixes, missing) == (
        f"no file {missing}: give a text file with one suffix on each line"
    )
    path = tmp_path / "latin.txt"
    path.write_bytes("für".encode("latin-1"))
    assert refused(RequestError, read_suffixes, path) == f"{path} is not UTF-8 text: save it as UTF-8"
    path = suffixes(tmp_path, "is")
    assert refused(TemplateError, read_suffixes, path, "A text:") == (
        "prefix 'A text:' has {text} 0 times: it needs exactly one"
    )


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: read_templates(["cww"]), TemplateError,
            f"unknown template 'cww': did you mean 'ccw'? Known: {', '.join(TEMPLATES)}; "
            "or give a string with {text} in it",
        ),
        (lambda: read_templates(["ccw", "none", "ccw"]), RequestError,
         f"template {TEMPLATES['ccw']!r} is given twice: leave one out"),
        (lambda: read_templates(["eol", TEMPLATES["eol"]]), RequestError,
         f"template {TEMPLATES['eol']!r} is given twice: leave one out"),
        (lambda: read_templates([]), RequestError, "no template: give at least one"),
        (lambda: read_poolings("maen"), RequestError,
         "unknown pooling 'maen': did you mean 'mean'? Known: mean, lasttoken, eos, max, weightedmean, cls, latent"),
        (lambda: read_poolings(["mean", "mean"]), RequestError, "pooling 'mean' is given twice: leave one out"),
        (lambda: read_layers("0,9", 8), RequestError, "layer 9: this model has hidden states 0 … 8"),
        (lambda: read_layers([-1], 8), RequestError, "layer -1: this model has hidden states 0 … 8"),
        (lambda: read_layers("8,last", 8), RequestError, "layer '8' is given twice: leave one out"),
        (lambda: read_layers([], 8), RequestError, "no layer: give at least one"),
        (lambda: read_layers("0-3", 8), RequestError,
         "layers '0-3': write all, last, or numbers separated by commas, such as 0,3,6"),
    ],
)  # fmt: skip
def test_invalid_choices(
    call: Callable[[], Any], kind: type[Exception], message: str, refused: Refused
) -> None:
    assert refused(kind, call) == message
