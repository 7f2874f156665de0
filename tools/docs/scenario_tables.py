"""Models on several tasks, in 16 languages, and with reranking."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from table_lines import line

_LANGUAGES = {
    "eng_Latn": "English", "deu_Latn": "German", "fra_Latn": "French", "spa_Latn": "Spanish", "rus_Cyrl": "Russian",
    "zho_Hans": "Chinese", "jpn_Jpan": "Japanese", "arb_Arab": "Arabic", "hin_Deva": "Hindi", "isl_Latn": "Icelandic",
    "swh_Latn": "Swahili", "tam_Taml": "Tamil", "amh_Ethi": "Amharic", "yor_Latn": "Yoruba", "zul_Latn": "Zulu",
    "quy_Latn": "Quechua",
}  # fmt: skip
_TASKS = {
    "STS-B": "Spearman", "SICK": "Spearman", "Cranfield": "nDCG@10", "Wikipedia": "nDCG@10", "code": "nDCG@10",
    "mathematics": "V-measure",
}  # fmt: skip


def scenario_tables(path: Path) -> str:
    """Tasks, languages, translations and reranking."""
    if not path.exists():
        return "Not measured yet."
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    parts = ["## Similarity and retrieval", "", *_tasks(content)]
    parts += [
        "",
        "## Topics in 16 languages",
        "",
        "V-measure × 100 of 204 sentences, 7 topics (SIB-200).",
        "",
    ]
    parts += _languages(content, "v_measure")
    parts += ["", "## Translations found", ""]
    parts += [
        "Per cent of 204 sentences whose nearest English sentence is their translation; chance 0.5.",
        "",
    ]
    parts += _languages(
        {name: row for name, row in content.items() if _has_translations(row)}, "translations"
    )
    parts += ["", "## Reranking", "", *_reranking(content)]
    return "\n".join(parts)


def _has_translations(row: dict[str, Any]) -> bool:
    return any("translations" in found for found in row["languages"].values())


def _tasks(content: dict[str, Any]) -> list[str]:
    tasks = [task for task in _TASKS if any(task in row for row in content.values())]
    lines = [
        line("model", *(f"{task}, {_TASKS[task]}" for task in tasks)),
        line("---", *["---:"] * len(tasks)),
    ]
    lines += [line(name, *(_score(row.get(task)) for task in tasks)) for name, row in content.items()]
    return [*lines, "", "± is the standard error of the texts."]


def _score(found: dict[str, Any] | None) -> str:
    return f"{100 * found['value']:.1f} ± {100 * (found['text_se'] or 0):.1f}" if found else "–"


def _languages(content: dict[str, Any], figure: str) -> list[str]:
    shown = [
        code
        for code in _LANGUAGES
        if any(figure in row["languages"].get(code, {}) for row in content.values())
    ]
    lines = [line("language", *content), line("---", *["---:"] * len(content))]
    lines += [
        line(_LANGUAGES[code], *(_cell(row, code, figure) for row in content.values())) for code in shown
    ]
    means = [
        fmean(100 * row["languages"][code][figure] for code in shown if figure in row["languages"][code])
        for row in content.values()
    ]
    return [*lines, line("**mean**", *(f"**{mean:.1f}**" for mean in means))]


def _cell(row: dict[str, Any], code: str, figure: str) -> str:
    value = row["languages"].get(code, {}).get(figure)
    return "" if value is None else f"{100 * value:.1f}"


def _reranking(content: dict[str, Any]) -> list[str]:
    rows = {name: row["rerank"] for name, row in content.items() if "rerank" in row}
    if not rows:
        return ["Not measured yet."]
    some = next(iter(rows.values()))
    lines = [
        f"Cranfield, nDCG@10 × 100 of {some['queries']} queries: the first {some['documents']} documents by cosine,",
        "and the same in the order of SmolLM2's answers.",
        "",
        line("by cosine of", "by cosine", "reranked", "difference [95 %]", "seconds a query"),
        line("---", "---:", "---:", "---:", "---:"),
    ]
    for name, row in rows.items():
        gain = row["difference"]
        interval = f"{100 * gain['mean']:+.1f} [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
        lines.append(
            line(name, f"{100 * row['by cosine']:.1f}", f"{100 * row['reranked']:.1f}", interval,
                  f"{row['seconds_per_query']:.1f}")
        )  # fmt: skip
    return lines
