"""What makes a vector besides the model: one frozen value, stored with a folder and part of every identity.

This file does not import torch: settings are checked before it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lastword.arguments import require_bool, require_string, whole_number
from lastword.bundled import model_source
from lastword.embedding.pooling import MODES, Pooling
from lastword.embedding.template import Template
from lastword.errors import RequestError, unknown_name

Norm = Literal["post", "pre"]
Attention = Literal["causal", "bidirectional"]
DEFAULT_MAX_TOKENS = 512
QUERY = ("query",)
DOCUMENT = ("document", "passage", "corpus")
"""Names of prompts that `encode_query` and `encode_document` look for, as in sentence-transformers."""
LASTWORD_JSON = "lastword.json"
"""What a saved folder says of how to embed."""


@dataclass(frozen=True)
class EmbedderSpec:
    """How texts become vectors, apart from weights and tokenizer.

    Attributes:
        template: string around each text, with its policy on special tokens.
        pooling: how hidden states become one vector.
        layer: hidden state that is pooled, 0 … number of layers; None is the last.
        norm: "post" pools after the model's final norm, "pre" before it.
        max_tokens: longest sequence in tokens, template included; an appended end-of-text token comes on top.
            None is 512, or what the model's positions allow.
        normalize: whether vectors are scaled to length 1.
        prompts: name → string that is put before a text, inside the template, such as
            {"query": "search query: "}.
        attention: "causal", or "bidirectional", where every token sees the whole text; a decoder needs training for it.
    """

    template: Template = field(default_factory=lambda: Template.parse("none"))
    pooling: Pooling = field(default_factory=lambda: Pooling("mean"))
    layer: int | None = None
    norm: Norm = "post"
    max_tokens: int | None = None
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict, hash=False)
    attention: Attention = "causal"

    def __post_init__(self) -> None:
        """Refuse values that no model can take."""
        if self.norm not in ("post", "pre"):
            raise RequestError(unknown_name("norm", self.norm, ["post", "pre"]))
        if self.attention not in ("causal", "bidirectional"):
            raise RequestError(unknown_name("attention", self.attention, ["causal", "bidirectional"]))
        require_bool("normalize", self.normalize)
        for name in ("layer", "max_tokens"):
            if (number := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole_number(name, number))
        if not isinstance(self.prompts, Mapping):
            raise RequestError(
                f"prompts={self.prompts!r}: give a dict, such as {{'query': 'search query: '}}"
            )
        for name, prompt in self.prompts.items():
            require_string(f"prompts[{name!r}]", prompt)
            require_string(f"the name of prompt {prompt!r}", name)

    def changed(self, **changes: Any) -> EmbedderSpec:
        """A copy with other values; None leaves a value as it is.

        Args:
            **changes: fields; template and pooling may be strings. `bos` and `boundary` change the template.

        Raises:
            RequestError, TemplateError: an invalid value.
        """
        values = {name: value for name, value in changes.items() if value is not None}
        template = values.pop("template", self.template)
        policy = {name: values.pop(name) for name in ("bos", "boundary") if name in values}
        if "pooling" in values:
            values["pooling"] = Pooling.parse(values["pooling"])
        return replace(self, template=Template.parse(template, **policy), **values)

    def shortened(self, positions: int) -> EmbedderSpec:
        """A copy whose sequences are no longer than a model allows."""
        return replace(self, max_tokens=min(self.max_tokens or positions, positions))

    def fitted(self, layers: int, positions: int, model: str) -> EmbedderSpec:
        """Fill in what depends on the model, and refuse what it cannot do.

        Args:
            layers: number of layers of the model.
            positions: longest sequence that the model was made for.
            model: its name, for messages.

        Returns:
            A copy with `max_tokens` set and `layer` None where the last layer is asked for by number.

        Raises:
            RequestError: a layer or length that the model does not have.
        """
        layer = checked_layer(self.layer, layers)
        longest = min(DEFAULT_MAX_TOKENS, positions - 1)  # one is left for an end-of-text token
        max_tokens = longest if self.max_tokens is None else self.max_tokens
        if max_tokens > positions:
            raise RequestError(
                f"max_tokens={max_tokens}: {model} has {positions} positions; use at most that many"
            )
        return replace(self, layer=None if layer == layers else layer, max_tokens=max_tokens)

    def differences(self, other: EmbedderSpec) -> list[str]:
        """Each setting that has another value in another spec, with both values; adding prompts to none is none."""
        values = {
            name: (getattr(self, name), getattr(other, name)) for name in EmbedderSpec.__dataclass_fields__
        }
        if not any(self.prompts.values()):
            del values["prompts"]
        return [
            f"{name} {_shown(new)} instead of {_shown(old)}"
            for name, (old, new) in values.items()
            if old != new
        ]

    def prompt(self, names: tuple[str, ...]) -> str:
        """The first prompt that has one of these names, or ""."""
        return next((self.prompts[name] for name in names if name in self.prompts), "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        values = {name: getattr(self, name) for name in EmbedderSpec.__dataclass_fields__}
        plain = {
            "template": self.template.to_dict(),
            "pooling": self.pooling.spec,
            "prompts": dict(self.prompts),
        }
        return values | plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EmbedderSpec:
        """Read what `to_dict` gives; further keys are ignored. The stored layer is the folder's last one.

        Raises:
            KeyError, TypeError, ValueError: something is missing or invalid.
        """
        return cls(
            template=Template.from_dict(values["template"]),
            pooling=Pooling.parse(values["pooling"]),
            norm=values["norm"],
            max_tokens=values["max_tokens"],
            normalize=values["normalize"],
            prompts=values.get("prompts", {}),
            attention=values.get("attention", "causal"),
        )

    @property
    def identity(self) -> str:
        """A string that changes with anything that could change a vector; the template's name does not."""
        values = {**self.to_dict(), "template": self.template.content}
        if not any(self.prompts.values()):
            del values["prompts"]
        if self.attention == "causal":
            del values["attention"]
        return json.dumps(values, sort_keys=True)


def _shown(value: object) -> str:
    """A value of a spec for people."""
    if isinstance(value, Pooling):
        return repr(value.spec)
    if not isinstance(value, Template):
        return "the last" if value is None else repr(value)
    usual = {"bos": None, "eos": False, "boundary": "ids"}
    policy = [f"{name}={getattr(value, name)}" for name in usual if getattr(value, name) != usual[name]]
    shown = repr(value.text if value.name == "custom" else value.name)
    return f"{shown} ({', '.join(policy)})" if policy else shown


def checked_layer(layer: int | None, layers: int) -> int:
    """The number of a hidden state, the last for None.

    Raises:
        RequestError: the model has no such hidden state.
    """
    if layer is None:
        return layers
    if not 0 <= (layer := whole_number("layer", layer)) <= layers:
        raise RequestError(f"layer={layer}: this model has hidden states 0 … {layers}")
    return layer


def known_spec(
    model: str | Path, template: str | Template | None = None, pooling: str | Pooling | None = None
) -> EmbedderSpec:
    """How a model would embed, as far as that is known without loading it.

    Args:
        model: name or folder of a decoder.
        template, pooling: None takes what the folder says, if it says something.

    Raises:
        RequestError, TemplateError: an invalid value.
    """
    try:
        stored = Path(model_source(model)) / LASTWORD_JSON
        spec = EmbedderSpec.from_dict(json.loads(stored.read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError):  # loading it will say what is wrong
        spec = EmbedderSpec()
    return spec.changed(template=template, pooling=pooling)


def check_savable(
    model: str | Path, template: str | Template | None = None, pooling: str | Pooling | None = None
) -> EmbedderSpec:
    """Refuse what no standard folder could hold, before the model is loaded.

    Args:
        model, template, pooling: as for `known_spec`, which is returned.

    Raises:
        RequestError, TemplateError: see the message.
    """
    spec = known_spec(model, template, pooling)
    require_standard(spec)
    return spec


def require_late(spec: EmbedderSpec) -> None:
    """Refuse a template or pooling with which the windows of a text cannot be pooled after one pass over it.

    Raises:
        RequestError: see the message.
    """
    pooling, template = spec.pooling, spec.template
    if pooling.name != "mean" or pooling.ditto or pooling.also:
        raise RequestError(
            f"long_texts='late' pools the mean of each window's states, not {pooling.spec!r}: use pooling='mean', or "
            "long_texts='windows'"
        )
    if template.averaged or template.middle is not None or template.boundary == "string":
        raise RequestError(
            f"long_texts='late' needs a template with the text in it once, not {template.name!r}: use another, or "
            "long_texts='windows'"
        )


def require_standard(spec: EmbedderSpec) -> None:
    """Refuse what a standard folder cannot express: it pools whole sequences after the final norm.

    Raises:
        RequestError: see the message.
    """
    problem, parts = None, spec.pooling.parts
    modes = [part.method.mode for part in parts]
    in_order = [mode for mode in MODES if mode in modes]
    if any(part.over == "text" for part in parts):
        names = "+".join(part.name for part in parts)
        problem = f"pooling {spec.pooling.spec!r} (over the text alone); use {names!r}"
    elif any(part.layers > 1 for part in parts):
        problem = f"pooling {spec.pooling.spec!r} (a mean of layers); use one layer"
    elif any(part.ditto for part in parts):
        problem = f"pooling {spec.pooling.spec!r} (weights from attention); use 'mean'"
    elif len({part.method.needs_eos for part in parts}) > 1:
        problem = (
            f"pooling {spec.pooling.spec!r}: its other parts would see the end-of-text token that eos needs; use "
            "lasttoken instead of eos"
        )
    elif len(parts) > 1 and modes != in_order:
        problem = f"pooling {spec.pooling.spec!r} in this order; use {'+'.join(in_order)!r}"
    elif spec.norm == "pre":
        problem = "norm='pre'; use norm='post'"
    elif spec.template.boundary == "string":
        problem = "boundary='string'; use boundary='ids'"
    elif spec.template.averaged:
        problem = f"template {spec.template.name!r}, an average; use one of its templates"
    if problem:
        raise RequestError(f"a standard model folder cannot express {problem}")
