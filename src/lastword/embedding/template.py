"""The template around a text: parsed once from a string, compiled once to token ids.

A template is a prefix, the text and a suffix. Last-token pooling reads the vector at the end of the suffix,
so truncation may shorten the text but never the template.

This file does not import torch: templates are checked before it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from lastword.errors import TemplateError, unknown_name

if TYPE_CHECKING:
    from lastword.embedding.tokenizer import TextTokenizer

SLOT = "{text}"

# Source: arXiv:2507.22729, Table 1 and §3.1, and arXiv:2404.03921 for pcot and ke; wording as in the paper.
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
}

Boundary = Literal["ids", "string"]


@dataclass(frozen=True)
class Template:
    """A prefix and a suffix around a text, and which special tokens begin and end the sequence.

    Attributes:
        name: one of `TEMPLATES`, or "custom".
        prefix: string before the text.
        suffix: string after the text.
        bos: begin with the begin-of-text token; None does as the tokenizer does by default.
        eos: end with the end-of-text token, which every pooling then sees. (`eos` pooling appends it by
            itself; with causal attention that changes nothing for the other poolings.)
        boundary: "ids" joins the ids of prefix, text and suffix; "string" tokenizes the formatted
            string as the paper's code does, which merges some characters across the boundaries. "string"
            is for reproduction only: a standard model folder cannot express it.
    """

    name: str
    prefix: str
    suffix: str
    bos: bool | None = None
    eos: bool = False
    boundary: Boundary = "ids"

    @classmethod
    def parse(
        cls,
        template: str | Template,
        *,
        bos: bool | None = None,
        eos: bool = False,
        boundary: Boundary = "ids",
    ) -> Template:
        """Make a template from one of the names in `TEMPLATES` or from a string with one `{text}`.

        A `Template` is returned as it is, except for `bos`, `eos` and `boundary` where they are given.

        Raises:
            TemplateError: an unknown name, or a string with no `{text}` or several.
        """
        if boundary not in ("ids", "string"):
            raise TemplateError(unknown_name("boundary", boundary, ["ids", "string"]))
        if isinstance(template, Template):
            return replace(
                template,
                bos=template.bos if bos is None else bos,
                eos=template.eos or eos,
                boundary=template.boundary if boundary == "ids" else boundary,
            )
        name = template.lower() if template.lower() in TEMPLATES else "custom"
        text = TEMPLATES.get(name, template)
        if SLOT not in text:
            if " " in text.strip() or "{" in text:
                raise TemplateError(f"template {template!r} has no {SLOT}: write {SLOT} where the text goes")
            raise TemplateError(
                f"{unknown_name('template', template, TEMPLATES)}; or give a string with {SLOT} in it"
            )
        if text.count(SLOT) > 1:
            raise TemplateError(
                f"template {template!r} contains {SLOT} {text.count(SLOT)} times: it needs exactly one"
            )
        prefix, suffix = text.split(SLOT)
        return cls(name, prefix, suffix, bos, eos, boundary)

    @property
    def text(self) -> str:
        """The template as one string with `{text}` in it."""
        return f"{self.prefix}{SLOT}{self.suffix}"

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that change with anything that could change a vector."""
        content = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    def compile(self, tokenizer: TextTokenizer, max_tokens: int) -> CompiledTemplate:
        """Turn the template into ids for one tokenizer and one length.

        Raises:
            TemplateError: the template alone fills `max_tokens`, or a token it asks for does not exist.
        """
        bos = tokenizer.adds_bos if self.bos is None else self.bos
        first = (_required(tokenizer.bos_id, "bos", "begin-of-text"),) if bos else ()
        last = (_required(tokenizer.eos_id, "eos", "end-of-text"),) if self.eos else ()
        compiled = CompiledTemplate(
            template=self,
            prefix_ids=(*first, *tokenizer.part_ids(self.prefix)),
            suffix_ids=(*tokenizer.part_ids(self.suffix), *last),
            bos=bos,
            max_tokens=max_tokens,
        )
        if compiled.budget < 1:
            raise TemplateError(
                f"template {self.name!r} takes {compiled.length} tokens and max_tokens is {max_tokens}: "
                f"no room for a text; raise max_tokens above {compiled.length} or shorten the template"
            )
        return compiled


def _required(token_id: int | None, policy: str, token: str) -> int:
    if token_id is None:
        raise TemplateError(f"{policy}=True, but this tokenizer has no {token} token: use {policy}=False")
    return token_id


@dataclass(frozen=True)
class CompiledTemplate:
    """A template as ids: a sequence is `prefix_ids + text_ids[:budget] + suffix_ids`.

    Attributes:
        template: the template.
        prefix_ids: ids before the text, begin-of-text included.
        suffix_ids: ids after the text, end-of-text included if the template has it.
        bos: whether the sequence begins with the begin-of-text token.
        max_tokens: longest sequence, template included.
    """

    template: Template
    prefix_ids: tuple[int, ...]
    suffix_ids: tuple[int, ...]
    bos: bool
    max_tokens: int

    @property
    def length(self) -> int:
        """Tokens that the template itself takes."""
        return len(self.prefix_ids) + len(self.suffix_ids)

    @property
    def budget(self) -> int:
        """Tokens left for the text."""
        return self.max_tokens - self.length
