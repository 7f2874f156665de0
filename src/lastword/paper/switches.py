"""The switches: what the paper's code does, what lastword does instead, and the lines of that code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lastword.errors import RequestError, unknown_name

ALL = "all"
MICRO_BATCH, TRAIN_TOKENS, EVALUATION_BATCH = 12, 100, 32

Where = Literal["training", "evaluation", "report"]


@dataclass(frozen=True)
class Switch:
    """One difference between the paper's code and this.

    Attributes:
        name: on the command line.
        where: what it changes: the training run (and the template that is stored with the model), the scoring
            of a model, or the mean of several scores.
        published: what the paper's code does.
        instead: what lastword does.
        source: file and lines of the code that goes with arXiv:2507.22729 (beneroth13/llm-text-embeddings).
    """

    name: str
    where: Where
    published: str
    instead: str
    source: str


_LIST = (
    Switch(
        "negatives=micro",
        "training",
        f"each micro-batch of {MICRO_BATCH} pairs has a loss of its own: 11 negatives for each anchor",
        "the loss is over the whole step: 119 negatives in a step of 120 pairs",
        "finetuning/settings.py:45-46, finetuning/train.py:151-202",
    ),
    Switch(
        "accumulation=sum",
        "training",
        "the gradients of the micro-batches are added and not averaged: ten times as large in a step of 120 pairs, "
        "before they are clipped to norm 1",
        "the loss is the mean over the step",
        "finetuning/train.py:151-202, 295-296, with transformers 4.51.3 (trainer.py:3774)",
    ),
    Switch(
        "bos=eval-only",
        "training",
        "training leaves out the begin-of-text token that evaluation puts first",
        "both do as the template says",
        "finetuning/train.py:97-98, 206-207; benchmark/benchmark.py:136",
    ),
    Switch(
        "template=split",
        "training",
        "training has a space before the first colon and evaluation has none; pcot ends in “word:” in training and in "
        "“word” in evaluation",
        "one template for everything",
        "finetuning/settings.py:4-18; benchmark/benchmark.py:17-30",
    ),
    Switch(
        "eos=space",
        "training",
        "training appends the end-of-text token, evaluation a space and the token: one token more before it",
        "the token is appended as an id, always",
        "finetuning/train.py:107-109; benchmark/benchmark.py, step 2 of encode",
    ),
    Switch(
        "padding=left-assumed",
        "evaluation",
        "the last token is read at the number of real tokens from the left, whatever side the tokenizer pads on: with "
        "a tokenizer that pads on the left, as set up for training, the state of a wrong token",
        "padding is masked, on the right, and never changes a vector",
        "finetuning/train.py:113-115; benchmark/benchmark.py:156-158",
    ),
    Switch(
        "train_tokens=100",
        "training",
        f"texts are truncated to {TRAIN_TOKENS} tokens in training and to 512 in evaluation",
        "max_tokens is the length of a training sequence, and the share of truncated texts is logged before training",
        "finetuning/settings.py:49, finetuning/train.py:206-207; benchmark/benchmark.py, step 1 of encode",
    ),
    Switch(
        "header_row=keep",
        "training",
        "the first line of a CSV file, its column names, is trained on as a pair",
        "the first line names the columns",
        "finetuning/train.py:270-275; data_augmentation/augmented_batch_generator.py",
    ),
    Switch(
        "average=test-only",
        "report",
        "only scores of a split called “test” count in a mean: tasks scored on another split are left out",
        "every task counts once",
        "benchmark/collect_scores.py:7-14",
    ),
)
SWITCHES = {switch.name: switch for switch in _LIST}


def checked_switches(switches: Sequence[str], where: Sequence[Where] | None = None) -> tuple[str, ...]:
    """The names in the order of `SWITCHES`; "all" stands for every one.

    Args:
        switches: names, or "all".
        where: refuse switches that change something else; None accepts all.

    Raises:
        RequestError: an unknown name, or one that changes nothing here.
    """
    for name in switches:
        if name != ALL and name not in SWITCHES:
            raise RequestError(unknown_name("switch", name, (*SWITCHES, ALL)))
        if where and name != ALL and SWITCHES[name].where not in where:
            raise RequestError(
                f"as_published={name!r} changes the {SWITCHES[name].where} and not the {' or the '.join(where)}: "
                "leave it out"
            )
    chosen = SWITCHES if ALL in switches else switches
    return tuple(
        name
        for name, switch in SWITCHES.items()
        if name in chosen and (where is None or switch.where in where)
    )
