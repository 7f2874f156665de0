"""Tables about attention: what the last token looks at as a training goes on."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

NONE = "Not measured in this version."


def attention_table(path: Path) -> str:
    """For each kind of training, a row for each checkpoint: score, share on content words and geometry."""
    if not path.exists():
        return NONE
    told = json.loads(path.read_text(encoding="utf-8"))
    kinds: dict[str, list[dict[str, Any]]] = {}
    for run in told["runs"]:
        kinds.setdefault(run["kind"], []).append(run)
    level = 100 * told["runs"][0]["models"][0]["uniform"]
    about = (
        f"{told['texts']} texts; {told['criterion']}, × 100; shares in percent. If all tokens had the same weight, "
        f"content words would have {level:.1f}."
    )
    return "\n\n".join([about, *(_training(kind, runs) for kind, runs in kinds.items())])


def _training(kind: str, runs: list[dict[str, Any]]) -> str:
    titles = ("step", "V-measure", "content words", "balance", "itself", "mean cosine", "effective rank")
    lines = [_line(*titles), _line(*["---:"] * len(titles))]
    for models in zip(*(run["models"] for run in runs), strict=True):
        cells = [
            _spread([100 * model["score"] for model in models]),
            _spread([100 * model["content"]["mean"] for model in models]),
            _spread([100 * model["balance"]["mean"] for model in models]),
            _spread([100 * model["kinds"]["itself"]["mean"] for model in models]),
            _spread([model["geometry"]["mean_cosine"] for model in models], 2),
            _spread([model["geometry"]["effective_rank"] for model in models], 0),
        ]
        lines.append(_line(str(models[0]["step"]), *cells))
    over = f"mean ± standard deviation over {len(runs)} trainings" if len(runs) > 1 else "one training"
    table = "\n".join(lines)
    return f"### {kind[0].upper()}{kind[1:]}: {over}\n\n{table}\n\n{_bands(runs)}\n\n{_together(runs)}"


def published_table(path: Path) -> str:
    """The paper's figure by the same measures."""
    if not path.exists():
        return NONE
    told = json.loads(path.read_text(encoding="utf-8"))["published"]
    lines = [_line("Llama-3.2-1B", "content words", "balance"), _line("---", "---:", "---:")]
    for name, one in told.items():
        lines.append(_line(name, f"{100 * one['content']:.1f}", f"{100 * one['evenness']:.1f}"))
    return "\n".join(lines)


def _bands(runs: list[dict[str, Any]]) -> str:
    """How sure the texts make the change from first to best and from first to last."""
    told = []
    for run in runs:
        models = run["models"]
        best = max(models, key=lambda model: model["content"]["mean"])
        told.append(
            f"seed {run['seed']}: most at step {best['step']}, {_gain(best)}; at the last step {_gain(models[-1])}"
        )
    return (
        f"Gain in content words on step 0, in points, with its 95 % band over the texts: {'. '.join(told)}."
    )


def _gain(model: dict[str, Any]) -> str:
    gain = model["gain"]
    text = f"{100 * gain['mean']:+.1f} ({100 * gain['low']:+.1f} … {100 * gain['high']:+.1f})"
    return text.replace("-", "−")


def _together(runs: list[dict[str, Any]]) -> str:
    """Whether checkpoints with a larger share score higher."""
    told = []
    for run in runs:
        shares = [model["content"]["mean"] for model in run["models"]]
        scores = [model["score"] for model in run["models"]]
        after = _rank_correlation(shares[1:], scores[1:])
        told.append(
            f"seed {run['seed']}: {_rank_correlation(shares, scores):+.2f}, without step 0 {after:+.2f}"
        )
    text = f"Rank correlation (Spearman) of content words and score over the checkpoints: {'; '.join(told)}."
    return text.replace("-0", "−0").replace("-1", "−1")


def _rank_correlation(one: list[float], other: list[float]) -> float:
    first, second = _ranks(one), _ranks(other)
    mean = fmean(first)
    product = sum((a - mean) * (b - mean) for a, b in zip(first, second, strict=True))
    lengths = sum((a - mean) ** 2 for a in first) * sum((b - mean) ** 2 for b in second)
    return product / float(lengths) ** 0.5 if lengths else 0.0


def _ranks(values: list[float]) -> list[float]:
    """Places in order; equal values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def _spread(values: list[float], digits: int = 1) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}".replace("-", "−")


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
