"""Tables about attention: the last token at the checkpoints of training runs."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from table_lines import line

NONE = "Not measured in this version."


def attention_table(path: Path) -> str:
    """For each kind of run, a row for each checkpoint: score, share on content words and geometry."""
    if not path.exists():
        return NONE
    content = json.loads(path.read_text(encoding="utf-8"))
    kinds: dict[str, list[dict[str, Any]]] = {}
    for run in content["runs"]:
        kinds.setdefault(run["kind"], []).append(run)
    uniform = 100 * content["runs"][0]["models"][0]["uniform"]
    about = (
        f"{content['texts']} texts; {content['criterion']}, × 100; shares in percent. With equal weights for all "
        f"tokens, content words would have {uniform:.1f}."
    )
    return "\n\n".join([about, *(_kind(kind, runs) for kind, runs in kinds.items())])


def _kind(kind: str, runs: list[dict[str, Any]]) -> str:
    titles = ("step", "V-measure", "content words", "balance", "itself", "mean cosine", "effective rank")
    lines = [line(*titles), line(*["---:"] * len(titles))]
    for models in zip(*(run["models"] for run in runs), strict=True):
        cells = [
            _spread([100 * model["score"] for model in models]),
            _spread([100 * model["content"]["mean"] for model in models]),
            _spread([100 * model["balance"]["mean"] for model in models]),
            _spread([100 * model["kinds"]["itself"]["mean"] for model in models]),
            _spread([model["geometry"]["mean_cosine"] for model in models], 2),
            _spread([model["geometry"]["effective_rank"] for model in models], 0),
        ]
        lines.append(line(str(models[0]["step"]), *cells))
    statistic = (
        f"mean ± standard deviation over {len(runs)} training runs" if len(runs) > 1 else "one training run"
    )
    table = "\n".join(lines)
    return (
        f"### {kind[0].upper()}{kind[1:]}: {statistic}\n\n{table}\n\n{_gains(runs)}\n\n{_correlations(runs)}"
    )


def published_table(path: Path) -> str:
    """The paper's figure by the same measures."""
    if not path.exists():
        return NONE
    published = json.loads(path.read_text(encoding="utf-8"))["published"]
    lines = [line("Llama-3.2-1B", "content words", "balance"), line("---", "---:", "---:")]
    for name, shares in published.items():
        lines.append(line(name, f"{100 * shares['content']:.1f}", f"{100 * shares['balance']:.1f}"))
    return "\n".join(lines)


def _gains(runs: list[dict[str, Any]]) -> str:
    """The change from the first checkpoint to the highest and to the last, with intervals."""
    parts = []
    for run in runs:
        models = run["models"]
        best = max(models, key=lambda model: model["content"]["mean"])
        parts.append(
            f"seed {run['seed']}: highest at step {best['step']}, {_gain(best)}; last step {_gain(models[-1])}"
        )
    return f"Gain in content words over step 0, in points, with 95 % intervals over the texts: {'. '.join(parts)}."


def _gain(model: dict[str, Any]) -> str:
    gain = model["gain"]
    text = f"{100 * gain['mean']:+.1f} ({100 * gain['low']:+.1f} … {100 * gain['high']:+.1f})"
    return text.replace("-", "−")


def _correlations(runs: list[dict[str, Any]]) -> str:
    """Rank correlation of share and score over the checkpoints of each run."""
    parts = []
    for run in runs:
        shares = [model["content"]["mean"] for model in run["models"]]
        scores = [model["score"] for model in run["models"]]
        correlations = _spearman(shares, scores), _spearman(shares[1:], scores[1:])
        parts.append(f"seed {run['seed']}: {correlations[0]:+.2f}, without step 0 {correlations[1]:+.2f}")
    text = f"Rank correlation (Spearman) of content words and score over the checkpoints: {'; '.join(parts)}."
    return text.replace("-0", "−0").replace("-1", "−1")


def _spearman(first: list[float], second: list[float]) -> float:
    ranks = _ranks(first), _ranks(second)
    mean = fmean(ranks[0])
    product = sum((a - mean) * (b - mean) for a, b in zip(*ranks, strict=True))
    squares = sum((a - mean) ** 2 for a in ranks[0]) * sum((b - mean) ** 2 for b in ranks[1])
    return product / float(squares) ** 0.5 if squares else 0.0


def _ranks(values: list[float]) -> list[float]:
    """Ranks from 0; equal values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def _spread(values: list[float], digits: int = 1) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}".replace("-", "−")
