"""What the switches change in a training: the two templates, the pairs, and how they meet in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lastword.embedding.template import PLACE, Template
from lastword.errors import RequestError
from lastword.published.switches import MICRO_BATCH, SWITCHES, TRAIN_TOKENS, checked_switches

if TYPE_CHECKING:
    from lastword.embedding import Embedder

# Template → its wordings in training and in evaluation. Source: finetuning/settings.py:4-18 and
# benchmark/benchmark.py:17-30 of the paper's code; ke is only in the first file and question only in the second.
WORDINGS = {
    "none": ("{text}", "{text}"),
    "eol": ('This sentence : "{text}" means in one word:', 'This sentence: "{text}" means in one word:'),
    "pcot": (
        'After thinking step by step, this sentence : "{text}" means in one word:',
        'After thinking step by step, this sentence: "{text}" means in one word',
    ),
    "sum": ('This sentence : "{text}" can be summarized as', 'This sentence: "{text}" can be summarized as'),
    "ccw": (
        'This sentence : "{text}" belongs to the following cluster:',
        'This sentence: "{text}" belongs to the following cluster:',
    ),
    "ccp": ("Cluster the text: {text}", "Cluster the text: {text}"),
    "classify": (
        'This sentence : "{text}" can be classified as:',
        'This sentence : "{text}" can be classified as:',
    ),
}


@dataclass(frozen=True)
class Published:
    """The switches of one training; with none of them, everything is as if this were not there.

    Attributes:
        names: of the switches that are on.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, given: Sequence[str]) -> Published:
        """Check the names of `TrainConfig.as_published`.

        Raises:
            RequestError: an unknown name.
        """
        return cls(checked_switches(given))

    def __str__(self) -> str:
        idle = [name for name in self.names if SWITCHES[name].where != "training"]
        note = f" ({' and '.join(idle)} changes no training)" if idle else ""
        return f"as published: {', '.join(self.names) or 'nothing'}{note}"

    @property
    def keeps_header_rows(self) -> bool:
        """Whether the column names of a CSV file are trained on."""
        return "header_row=keep" in self.names

    def views(self, embedder: Embedder, max_tokens: int) -> tuple[Embedder, Embedder]:
        """The embedder as it is scored and stored, and as it is trained; weights are shared.

        Args:
            embedder: as it was asked for.
            max_tokens: longest training sequence.

        Raises:
            RequestError: a template of which the paper's code has one wording only.
        """
        used, trained = embedder.template, embedder.template
        if "template=split" in self.names:
            trained, used = _wordings(embedder.template)
        if "eos=space" in self.names and (used.eos or embedder.pooling.name == "eos"):
            used = replace(used, name="custom", suffix=used.suffix + " ")
        if "bos=eval-only" in self.names:
            trained = replace(trained, bos=False)
        in_training = embedder.with_template(trained)
        if "train_tokens=100" in self.names:
            max_tokens = TRAIN_TOKENS + in_training.compile(appends_eos=False).length
        return embedder.with_template(used), in_training.with_length(min(max_tokens, embedder.max_tokens))

    def met(self, pairs: int) -> int:
        """How many pairs of a step meet in one loss."""
        return min(pairs, MICRO_BATCH) if "negatives=micro" in self.names else pairs

    def apart(self, owners: Sequence[int], n: int) -> Tensor:
        """Which candidates an anchor never meets, since they are in another micro-batch.

        Args:
            owners: for each of m candidates the anchor that it belongs to.
            n: number of anchors.

        Returns:
            (n, m) bool. The mean over all anchors of a loss with these left out is the mean of the losses of
            the micro-batches, each with the weight of its size.
        """
        if "negatives=micro" not in self.names:
            return torch.zeros(n, len(owners), dtype=torch.bool)
        anchors, candidates = torch.arange(n), torch.tensor(owners)
        return (anchors // MICRO_BATCH)[:, None] != (candidates // MICRO_BATCH)[None]

    def factor(self, n: int) -> float:
        """What the loss of a step of n pairs, and so its gradient, is multiplied by."""
        return float(ceil(n / MICRO_BATCH)) if "accumulation=sum" in self.names else 1.0


def _wordings(template: Template) -> tuple[Template, Template]:
    """The template of training and the template of evaluation."""
    if template.name not in WORDINGS:
        raise RequestError(
            f"as_published='template=split': the paper's code has no two wordings of template {template.name!r}; "
            f"it has them of {', '.join(WORDINGS)}"
        )
    trained, used = (_worded(template, text) for text in WORDINGS[template.name])
    return trained, used


def _worded(template: Template, text: str) -> Template:
    if text == template.text:
        return template
    prefix, suffix = text.split(PLACE)
    return replace(template, name="custom", prefix=prefix, suffix=suffix)
