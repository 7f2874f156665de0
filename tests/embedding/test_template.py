"""Templates: the published wordings, what can be wrong with one, and what a tokenizer makes of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lastword.embedding import TEMPLATES, Embedder, Template
from lastword.embedding.template import SHOT_COLUMNS, read_shots
from lastword.embedding.tokenizer import TextTokenizer
from lastword.errors import MissingFileError, TableError, TemplateError

Refused = Callable[..., str]

# arXiv:2507.22729, Table 1 and §3.1, and arXiv:2404.03921 (PCoT, KE), copied from the papers.
PUBLISHED = {
    "EOL": 'This sentence: "{text}" means in one word:',
    "PCoT": 'After thinking step by step, this sentence: "{text}" means in one word:',
    "SUM": 'This sentence: "{text}" can be summarized as',
    "CCW": 'This sentence: "{text}" belongs to the following cluster:',
    "CCP": "Cluster the text: {text}",
    "Question": 'Which cluster would you assign the sentence: "{text}" to?',
    "Classify": 'This sentence: "{text}" can be classified as:',
    "KE": "The essence of a sentence is often captured by its main subjects and actions, while descriptive terms "
    "provide additional but less central details. With this in mind, this sentence: "
    '"{text}" means in one word:',
    # arXiv:2402.15449
    "Echo": "Rewrite the sentence: {text}, rewritten sentence: {text}",
}


@pytest.fixture(scope="module")
def llama(llama_folder: Path) -> TextTokenizer:
    return TextTokenizer.load(llama_folder)


@pytest.fixture(scope="module")
def qwen(qwen_folder: Path) -> TextTokenizer:
    return TextTokenizer.load(qwen_folder)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_wordings(name: str) -> None:
    assert TEMPLATES[name.lower()] == PUBLISHED[name]
    assert Template.parse(name).text == PUBLISHED[name]
    assert Template.parse(name).name == name.lower()


def test_nothing_but_the_published_ones_and_none() -> None:
    assert set(TEMPLATES) == {"none", *(name.lower() for name in PUBLISHED)}
    assert Template.parse("none") == Template("none", "", "")


def test_string_with_a_place_for_the_text() -> None:
    assert Template.parse("Topic of {text}?") == Template("custom", "Topic of ", "?")
    assert Template.parse("{text} {title}").suffix == " {title}"


def test_finished_template_is_taken_but_for_what_is_given_with_it() -> None:
    finished = Template("custom", "a ", " b", bos=True, eos=True, boundary="string")
    assert Template.parse(finished) == finished
    assert Template.parse(finished, bos=False) == dataclasses.replace(finished, bos=False)
    plain = Template("custom", "a ", " b")
    assert Template.parse(plain, bos=True, eos=True, boundary="string") == finished


KNOWN = "Known: none, eol, pcot, sum, ccw, ccp, question, classify, ke, echo"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "clasify",
            "unknown template 'clasify': did you mean 'classify'? "
            f"{KNOWN}; or give a string with {{text}} in it",
        ),
        ("zzz", f"unknown template 'zzz': {KNOWN}; or give a string with {{text}} in it"),
        ("Cluster of this:", "template 'Cluster of this:' has no {text}: write {text} where the text goes"),
        ("[{texts}]", "template '[{texts}]' has no {text}: write {text} where the text goes"),
        (
            "{text}{text}={text}",
            "template '{text}{text}={text}' contains {text} 3 times: it needs one, or two for an echo",
        ),
        ("eol+eol", "template 'eol+eol' has 'eol' twice: leave one out"),
        (
            "eol+smu",
            f"unknown template 'smu': did you mean 'sum'? {KNOWN}; or give a string with {{text}} in it",
        ),
    ],
)
def test_strings_that_are_no_template(refused: Refused, given: str, message: str) -> None:
    assert refused(TemplateError, Template.parse, given) == message


def test_unknown_boundary(refused: Refused) -> None:
    message = "unknown boundary 'strings': did you mean 'string'? Known: ids, string"
    assert refused(TemplateError, Template.parse, "ccw", boundary="strings") == message
    assert refused(TemplateError, Template.parse, Template.parse("ccw"), boundary="strings") == message


@pytest.mark.parametrize(("bos", "begins"), [(None, True), (True, True), (False, False)])
def test_begin_of_text_where_the_tokenizer_adds_it(
    llama: TextTokenizer, bos: bool | None, begins: bool
) -> None:
    compiled = Template.parse("ccw", bos=bos).compile(llama, 64)
    plain = tuple(llama.hf('This sentence: "', add_special_tokens=False)["input_ids"])
    assert compiled.prefix_ids == ((llama.bos_id, *plain) if begins else plain)
    assert compiled.bos is begins
    assert compiled.template == Template.parse("ccw", bos=bos)


@pytest.mark.parametrize(("bos", "begins"), [(None, False), (True, True), (False, False)])
def test_begin_of_text_where_the_tokenizer_adds_none(
    gpt2_folder: Path, bos: bool | None, begins: bool
) -> None:
    tokenizer = TextTokenizer.load(gpt2_folder)
    compiled = Template.parse("none", bos=bos).compile(tokenizer, 64)
    assert compiled.prefix_ids == ((tokenizer.bos_id,) if begins else ())
    assert compiled.bos is begins


def test_begin_of_text_that_the_tokenizer_does_not_have(qwen: TextTokenizer, refused: Refused) -> None:
    assert Template.parse("ccw").compile(qwen, 64).bos is False
    assert refused(TemplateError, Template.parse("ccw", bos=True).compile, qwen, 64) == (
        "bos=True, but this tokenizer has no begin-of-text token: use bos=False"
    )


def test_end_of_text(llama: TextTokenizer, bert_folder: Path, refused: Refused) -> None:
    with_eos = Template.parse("ccw", eos=True).compile(llama, 64)
    without = Template.parse("ccw").compile(llama, 64)
    assert with_eos.suffix_ids == (*without.suffix_ids, llama.eos_id)
    assert with_eos.prefix_ids == without.prefix_ids
    tokenizer = TextTokenizer.load(bert_folder)
    assert refused(TemplateError, Template.parse("ccw", eos=True).compile, tokenizer, 64) == (
        "eos=True, but this tokenizer has no end-of-text token: use eos=False"
    )


def test_white_space_of_a_template_counts(llama: TextTokenizer) -> None:
    wide = Template.parse("  a  {text}\n").compile(llama, 64)
    assert llama.hf.decode(wide.prefix_ids[1:]) == "  a  "
    assert llama.hf.decode(wide.suffix_ids) == "\n"


def test_template_longer_than_max_tokens(llama: TextTokenizer, refused: Refused) -> None:
    template = Template.parse("ccw")
    length = template.compile(llama, 64).length
    assert template.compile(llama, length + 1).budget == 1
    for max_tokens in (length, length - 1):
        assert refused(TemplateError, template.compile, llama, max_tokens) == (
            f"template 'ccw' takes {length} tokens and max_tokens is {max_tokens}: no room for a text; "
            f"raise max_tokens above {length} or shorten the template"
        )


def test_end_of_text_counts_towards_the_length(llama: TextTokenizer) -> None:
    compiled = [Template.parse("ccw", eos=eos).compile(llama, 64) for eos in (False, True)]
    assert [one.length + one.budget for one in compiled] == [64, 64]
    assert compiled[1].length == compiled[0].length + 1


def test_hash_changes_with_anything_that_could_change_a_vector() -> None:
    template = Template.parse("ccw")
    changed = [
        Template.parse("ccw", bos=True),
        Template.parse("ccw", bos=False),
        Template.parse("ccw", eos=True),
        Template.parse("ccw", boundary="string"),
        dataclasses.replace(template, prefix="x"),
        dataclasses.replace(template, suffix="x"),
        dataclasses.replace(template, middle=""),
        Template.parse("ccw+eol"),
        Template.parse("ccw+eol", bos=True),
    ]
    hashes = [one.hash for one in (template, *changed)]
    assert len(set(hashes)) == len(hashes)
    assert all(len(one) == 8 and int(one, 16) >= 0 for one in hashes)


def test_hash_does_not_change_with_the_name() -> None:
    assert Template.parse("ccw").hash == Template.parse(TEMPLATES["ccw"]).hash
    assert Template.parse("ccw").hash == dataclasses.replace(Template.parse("ccw"), name="mine").hash


def test_hash_stays_the_same_from_version_to_version() -> None:
    assert Template.parse("ccw").hash == "45259fce"


def test_loading_takes_the_policies(load: Callable[..., Embedder]) -> None:
    embedder = load(template="sum", bos=False, boundary="string")
    assert embedder.spec.template == Template(
        "sum", 'This sentence: "', '" can be summarized as', bos=False, boundary="string"
    )
    finished = Template.parse("sum", eos=True)
    assert load(template=finished, bos=False).spec.template == dataclasses.replace(finished, bos=False)


def test_an_echo_has_the_text_twice_and_reads_the_second_copy(llama: TextTokenizer) -> None:
    compiled = Template.parse("a {text} b {text} c").compile(llama, 20)
    assert compiled.budget == (20 - compiled.length) // 2
    assert compiled.single_length == compiled.length + compiled.budget
    row, (start, end) = compiled.wrapped(range(100, 200))
    copy = list(range(100, 100 + compiled.budget))
    assert compiled.middle_ids is not None
    assert row == [*compiled.prefix_ids, *copy, *compiled.middle_ids, *copy, *compiled.suffix_ids]
    assert (row[start:end], start) == (copy, len(row) - len(compiled.suffix_ids) - len(copy))
    assert len(row) in (19, 20)


def test_an_echo_of_one_token(llama: TextTokenizer) -> None:
    compiled = Template.parse("{text}{text}", bos=False).compile(llama, 2)
    assert compiled.wrapped([7, 8, 9]) == ([7, 7], (1, 2))


def test_an_echo_without_room(llama: TextTokenizer, refused: Refused) -> None:
    template = Template.parse("echo")
    length = template.compile(llama, 64).length
    assert template.compile(llama, length + 2).budget == 1
    assert refused(TemplateError, template.compile, llama, length + 1) == (
        f"template 'echo' takes {length} tokens and max_tokens is {length + 1}: no room for a text; "
        f"raise max_tokens above {length + 1} or shorten the template"
    )


def test_an_echo_joins_ids(refused: Refused) -> None:
    message = "template 'echo' has {text} twice: use boundary='ids'"
    assert refused(TemplateError, Template.parse, "echo", boundary="string") == message


def test_examples_come_before_the_text() -> None:
    few_shot = Template.parse("eol").with_shots([(" a horse \n", "Animal"), ("he paid", "Payment")])
    assert few_shot.text == (
        'This sentence: "a horse" means in one word: Animal\n'
        'This sentence: "he paid" means in one word: Payment\n'
        'This sentence: "{text}" means in one word:'
    )
    assert Template.parse("eol").with_shots([]) == Template.parse("eol")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("shots.csv", "text,answer\na horse,Animal\nhe paid,3\n"),
        ("shots.jsonl", '{"text": "a horse", "answer": "Animal"}\n{"answer": 3, "text": "he paid"}\n'),
    ],
)
def test_examples_of_a_file(file: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_text(content)
    shots = [("a horse", "Animal"), ("he paid", "3")]
    expected = dataclasses.replace(Template.parse("sum", bos=False).with_shots(shots), name=f"sum@{path}")
    assert Template.parse(f"SUM@{path}", bos=False) == expected
    both = Template.parse(f"sum@{path}+eol")
    assert [member.name for member in both.averaged] == [f"sum@{path}", "eol"]


@pytest.mark.parametrize("columns", SHOT_COLUMNS)
def test_examples_are_drawn_by_a_seed(columns: tuple[str, str], tmp_path: Path) -> None:
    """From labelled texts and pairs too: the same ones for the same seed, each once, all different for other seeds."""
    path = tmp_path / "data.csv"
    path.write_text(",".join(columns) + "\n" + "".join(f"text {n},Answer {n}\n" for n in range(40)))
    rows = {(f"text {n}", f"Answer {n}") for n in range(40)}
    drawn = {seed: read_shots(f"{path}:4:{seed}") for seed in range(5)}
    for shots in drawn.values():
        assert len(set(shots)) == 4
        assert set(shots) <= rows
    assert len({tuple(shots) for shots in drawn.values()}) == 5
    assert read_shots(f"{path}:4") == drawn[0] == read_shots(f"{path}:4:0")
    assert set(read_shots(path)) == rows
    template = Template.parse(f"eol@{path}:4:3")
    assert template == dataclasses.replace(Template.parse("eol").with_shots(drawn[3]), name=f"eol@{path}:4:3")


@pytest.mark.parametrize("count", [0, 3])
def test_more_examples_than_there_are(count: int, tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "data.csv"
    path.write_text("text,label\na,b\nc,d\n")
    message = refused(TemplateError, Template.parse, f"eol@{path}:{count}")
    assert message == f"{count} examples of {path}, which has 2: draw 1 … 2"


def test_examples_that_cannot_be(tmp_path: Path, llama: TextTokenizer, refused: Refused) -> None:
    for template in ("echo", "eol+sum"):
        message = refused(TemplateError, Template.parse(template).with_shots, [("a", "b")])
        assert message == f"examples before template {template!r}: use a template with one {{text}}"
    path = tmp_path / "shots.csv"
    assert "no file" in refused(MissingFileError, Template.parse, f"eol@{path}")
    path.write_text("text,reply\na,b\n")
    assert "answer" in refused(TableError, Template.parse, f"eol@{path}")
    path.write_text("text,answer\n" + "a horse,Animal\n" * 9)
    template = Template.parse(f"eol@{path}")
    length = template.compile(llama, 999).length
    assert refused(TemplateError, template.compile, llama, 40) == (
        f"template 'eol@{path}' takes {length} tokens and max_tokens is 40: no room for a text; "
        f"raise max_tokens above {length} or give fewer examples"
    )


def test_average_of_templates(llama: TextTokenizer, refused: Refused) -> None:
    both = Template.parse("eol+SUM", bos=False)
    assert both.averaged == (Template.parse("eol", bos=False), Template.parse("sum", bos=False))
    assert (both.name, both.text) == ("eol+sum", f"{TEMPLATES['eol']}+{TEMPLATES['sum']}")
    assert Template.parse("1 + 1 of {text}").averaged == ()
    assert Template.average([Template.parse("eol")]) == Template.parse("eol")
    assert refused(TemplateError, both.compile, llama, 64) == (
        "template 'eol+sum' is an average of 2 templates, which can only be used to embed texts: use one of them"
    )
    assert refused(TemplateError, Template.average, []) == "no template to average: give at least one"
    message = refused(TemplateError, Template.average, [both, Template.parse("ccw")])
    assert message == "template 'eol+sum+ccw' averages an average: give the single templates"


@pytest.mark.parametrize("template", ["ccw", "echo", "eol+sum", "{text}{text}"])
def test_plain_values_come_back(template: str) -> None:
    parsed = Template.parse(template, bos=True)
    assert Template.from_dict(json.loads(json.dumps(parsed.to_dict()))) == parsed
    assert ("averaged" in parsed.to_dict(), "middle" in parsed.to_dict()) == (
        bool(parsed.averaged),
        parsed.middle is not None,
    )
