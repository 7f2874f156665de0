"""Write the generated parts of the documentation, or check that they are up to date.

    python tools/docs/generate.py            writes what has changed
    python tools/docs/generate.py --check    writes nothing; names what is stale and exits with 1

Whole pages come from the code (`cli.md`, `settings.md`, `python.md`). In the other files only what stands
between `<!-- NAME:start -->` and `<!-- NAME:end -->` is generated.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attention_tables import attention_table, published_table
from benchmark_tables import benchmark_tables, copies_table, rates_table
from cluster_tables import components_table, names_table, rule_table
from defect_tables import switch_table
from distill_tables import distill_tables
from export_tables import fault_table, speed_table
from file_map import file_map
from model_tables import choice_table, refused_table, supported_table
from pair_tables import comparison_table, issue_table, language_table
from probe_tables import best_table, label_free_table, layer_table, set_table, template_table
from recipe_tables import adapt_table, recipe_table
from reference_pages import cli_page, error_tree, python_page, settings_page
from reproduction_tables import reproduction_report
from scaling_tables import scaling_tables
from scenario_tables import scenario_tables
from score_tables import calibration_table, difference_table, known_table, score_table
from speed_tables import load_table, speed_tables
from strategy_tables import strategy_tables
from survey_tables import long_text_tables, one_template_tables, size_tables, sparse_tables

from lastword.console import duration
from lastword.demonstration.result import ScoreRow
from lastword.report.table import percent, with_interval
from lastword.uncertainty import Difference

ROOT = Path(__file__).resolve().parents[2]
PROBE = ROOT / "results" / "probe.json"

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli_page,
    "docs/reference/settings.md": settings_page,
    "docs/reference/python.md": python_page,
}
BLOCKS: dict[tuple[str, str], Callable[[], str]] = {
    ("ARCHITECTURE.md", "map"): lambda: file_map(ROOT),
    ("README.md", "demo"): lambda: demo_block(
        [ROOT / "results" / f"{name}.json" for name in ("demo_smollm2", "demo")]
    ),
    ("docs/reference/errors.md", "tree"): error_tree,
    ("docs/explanation/honest-numbers.md", "products"): lambda: known_table(
        ROOT / "results" / "products_why.json"
    ),
    ("docs/explanation/honest-numbers.md", "calibration"): lambda: calibration_table(
        ROOT / "results" / "uncertainty.json"
    ),
    ("docs/reference/results.md", "differences"): lambda: difference_table(
        ROOT / "results" / "real_texts.json",
        "SmolLM2 adapted",
        ("all-MiniLM-L6-v2", "TF-IDF", "SmolLM2 zero-shot"),
    ),
    ("docs/reference/results.md", "results"): lambda: score_table(ROOT / "results" / "real_texts.json"),
    ("docs/reference/results.md", "recipe"): lambda: recipe_table(ROOT / "results" / "recipe_small.json"),
    ("docs/reference/results.md", "benchmark"): lambda: benchmark_tables(ROOT / "results" / "benchmark.json"),
    ("docs/how-to/run-a-benchmark.md", "copies"): copies_table,
    ("docs/adr/0014-vectors-in-sqlite.md", "rates"): lambda: rates_table(ROOT / "results" / "cache.json"),
    ("docs/how-to/cluster-a-corpus.md", "rules"): lambda: rule_table(
        ROOT / "results" / "cluster_numbers.json"
    ),
    ("docs/how-to/cluster-a-corpus.md", "components"): lambda: components_table(
        ROOT / "results" / "cluster_components.json"
    ),
    ("docs/how-to/cluster-a-corpus.md", "names"): lambda: names_table(
        ROOT / "results" / "cluster_names.json"
    ),
    ("docs/how-to/adapt-a-corpus.md", "adapted"): lambda: adapt_table(ROOT / "results" / "adapt.json"),
    ("docs/how-to/adapt-a-corpus.md", "again"): lambda: recipe_table(ROOT / "results" / "adapt_recipe.json"),
    ("docs/how-to/embed-a-corpus.md", "scaling"): lambda: scaling_tables(
        ROOT / "results" / "embed_scaling.json", ROOT / "results" / "distill.json"
    ),
    ("docs/how-to/serve.md", "load"): lambda: load_table(ROOT / "results" / "bench" / "serve.json"),
    ("docs/how-to/export.md", "speed"): lambda: speed_table(ROOT / "results" / "exports.json"),
    ("docs/how-to/distill-a-model.md", "distilled"): lambda: distill_tables(
        ROOT / "results" / "distill.json"
    ),
    ("docs/how-to/export.md", "faults"): lambda: fault_table(ROOT / "results" / "check_faults.json"),
    ("docs/reference/pairs.md", "issues"): lambda: issue_table(ROOT / "results" / "pair_issues.json"),
    ("docs/reference/pairs.md", "languages"): lambda: language_table(ROOT / "results" / "languages.json"),
    ("docs/reference/pairs.md", "sources"): lambda: comparison_table(ROOT / "results" / "pair_sources.json"),
    ("docs/reference/attention.md", "attention"): lambda: attention_table(
        ROOT / "results" / "attention.json"
    ),
    ("docs/reference/attention.md", "published"): lambda: published_table(
        ROOT / "results" / "attention.json"
    ),
    ("docs/reference/as-published.md", "switches"): switch_table,
    ("docs/reference/reproduction.md", "reproduction"): lambda: reproduction_report(
        ROOT / "results" / "reproduction" / "report.md"
    ),
    ("docs/reference/reproduction.md", "small"): lambda: reproduction_report(
        ROOT / "results" / "reproduction-small" / "report.md", part=True
    ),
    ("docs/reference/models.md", "supported"): lambda: supported_table(ROOT / "results" / "zoo.json"),
    ("docs/how-to/real-models.md", "choice"): lambda: choice_table(
        ROOT / "results" / "bench" / "choices.json"
    ),
    ("docs/reference/models.md", "refused"): lambda: refused_table(ROOT / "results" / "zoo.json"),
    ("docs/reference/probe.md", "templates"): lambda: template_table(PROBE),
    ("docs/reference/probe.md", "layers"): lambda: layer_table(PROBE),
    ("docs/reference/probe.md", "best"): lambda: best_table(PROBE),
    ("docs/reference/probe.md", "sets"): lambda: set_table(PROBE),
    ("docs/reference/probe.md", "label-free"): lambda: label_free_table(PROBE),
    ("docs/reference/methods.md", "strategies"): lambda: strategy_tables(
        ROOT / "results" / "strategies.json"
    ),
    ("docs/reference/scenarios.md", "scenarios"): lambda: scenario_tables(
        ROOT / "results" / "scenarios.json"
    ),
    ("docs/reference/scenarios.md", "long-texts"): lambda: long_text_tables(
        ROOT / "results" / "long_texts.json"
    ),
    ("docs/reference/scenarios.md", "sparse"): lambda: sparse_tables(
        ROOT / "results" / "dense_and_sparse.json"
    ),
    ("docs/reference/scenarios.md", "one-template"): lambda: one_template_tables(
        ROOT / "results" / "one_template.json"
    ),
    ("docs/reference/methods.md", "pairs"): lambda: size_tables(
        ROOT / "results" / "size_and_pairs.json", "pairs"
    ),
    ("docs/reference/methods.md", "size"): lambda: size_tables(
        ROOT / "results" / "size_and_pairs.json", "size"
    ),
    ("docs/reference/speed.md", "speed"): lambda: speed_tables(ROOT / "results" / "bench"),
}


def demo_block(paths: Sequence[Path]) -> str:
    """What the runs of the demo gave that these files store, in V-measures × 100, and what they took."""
    heading = (
        "| model | texts | adapted | before, best setting | TF-IDF | gain over before [95 %] | time, memory |"
    )
    lines = [heading, "|---|---|---:|---:|---:|---:|---|"]
    for path in paths:
        run = json.loads(path.read_text(encoding="utf-8"))
        cores = f"{run['threads']} core{'s' * (run['threads'] > 1)}"
        cost = f"{duration(run['seconds'])} on {cores}, {run['peak_memory_mb'] / 1024:.1f} GiB"
        rows = list(map(ScoreRow.from_dict, run["scores"]))
        for gain in run["comparisons"]:
            if gain["second"]["model"] == "zero-shot":
                of_set = [row for row in rows if row.dataset == gain["dataset"]]
                words = next(row for row in of_set if row.model == "tfidf")
                adapted, before = (_scored(of_set, gain[side]) for side in ("first", "second"))
                interval = with_interval(Difference(gain["value"], gain["low"], gain["high"]))
                lines.append(f"| {run['model']} | {gain['dataset']} | {adapted} | {before} | "
                             f"{percent(words.summary.value)} | {interval} | {cost} |")  # fmt: skip
    return "\n".join(lines)


def _scored(rows: Sequence[ScoreRow], setting: Mapping[str, Any]) -> str:
    fields = ("model", "template", "pooling", "layer")
    found = next(row for row in rows if all(getattr(row, name) == setting[name] for name in fields))
    return percent(found.summary.value)


def with_block(text: str, name: str, content: str) -> str:
    """Replace what stands between the two markers of a name."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise SystemExit(f"the markers {start} and {end} must each stand in the file once")
    pattern = re.compile(f"({re.escape(start)}).*?({re.escape(end)})", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}\n{content.strip()}\n{found[2]}", text)


def wanted() -> dict[Path, str]:
    """File → the content it should have."""
    contents = {ROOT / name: page() for name, page in PAGES.items()}
    for (file, name), block in BLOCKS.items():
        path = ROOT / file
        text = contents.get(path) or path.read_text(encoding="utf-8")
        contents[path] = with_block(text, name, block())
    return contents


def stale() -> list[Path]:
    """Files whose content is not what it should be."""
    return [
        path
        for path, content in wanted().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    contents, old = wanted(), stale()
    for path in old:
        print(f"{'stale' if arguments else 'written'}: {path.relative_to(ROOT)}")
        if not arguments:
            path.write_text(contents[path], encoding="utf-8")
    if arguments and old:
        print("run: make docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
