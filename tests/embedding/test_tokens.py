"""Texts to ids: prefix, text and suffix, of which only the text is ever cut; and ids to padded batches."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, processors

from lastword.embedding.template import Template
from lastword.embedding.tokenizer import TextTokenizer
from lastword.embedding.tokens import Sequences, clean, group_by_length, pad, tokenize
from lastword.errors import ModelError, RequestError

Refused = Callable[..., str]

MEGABYTE = "A long text goes on and on. " * 37_500
# White space as Unicode has it, which is what tokenizers strip; Python's also counts U+001C … U+001F.
WHITE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace() and not 0x1C <= code <= 0x1F)
CHARACTERS = "abc ABC.,\"' \n\t\u00a0\u200b\x00\x1b\x1fäß東é🚀"
texts = st.text(CHARACTERS, max_size=40) | st.text(max_size=10)
templates = st.sampled_from(["none", "ccw", "ccp", "ke", ' "{text}"\n', "🚀{text}é"])
GARBLED = {
    "lone surrogates": ("a\ud83d b\udc00", "a\ufffd b\ufffd"),
    "surrogates in pairs": ("\ud83d\ude80", "🚀"),
    "surrogate at the end": ("end\ud800", "end\ufffd"),
    "control characters": ("a\x00b\x1b[0m\x7f", "a\x00b\x1b[0m\x7f"),
    "emoji": ("🚀👩‍👩‍👧", "🚀👩‍👩‍👧"),
}


@pytest.fixture(scope="module", params=["llama", "qwen", "gpt2"])
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    return TextTokenizer.load(request.getfixturevalue(f"{request.param}_folder"))


@pytest.fixture(scope="module")
def llama(llama_folder: Path) -> TextTokenizer:
    return TextTokenizer.load(llama_folder)


@given(many=st.lists(texts, min_size=1, max_size=5), template=templates, room=st.integers(1, 12))
def test_ids_are_prefix_text_and_suffix(
    tokenizer: TextTokenizer, many: list[str], template: str, room: int
) -> None:
    parsed = Template.parse(template)
    compiled = parsed.compile(tokenizer, parsed.compile(tokenizer, 512).length + room)
    whole = [tokenizer.hf(clean(text).strip(WHITE), add_special_tokens=False)["input_ids"] for text in many]
    expected = [[*compiled.prefix_ids, *ids[:room], *compiled.suffix_ids] for ids in whole]
    if not all(expected):
        return  # a text without a token, which is refused; see below
    sequences = tokenize(many, compiled, tokenizer)
    assert sequences.ids == expected
    assert sequences.truncated == sum(len(ids) > room for ids in whole)
    assert [ids[a:b] for ids, (a, b) in zip(expected, sequences.spans, strict=True)] == [
        ids[:room] for ids in whole
    ]
    assert len(sequences) == len(many)
    assert max(map(len, sequences.ids)) <= compiled.max_tokens


def test_outer_white_space_is_no_part_of_a_text(tokenizer: TextTokenizer) -> None:
    compiled = Template.parse("ccp").compile(tokenizer, 64)
    plain, wide, inner = tokenize(["a man", WHITE + "a man \n", "a  man"], compiled, tokenizer).ids
    assert plain == wide
    assert plain != inner


def test_a_megabyte_is_cut_and_the_suffix_stays(tokenizer: TextTokenizer) -> None:
    for boundary in ("ids", "string"):
        compiled = Template.parse("ccw", boundary=boundary).compile(tokenizer, 100)
        started = time.process_time()
        sequences = tokenize(["short", MEGABYTE], compiled, tokenizer)
        assert time.process_time() - started < 10
        assert sequences.truncated == 1
        assert 98 <= len(sequences.ids[1]) <= 100
        decoded = tokenizer.hf.decode(sequences.ids[1], skip_special_tokens=True)
        assert decoded.startswith('This sentence: "A long text goes on and on. A long')
        assert decoded.endswith('" belongs to the following cluster:')


@pytest.mark.parametrize("name", GARBLED)
def test_odd_characters(tokenizer: TextTokenizer, name: str) -> None:
    text, expected = GARBLED[name]
    assert clean(text) == expected
    for boundary in ("ids", "string"):
        compiled = Template.parse("x {text} y", boundary=boundary).compile(tokenizer, 100)
        ids = tokenize([text], compiled, tokenizer).ids[0]
        assert tokenizer.hf.decode(ids, skip_special_tokens=True) == f"x {expected} y"


@given(st.text())
def test_clean_leaves_other_texts_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "NoneType"), (1.5, "float"), (b"a", "bytes"), (["a"], "list")]
)
def test_what_is_no_string(llama: TextTokenizer, refused: Refused, value: object, kind: str) -> None:
    compiled = Template.parse("ccw").compile(llama, 64)
    assert refused(RequestError, tokenize, ["a", value], compiled, llama) == (
        f"text 1 is {kind}, not str: give texts as strings"
    )


@pytest.mark.parametrize("empty", ["", " \n\t\u3000"])
@pytest.mark.parametrize("boundary", ["ids", "string"])
def test_empty_text_needs_a_template(
    llama: TextTokenizer, refused: Refused, empty: str, boundary: str
) -> None:
    bare = Template.parse("none", bos=False, boundary=boundary).compile(llama, 64)
    assert refused(RequestError, tokenize, ["a", empty], bare, llama) == (
        "text 1 is empty and template 'none' adds no token to it"
    )
    wrapped = Template.parse("ccw", boundary=boundary).compile(llama, 64)
    sequences = tokenize([empty], wrapped, llama)
    assert llama.hf.decode(sequences.ids[0]) == '<s>This sentence: "" belongs to the following cluster:'
    assert sequences.truncated == 0
    if boundary == "ids":
        (start, end) = sequences.spans[0]
        assert start == end


@given(text=texts, template=templates, eos=st.booleans())
def test_string_boundary_is_the_formatted_string(
    tokenizer: TextTokenizer, text: str, template: str, eos: bool
) -> None:
    parsed = Template.parse(template, eos=eos, boundary="string")
    text = clean(text).strip()
    formatted = parsed.text.replace("{text}", text)
    expected = tokenizer.hf(formatted, add_special_tokens=False)["input_ids"]
    compiled = parsed.compile(tokenizer, 512)
    head = [tokenizer.bos_id] if compiled.bos else []
    tail = [tokenizer.eos_id] if eos else []
    if not (head or expected or tail):
        return
    sequences = tokenize([text], compiled, tokenizer)
    assert sequences.ids == [[*head, *expected, *tail]]
    (start, end) = sequences.spans[0]
    if text.isascii():
        assert text in tokenizer.hf.decode(sequences.ids[0][start:end])


@given(text=st.text(CHARACTERS, min_size=30, max_size=80), room=st.integers(1, 12))
def test_string_boundary_cuts_the_text_alone(tokenizer: TextTokenizer, text: str, room: int) -> None:
    parsed = Template.parse("sum", boundary="string")
    text = text.strip()
    max_tokens = parsed.compile(tokenizer, 512).length + room
    sequences = tokenize([text], parsed.compile(tokenizer, max_tokens), tokenizer)
    decoded = tokenizer.hf.decode(sequences.ids[0], skip_special_tokens=True)
    assert decoded.startswith(parsed.prefix)
    assert decoded.endswith(parsed.suffix)
    kept = decoded.removeprefix(parsed.prefix).removesuffix(parsed.suffix)
    assert text.startswith(kept)
    assert sequences.truncated == (len(kept) < len(text))
    assert len(sequences.ids[0]) <= max_tokens


@pytest.mark.parametrize(("text", "inside"), [("man", "man"), ("a man", "a man"), ("man.", 'man."')])
def test_string_boundary_counts_a_merged_token_as_text(llama: TextTokenizer, text: str, inside: str) -> None:
    compiled = Template.parse("sum", boundary="string").compile(llama, 64)
    sequences = tokenize([text], compiled, llama)
    ((start, end),) = sequences.spans
    assert llama.hf.decode(sequences.ids[0][start:end]) == inside


@pytest.mark.parametrize("room", [1, 2, 20])
def test_string_boundary_cuts_no_more_than_it_must(tokenizer: TextTokenizer, room: int) -> None:
    parsed = Template.parse("sum", boundary="string")
    max_tokens = len(tokenize(["a"], parsed.compile(tokenizer, 512), tokenizer).ids[0]) - 1 + room
    sequences = tokenize(["man man " * 30, "a"], parsed.compile(tokenizer, max_tokens), tokenizer)
    assert len(sequences.ids[0]) == max_tokens
    assert sequences.truncated == 1


def test_boundaries_differ_where_a_text_meets_the_template(llama: TextTokenizer) -> None:
    pair = [Template.parse("ccw", boundary=one).compile(llama, 64) for one in ("ids", "string")]
    joined, formatted = (tokenize(["She left."], one, llama).ids[0] for one in pair)
    assert llama.hf.decode(joined) == llama.hf.decode(formatted)
    assert joined != formatted


def test_normalizers_of_the_base_model_are_kept(llama_folder: Path, tmp_path: Path) -> None:
    """A base tokenizer that strips and lowers by itself is not mistaken for one that lastword wrote."""
    folder = tmp_path / "lower"
    shutil.copytree(llama_folder, folder)
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.NFC(), normalizers.Lowercase()]
    )
    backend.save(str(folder / "tokenizer.json"))
    tokenizer = TextTokenizer.load(folder)
    assert tokenizer.part_ids("A MAN") == backend.encode("a man", add_special_tokens=False).ids
    assert tokenizer.text_ids([" A MAN "]) == [tokenizer.part_ids("a man")]


def test_a_saved_tokenizer_loads_as_what_it_was(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer.definition()))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": tokenizer.hf.eos_token}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    again = TextTokenizer.load(tmp_path)
    assert again.part_ids("  a man ") == tokenizer.part_ids("  a man ")
    assert again.definition() == tokenizer.definition()


def test_a_tokenizer_that_knows_no_letter(tmp_path: Path) -> None:
    """What it adds to a text is found all the same."""
    backend = Tokenizer(models.BPE({"<s>": 0, "b": 1}, []))
    backend.add_special_tokens(["<s>"])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    backend.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = TextTokenizer.load(tmp_path)
    assert tokenizer.added_ids == ([0], [])
    assert tokenizer.adds_bos


def test_folder_without_a_tokenizer(tmp_path: Path, llama_folder: Path, refused: Refused) -> None:
    folder = tmp_path / "none"
    shutil.copytree(llama_folder, folder)
    (folder / "tokenizer.json").write_text("{")
    message = refused(ModelError, TextTokenizer.load, folder)
    assert message.startswith(f"{folder} has no usable tokenizer: ")
    assert "\n" not in message
    for file in ("tokenizer.json", "tokenizer_config.json"):  # one of them, then both
        (folder / file).unlink()
        assert refused(ModelError, TextTokenizer.load, folder) == (
            f"{folder} has no usable tokenizer: files are missing; copy tokenizer.json and "
            "tokenizer_config.json of its base model into it"
        )


@given(lengths=st.lists(st.integers(0, 60), max_size=30), batch_tokens=st.integers(1, 200))
def test_groups_hold_every_row_once_within_the_budget(lengths: list[int], batch_tokens: int) -> None:
    groups = list(group_by_length(lengths, batch_tokens))
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    in_order = [lengths[row] for group in groups for row in group]
    assert in_order == sorted(lengths, reverse=True)
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[row] for row in group) <= batch_tokens


def test_groups_by_hand() -> None:
    assert list(group_by_length([3, 1, 2, 3], 6)) == [[0, 3], [2, 1]]
    assert list(group_by_length([5, 1, 1, 0], 2)) == [[0], [1, 2], [3]]
    assert list(group_by_length([0, 0, 0], 2)) == [[0, 1], [2]]


def test_rows_are_named_by_their_numbers(llama: TextTokenizer, refused: Refused) -> None:
    bare = Template.parse("none", bos=False).compile(llama, 64)
    message = refused(RequestError, tokenize, ["a", ""], bare, llama, [7, 9])
    assert message == "text 9 is empty and template 'none' adds no token to it"


def test_the_prefix_is_shared_where_ids_are_joined(llama: TextTokenizer) -> None:
    for boundary, shared in (("ids", True), ("string", False)):
        compiled = Template.parse("sum", boundary=boundary).compile(llama, 64)
        assert tokenize(["a", "b"], compiled, llama).shared == (len(compiled.prefix_ids) if shared else 0)


def test_pad() -> None:
    sequences = Sequences(ids=[[5, 6, 7], [8], [5, 9]], spans=[(1, 3), (0, 1), (1, 1)], truncated=0, shared=1)
    batch = pad(sequences, [2, 0], pad_id=1, device=torch.device("cpu"))
    assert batch.rows == [2, 0]
    assert batch.input_ids.tolist() == [[5, 9, 1], [5, 6, 7]]
    assert batch.input_ids.dtype == torch.int64
    assert (batch.lengths, batch.tokens, batch.shared) == ([2, 3], 5, 1)
    assert batch.attention_mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.text_mask.tolist() == [[False, False, False], [False, True, True]]


def test_some_rows_of_a_batch_are_the_batch_of_those_rows() -> None:
    sequences = Sequences(
        ids=[[5, 6, 7, 8], [5, 8], [5, 9, 1]], spans=[(1, 4), (1, 2), (2, 3)], truncated=0, shared=1
    )
    taken, alone = (
        pad(sequences, [2, 0, 1], 3, torch.device("cpu")).take([2, 0]),
        pad(sequences, [1, 2], 3, torch.device("cpu")),
    )
    assert (taken.rows, taken.lengths, taken.shared) == (alone.rows, alone.lengths, alone.shared)
    for name in ("input_ids", "attention_mask", "text_mask"):
        assert torch.equal(getattr(taken, name), getattr(alone, name)), name


@pytest.mark.parametrize(
    "unit", ["the river was low, ", "東京 Größe 🚀", "x" * 40 + " ", "no-spaces-at-all,", " \n\t a"]
)
def test_a_very_long_text_has_the_ids_of_its_beginning(
    tokenizer: TextTokenizer, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = Template.parse("ccw").compile(tokenizer, 60)
    many = [unit * 400, "short", " " * 3000 + unit * 200, unit * 300 + "the end"]
    whole = tokenize(many, compiled, tokenizer)
    monkeypatch.setattr("lastword.embedding.tokens._LONG_TEXT", 1000)
    assert tokenize(many, compiled, tokenizer) == whole


def test_a_very_long_text_is_not_tokenized_to_its_end(llama: TextTokenizer) -> None:
    class Counting(TextTokenizer):
        characters = 0

        def text_ids(self, texts: list[str]) -> list[list[int]]:
            self.characters += sum(map(len, texts))
            return super().text_ids(texts)

    counting = Counting(llama.hf)
    sequences = tokenize(
        ["the river was low " * 500_000], Template.parse("none").compile(counting, 60), counting
    )
    assert counting.characters < 2_000_000
    assert sequences.truncated == 1
    assert len(sequences.ids[0]) == 60
