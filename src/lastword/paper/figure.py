"""Figure 1: where the last token looks, before training, after it, and after too much of it."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

from lastword.config import read_recipe
from lastword.embedding import Embedder
from lastword.explanation.attention import token_attention
from lastword.explanation.words import content_tokens, english_stop_words
from lastword.paper.cells import Laboratory
from lastword.paper.figures import figures
from lastword.paper.report import Page, as_list, line
from lastword.training import LastStep, train

WORDS = ("man", "driving", "car")
OVER = 10  # times as many steps as the recipe has: the paper's over-trained panel has 20 to 200 times as many
PANELS = {"before training": "prompt_only", "trained": "after_100_steps", "over-trained": "after_20000_steps"}


def figure_page(laboratory: Laboratory) -> Page:
    """Attention on the sentence of the paper at three stages, and how much of it falls on content words."""
    facts, scale = figures()["figure1"], laboratory.scale
    model = next(iter(scale.models.values()))
    steps = {"before training": 0, "trained": _steps(scale.recipe, scale.settings)}
    steps["over-trained"] = OVER * steps["trained"]
    found = {
        stage: laboratory.series.once(
            f"figure1-{count}", partial(_looked, laboratory, model, count, facts["sentence"])
        )
        for stage, count in steps.items()
    }
    notes = [
        f"Model: {model}; {', '.join(f'{stage}: {count} steps' for stage, count in steps.items() if count)}. "
        f"Content words: {', '.join(WORDS)}.",
        facts["note"],
    ]
    body = "\n\n".join([_summary(found), _tokens(found), as_list(notes)])
    records = [
        {"table": "figure1", "model": model, "row": stage, "column": token, "score": round(100 * weight, 3)}
        for stage, one in found.items()
        for token, weight, _ in one["tokens"]
    ]
    return Page("figure1", facts["title"], body, records, {"told": notes, "stages": found})


def _steps(recipe: str, settings: dict[str, Any]) -> int:
    return int({**read_recipe(recipe), **settings}["steps"])


def _looked(laboratory: Laboratory, model: str, steps: int, sentence: str) -> dict[str, Any]:
    """Weights of the last token over the sentence after so many steps."""
    if not steps:
        embedder = Embedder.from_pretrained(
            model, template="ccw", pooling="lasttoken", device=laboratory.device
        )
        return {"tokens": _weights(embedder, sentence)}
    place = laboratory.series.partial / f"figure1-{steps}.model"
    if not place.exists():
        settings = {**read_recipe(laboratory.scale.recipe), **laboratory.scale.settings, "model": model}
        settings |= {"template": "ccw", "pooling": "lasttoken", "steps": steps, "seed": 0}
        train(place, scorer=LastStep(), resume=True, trackers="none", device=laboratory.device, **settings)
    looked = {"tokens": _weights(Embedder.from_pretrained(place, device=laboratory.device), sentence)}
    shutil.rmtree(place)
    return looked


def _weights(embedder: Embedder, sentence: str) -> list[tuple[str, float, bool]]:
    """Token, weight, and whether it belongs to a content word; without begin-of-text, as in the paper."""
    (content,) = content_tokens(embedder, [sentence], english_stop_words())
    flags = iter(content.tolist())
    return [
        (one.token.strip(), one.weight, one.part == "text" and next(flags))
        for one in token_attention(embedder, sentence)
        if one.part != "bos"
    ]


def _summary(found: dict[str, dict[str, Any]]) -> str:
    facts = figures()["figure1"]
    lines = [line("attention on the content words", "paper", "here"), line("---", "---:", "---:")]
    for stage, key in PANELS.items():
        weights = zip(facts["tokens"], facts["published"][key], strict=True)
        published = sum(weight for token, weight in weights if token in WORDS)
        ours = sum(weight for _, weight, content in found[stage]["tokens"] if content)
        lines.append(line(stage, f"{100 * published:.1f} %", f"{100 * ours:.1f} %"))
    return "\n".join(lines)


def _tokens(found: dict[str, dict[str, Any]]) -> str:
    """Our tokens with their weights; another tokenizer has others than the paper's."""
    lines = [line("token", *PANELS), line("---", *["---:"] * len(PANELS))]
    lines += [
        line(f"`{row[0][0]}`", *(f"{100 * weight:.2f} %" for _, weight, _ in row))
        for row in zip(*(found[stage]["tokens"] for stage in PANELS), strict=True)
    ]
    return "\n".join(lines)
