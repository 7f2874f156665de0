"""The template around a text: parsed once from a string, compiled once to token ids.

A template is a prefix, the text and a suffix; an echo template has the text twice. Last-token pooling reads the
vector at the end of the suffix, so truncation may shorten the text but never the template.

This file does not import torch: templates are checked before it is loaded.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lastword.arguments import require_bool
from lastword.errors import TableError, TemplateError, unknown_name

if TYPE_CHECKING:
    from lastword.embedding.tokenizer import TextTokenizer

SLOT = "{text}"

# Source: arXiv:2507.22729, Table 1, with §4.5 for classify, and arXiv:2404.03921 for pcot and ke, which
# opens a quotation after the colon: as in the paper, eol, pcot and ke end with the colon here.
# echo: arXiv:2402.15449, which repeats the text so that the states of the second copy have seen all of it.
TEMPLATES = {
    "none": "{text}",
    "eol": 'This sentence: "{text}" means in one word:',
    "pcot": 'After thinking step by step, this sentence: "{text}" means in one word:',
    "sum": 'This sentence: "{text}" can be summarized as',
    "ccw": 'This sentence: "{text}" belongs to the following cluster:',
    "ccp": "Cluster the text: {text}",
    "question": 'Which cluster would you assign the sentence: "{text}" to?',
    "classify": 'This sentence: "{text}" can be classified as:',
    "ke": (
        "The essence of a sentence is often captured by its main subjects and actions, while descriptive "
        "terms provide additional but less central details. With this in mind, this sentence: "
        '"{text}" means in one word:'
    ),
    "echo": "Rewrite the sentence: {text}, rewritten sentence: {text}",
}
SHOT_COLUMNS = (("text", "answer"), ("text", "label"), ("anchor", "positive"))
"""Columns of a file of examples; the first of these that it has."""
_DRAWN = re.compile(r"(.+?):(\d{1,4})(?::(\d{1,9}))?")

Boundary = Literal["ids", "string"]


@dataclass(frozen=True)
class Template:
    """A prefix and a suffix around a text, and which special tokens begin and end the sequence.

    Attributes:
        name: one of `TEMPLATES`, NAME@FILE, names with + between, or "custom".
        prefix: string before the text.
        suffix: string after the text.
        bos: begin with the begin-of-text token; None does as the tokenizer does by default.
        eos: end with the end-of-text token, which every pooling then sees. (`eos` pooling appends it by
            itself; with causal attention that changes nothing for the other poolings.)
        boundary: "ids" joins the ids of prefix, text and suffix; "string" tokenizes the formatted
            string as the paper's code does, which merges some characters across the boundaries. "string"
            is for reproduction only: a standard model folder cannot express it.
        middle: string between two copies of the text, each truncated to the same half of the room; the second
            is the text that poolings read. None is one copy.
        averaged: templates whose vectors are averaged, instead of a prefix and a suffix of its own.
    """

    name: str
    prefix: str
    suffix: str
    bos: bool | None = None
    eos: bool = False
    boundary: Boundary = "ids"
    middle: str | None = None
    averaged: tuple[Template, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what has no meaning, alone or together."""
        require_bool("bos", self.bos)
        if self.boundary == "string" and self.middle is not None:
            raise TemplateError(f"template {self.name!r} has {SLOT} twice: use boundary='ids'")

    @classmethod
    def parse(
        cls,
        template: str | Template,
        *,
        bos: bool | None = None,
        eos: bool = False,
        boundary: Boundary = "ids",
    ) -> Template:
        """Make a template from a string.

        Args:
            template: one of the names in `TEMPLATES`; NAME@FILE, with the examples of a file before the text (columns
                `text` and `answer` or `label`, or `anchor` and `positive`), or NAME@FILE:4:0 with 4 of its rows, drawn
                by seed 0; several of these with + between, whose vectors are averaged; or a string with
                `{text}` in it, once, or twice for echo embeddings. A `Template` is returned as it is, except for
                `bos`, `eos` and `boundary` where they are given.
            bos, eos, boundary: see `Template`.

        Raises:
            TemplateError: an unknown name, or a string with no `{text}` or more than two.
            MissingFileError, TableError: a file of examples that cannot be read.
        """
        if boundary not in ("ids", "string"):
            raise TemplateError(unknown_name("boundary", boundary, ["ids", "string"]))
        if isinstance(template, Template):
            return template._with(bos, eos, boundary)
        if not isinstance(template, str):
            raise TemplateError(unknown_name("template", template, TEMPLATES))
        if SLOT not in template and "+" in template:
            parts = [cls.parse(part.strip()) for part in template.split("+")]
            return cls.average(parts)._with(bos, eos, boundary)
        if SLOT not in template and "@" in template:
            base, _, file = template.partition("@")
            if not file:
                raise TemplateError(f"template {template!r} names no file of examples: write {base}@FILE")
            few_shot = cls.parse(base).with_shots(read_shots(file))
            return replace(few_shot, name=f"{base.lower()}@{file}")._with(bos, eos, boundary)
        return cls._of_string(template)._with(bos, eos, boundary)

    @classmethod
    def _of_string(cls, template: str) -> Template:
        name = template.lower() if template.lower() in TEMPLATES else "custom"
        text = TEMPLATES.get(name, template)
        if SLOT not in text:
            if " " in text.strip() or "{" in text:
                raise TemplateError(f"template {template!r} has no {SLOT}: write {SLOT} where the text goes")
            raise TemplateError(
                f"{unknown_name('template', template, TEMPLATES)}; or give a string with {SLOT} in it"
            )
        if text.count(SLOT) > 2:
            raise TemplateError(
                f"template {template!r} contains {SLOT} {text.count(SLOT)} times: it needs one, or two for an echo"
            )
        prefix, *middle, suffix = text.split(SLOT)
        return cls(name, prefix, suffix, middle=middle[0] if middle else None)

    @classmethod
    def average(cls, templates: Sequence[Template]) -> Template:
        """A template whose vectors are the means of those of several templates; the mean of one is that one.

        Source: MetaEOL, arXiv:2402.18458: the mean of the embeddings by several prompts.

        Raises:
            TemplateError: none, one twice, or one that is an average itself.
        """
        members = tuple(templates)
        name = "+".join(member.name for member in members)
        if not members:
            raise TemplateError("no template to average: give at least one")
        if len(members) == 1:
            return members[0]
        if any(member.averaged for member in members):
            raise TemplateError(f"template {name!r} averages an average: give the single templates")
        texts = [member.text for member in members]
        if repeated := [member.name for member in members if texts.count(member.text) > 1]:
            raise TemplateError(f"template {name!r} has {repeated[0]!r} twice: leave one out")
        return cls(name, "", "", averaged=members)

    def with_shots(self, shots: Sequence[tuple[str, str]]) -> Template:
        """The same template after examples: each a text in this template, and the answer that should follow it.

        The examples become part of the prefix: their keys and values are computed once for each batch, and a saved
        folder has them.

        Source: PromptEOL, arXiv:2307.16645, whose in-context learning shows a sentence and its one word.

        Args:
            shots: pairs (text, answer); none leaves the template as it is.

        Raises:
            TemplateError: the template has the text twice, or is an average.
        """
        if self.middle is not None or self.averaged:
            raise TemplateError(f"examples before template {self.name!r}: use a template with one {SLOT}")
        shown = "".join(
            f"{self.prefix}{text.strip()}{self.suffix} {answer.strip()}\n" for text, answer in shots
        )
        return replace(self, name="custom" if shots else self.name, prefix=f"{shown}{self.prefix}")

    def _with(self, bos: bool | None, eos: bool, boundary: Boundary) -> Template:
        """A copy with these policies where they are given."""
        return replace(
            self,
            bos=self.bos if bos is None else bos,
            eos=self.eos or eos,
            boundary=self.boundary if boundary == "ids" else boundary,
            averaged=tuple(member._with(bos, eos, boundary) for member in self.averaged),
        )

    @property
    def text(self) -> str:
        """The template as one string with `{text}` in it."""
        if self.averaged:
            return "+".join(member.text for member in self.averaged)
        between = "" if self.middle is None else f"{self.middle}{SLOT}"
        return f"{self.prefix}{SLOT}{between}{self.suffix}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them; what an ordinary template does not have is left out."""
        values = asdict(self)
        if self.middle is None:
            del values["middle"]
        del values["averaged"]
        if self.averaged:
            values["averaged"] = [member.to_dict() for member in self.averaged]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Template:
        """Read what `to_dict` gives.

        Raises:
            KeyError, TypeError, ValueError: something is missing or invalid.
        """
        members = tuple(map(cls.from_dict, values.get("averaged", ())))
        return cls(**{**values, "averaged": members})

    @property
    def content(self) -> dict[str, Any]:
        """Everything that could change a vector."""
        values = self.to_dict()
        del values["name"]
        if self.averaged:
            values["averaged"] = [member.content for member in self.averaged]
        return values

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that change with anything that could change a vector."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()[:8]

    def compile(self, tokenizer: TextTokenizer, max_tokens: int) -> CompiledTemplate:
        """Turn the template into ids for one tokenizer and one length.

        Raises:
            TemplateError: the template alone fills `max_tokens`, a token it asks for does not exist, or it is an
                average.
        """
        if self.averaged:
            raise TemplateError(
                f"template {self.name!r} is an average of {len(self.averaged)} templates, which can only be used to "
                "embed texts: use one of them"
            )
        bos = tokenizer.adds_bos if self.bos is None else self.bos
        first = (_required(tokenizer.bos_id, "bos", "begin-of-text"),) if bos else ()
        last = (_required(tokenizer.eos_id, "eos", "end-of-text"),) if self.eos else ()
        compiled = CompiledTemplate(
            template=self,
            prefix_ids=(*first, *tokenizer.part_ids(self.prefix)),
            suffix_ids=(*tokenizer.part_ids(self.suffix), *last),
            bos=bos,
            max_tokens=max_tokens,
            middle_ids=None if self.middle is None else tuple(tokenizer.part_ids(self.middle)),
        )
        if compiled.budget < 1:
            shorter = "give fewer examples" if "@" in self.name else "shorten the template"
            raise TemplateError(
                f"template {self.name!r} takes {compiled.length} tokens and max_tokens is {max_tokens}: "
                f"no room for a text; raise max_tokens above {compiled.length + compiled.copies - 1} or {shorter}"
            )
        return compiled


def read_shots(file: str | Path) -> list[tuple[str, str]]:
    """Read examples from the columns of a file that `SHOT_COLUMNS` names.

    Args:
        file: a file, all of whose rows are examples; FILE:4 draws 4 of them at random, FILE:4:7 by seed 7.

    Raises:
        MissingFileError, TableError: see the message.
        TemplateError: fewer rows than are to be drawn.
    """
    from lastword.files.tables import read_texts, require_columns  # pyarrow: only where there is a file

    drawn = _DRAWN.fullmatch(str(file))
    path = drawn[1] if drawn else file
    for text, answer in SHOT_COLUMNS:
        try:
            require_columns(path, [text, answer])
        except TableError:
            continue
        break
    else:
        text, answer = SHOT_COLUMNS[0]  # the message names these
    rows = read_texts(path, [text], labels=[answer])
    shots = list(zip(rows[text], rows[answer], strict=True))
    if drawn is None:
        return shots
    count, seed = int(drawn[2]), int(drawn[3] or 0)
    if not 1 <= count <= len(shots):
        raise TemplateError(f"{count} examples of {path}, which has {len(shots)}: draw 1 … {len(shots)}")
    return random.Random(seed).sample(shots, count)


def _required(token_id: int | None, policy: str, token: str) -> int:
    if token_id is None:
        raise TemplateError(f"{policy}=True, but this tokenizer has no {token} token: use {policy}=False")
    return token_id


@dataclass(frozen=True)
class CompiledTemplate:
    """A template as ids: a sequence is `prefix_ids + text_ids[:budget] + suffix_ids`.

    With `middle_ids` it is `prefix_ids + text_ids[:budget] + middle_ids + text_ids[:budget] + suffix_ids`.

    Attributes:
        template: the template.
        prefix_ids: ids before the text, begin-of-text included.
        suffix_ids: ids after the text, end-of-text included if the template has it.
        bos: whether the sequence begins with the begin-of-text token.
        max_tokens: longest sequence, template included.
        middle_ids: ids between two copies of the text; None is one copy.
    """

    template: Template
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    bos: bool
    max_tokens: int
    middle_ids: tuple[int, ...] | None = None

    @property
    def length(self) -> int:
        """Tokens that the template itself takes."""
        return len(self.prefix_ids) + len(self.middle_ids or ()) + len(self.suffix_ids)

    @property
    def copies(self) -> int:
        """How often the text is in a sequence."""
        return 1 if self.middle_ids is None else 2

    @property
    def single_length(self) -> int:
        """Longest sequence if the text were in it once: what a tokenizer truncates to before the template is added."""
        return self.length + self.budget

    @property
    def budget(self) -> int:
        """Tokens left for each copy of the text."""
        return (self.max_tokens - self.length) // self.copies

    def wrapped(self, ids: Sequence[int]) -> tuple[list[int], tuple[int, int]]:
        """A sequence, and the span (start, end) of the text in it: of the last copy.

        Args:
            ids: of a text, truncated here.
        """
        kept = [*ids[: self.budget]]
        before = [*self.prefix_ids, *([] if self.middle_ids is None else [*kept, *self.middle_ids])]
        return [*before, *kept, *self.suffix_ids], (len(before), len(before) + len(kept))
