"""Figure 1: attention of the last token before training, after it and long after it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lastword.config import read_recipe
from lastword.embedding import Embedder
from lastword.explanation import explain
from lastword.explanation.words import marked_tokens
from lastword.paper.cells import CellRunner
from lastword.paper.report import Page, Record, bullet_list, markdown_table
from lastword.paper.suites import BUNDLED, Suite
from lastword.paper.tables import published
from lastword.stopwords import english_stop_words
from lastword.training import LastStep, train

FIGURE_WORDS = ("man", "driving", "car")
OVER_TRAINED = 10  # times the recipe's steps; the paper's over-trained panel has 20 to 200 times as many
PANELS = {"before training": "prompt_only", "trained": "after_100_steps", "over-trained": "after_20000_steps"}
PANEL_STEPS = {0: "prompt_only", 100: "after_100_steps"}
TEXTS = 200
Panel = list[tuple[str, float, bool]]
"""Token, weight, and whether it belongs to a content word; without begin-of-text, as in the paper."""


def figure_page(runner: CellRunner, suite: Suite) -> Page:
    """Figure 1: at the checkpoints of one run and on 200 texts, too, if the scale says so; else of two runs."""
    model = next(iter(runner.scale.models.values()))
    page = _two_runs if runner.scale.figure_steps is None else _one_run
    parts, panels, notes = page(runner, model, suite)
    notes = [*notes, f"Content words: {', '.join(FIGURE_WORDS)}.", published()["figure1"]["note"]]
    body = "\n\n".join([*parts, _token_table(panels), bullet_list(notes)])
    records: list[Record] = [
        {"table": "figure1", "model": model, "row": name, "column": token, "score": round(100 * weight, 3)}
        for name, rows in panels.items()
        for token, weight, _ in rows
    ]
    return Page("figure1", published()["figure1"]["title"], body, records, {"notes": notes, "panels": panels})


def _two_runs(runner: CellRunner, model: str, suite: Suite) -> tuple[list[str], dict[str, Panel], list[str]]:
    """The parts of the page before the tokens, the panels and the notes."""
    paper, scale = published()["figure1"], runner.scale
    trained = int({**read_recipe(scale.recipe), **scale.settings}["steps"])
    steps = {"before training": 0, "trained": trained, "over-trained": OVER_TRAINED * trained}
    panels = {}
    for name, count in steps.items():
        work = partial(_attention, runner, model, count, paper["sentence"])
        panels[name] = runner.folder.once(f"figure1-{count}", work)
    counts = ", ".join(f"{name}: {count} steps" for name, count in steps.items() if count)
    rows = [["attention on the content words", "paper", "here"]]
    for name, panel in PANELS.items():
        rows.append([name, _published_share(panel), _share(panels[name])])
    return [markdown_table(rows)], panels, [f"Model: {model}; {counts}."]


def _one_run(runner: CellRunner, model: str, suite: Suite) -> tuple[list[str], dict[str, Panel], list[str]]:
    """As `_two_runs`; also on many texts."""
    steps = runner.scale.figure_steps or ()
    models = runner.folder.once(f"figure1-run-{max(steps)}", partial(_explained, runner, model, suite))
    models = [row for row in models if row["step"] in steps]
    panels = {f"step {row['step']}": row["panel"] for row in models}
    rows = [["attention on the content words", "the paper's sentence, paper", "the sentence", f"{TEXTS} texts [95 %]",
             "if all weights were equal"]]  # fmt: skip
    for row in models:
        step, share = row["step"], row["content"]
        printed = _published_share(PANEL_STEPS[step]) if step in PANEL_STEPS else "–"
        interval = " [{low:.1f}, {high:.1f}]".format(**{end: 100 * share[end] for end in ("low", "high")})
        mean = f"{100 * share['mean']:.1f}{interval}"
        rows.append([f"step {step}", printed, _share(row["panel"]), mean, f"{100 * row['uniform']:.1f}"])
    rows.append(["step 20,000", _published_share("after_20000_steps"), "–", "–", "–"])
    return [markdown_table(rows)], panels, [
        f"Model: {model}, one training run of {max(steps)} steps.",
        f"The texts are from {suite.description}; there, shares are of the attention beside begin-of-text and the last "
        "token itself.",
    ]  # fmt: skip


def _explained(runner: CellRunner, model: str, suite: Suite) -> list[dict[str, Any]]:
    """Step, panel and share on content words of the base model and of every checkpoint of a run."""
    folder = _trained(runner, model, max(runner.scale.figure_steps or ()))
    texts = _sample(suite, runner.folder.partial / "figure1-texts.parquet")
    sentence = published()["figure1"]["sentence"]
    explanation = explain(
        texts, checkpoints=folder, texts=[sentence], max_texts=TEXTS, device=runner.device,
        dtype=runner.scale.dtype,
    )  # fmt: skip
    rows = [
        {
            "step": row.step,
            "panel": [
                (token.token.strip(), token.weight, token.content)
                for token in row.details[0].tokens
                if token.part != "bos"
            ],
            "content": row.content.to_dict(),
            "uniform": row.uniform,
        }
        for row in explanation.models
    ]
    shutil.rmtree(folder)
    return rows


def _sample(suite: Suite, target: Path) -> Path:
    """A file of as many texts of each set of the suite, drawn once."""
    files = suite.files or {Path(file.file): file for file in BUNDLED}
    read = [file.read(path, suite.max_texts).learned_from for path, file in files.items()]
    each = -(-TEXTS // len(read))
    texts = [
        text for of_set in read for text in random.Random(0).sample(sorted(of_set), min(each, len(of_set)))
    ]
    pq.write_table(pa.table({"text": texts}), target)
    return target


def _trained(runner: CellRunner, model: str, steps: int) -> Path:
    """The folder of a training run of so many steps, with its checkpoints."""
    folder = runner.folder.partial / f"figure1-{steps}.model"
    if not folder.exists():
        settings = {**read_recipe(runner.scale.recipe), **runner.scale.settings, "model": model}
        settings |= {"template": "ccw", "pooling": "lasttoken", "steps": steps, "seed": 0}
        train(folder, scorer=LastStep(), resume=True, trackers="none", device=runner.device, **settings)
    return folder


def _attention(runner: CellRunner, model: str, steps: int, sentence: str) -> Panel:
    """Attention of the last token over the sentence after this many steps, see `_weights`."""
    dtype = runner.scale.dtype
    if not steps:
        how: dict[str, Any] = {"template": "ccw", "pooling": "lasttoken", "dtype": dtype}
        embedder = Embedder.from_pretrained(model, device=runner.device, **how)
        return _weights(embedder, sentence)
    folder = _trained(runner, model, steps)
    weights = _weights(Embedder.from_pretrained(folder, device=runner.device, dtype=dtype), sentence)
    shutil.rmtree(folder)
    return weights


def _weights(embedder: Embedder, sentence: str) -> Panel:
    tokens = marked_tokens(embedder, sentence, english_stop_words())
    return [(token.token.strip(), token.weight, token.content) for token in tokens if token.part != "bos"]


def _published_share(panel: str) -> str:
    """The paper's share on the content words."""
    paper = published()["figure1"]
    weights = zip(paper["tokens"], paper["published"][panel], strict=True)
    return f"{100 * sum(weight for token, weight in weights if token in FIGURE_WORDS):.1f} %"


def _share(panel: Panel) -> str:
    return f"{100 * sum(weight for _, weight, content in panel if content):.1f} %"


def _token_table(panels: Mapping[str, Panel]) -> str:
    """Our tokens with their weights; they are not the paper's, whose tokenizer is another."""
    tokens = zip(*panels.values(), strict=True)
    rows = [[f"`{row[0][0]}`", *(f"{100 * weight:.2f} %" for _, weight, _ in row)] for row in tokens]
    return markdown_table([["token", *panels], *rows])
