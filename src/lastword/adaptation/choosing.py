"""Template, pooling and layer: those of the recipe, unless the development texts show others to be better.

A model that was trained to embed before keeps the setting that it was trained in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.adaptation.texts import Part
from lastword.config import TrainConfig
from lastword.demonstration.findings import with_interval
from lastword.embedding import Embedder, Pooling, Template
from lastword.embedding.grid import label
from lastword.probing import probe
from lastword.probing.measures import ranking
from lastword.probing.result import FILE, Key, ProbeResult
from lastword.uncertainty import Difference

TEMPLATES = ("none", "sum", "ccw", "classify")
"""Those that did best on public texts, see docs/reference/probe.md, and none."""
POOLINGS = ("mean", "lasttoken")
LEAST_TEXTS = 100
"""Fewer development texts choose neither a setting nor, by their labels, a checkpoint."""
_UPPER_LAYERS = 0.75  # of the layers of a model, those above this share are tried


@dataclass(frozen=True)
class Setting:
    """How a model makes vectors.

    Attributes:
        template: name of a template, or a string with `{text}`.
        pooling: as `Pooling.parse` reads it.
        layer: that is pooled; None is the last.
    """

    template: str
    pooling: str
    layer: int | None

    def __str__(self) -> str:
        """As tables name it."""
        layer = f", layer {self.layer}" if self.layer else ""
        return f"{self.template}, {self.pooling}{layer}"


@dataclass(frozen=True)
class Choice:
    """The setting to train, and how it was chosen.

    Attributes:
        measure: name in `MEASURES` of the score on the development texts.
        texts: development texts.
        recipe: the setting of the recipe.
        best: the setting with the highest score before training; the recipe's where there are too few texts.
        scores: setting → score before training, the best first; empty where nothing was tried.
        gain: score of the best minus that of the recipe, paired; None if they are the same.
        again: whether the setting is the one that the model was trained with before; no other is tried then.
    """

    measure: str
    texts: int
    recipe: Setting
    best: Setting
    scores: dict[str, float]
    gain: Difference | None
    again: bool = False

    @property
    def enough(self) -> bool:
        """Whether there are enough development texts to choose by."""
        return self.texts >= LEAST_TEXTS

    @property
    def chosen(self) -> Setting:
        """The best, if the development texts show that it is better than the recipe's; else the recipe's."""
        return self.best if self.gain and self.gain.verdict == "better" else self.recipe

    @property
    def reason(self) -> str:
        """Why this setting, in a sentence."""
        if self.again:
            return "It is the one that the model was trained with before."
        if not self.enough:
            return (
                f"It is the recipe's: {self.texts} development texts are too few to choose by, {LEAST_TEXTS} are "
                "needed."
            )
        if self.gain is None:
            return f"It is the recipe's, which scored highest of {len(self.scores)} before training."
        difference = with_interval(self.gain)
        if self.chosen == self.best:
            return f"It scored higher than the recipe's {self.recipe} before training, by {difference}."
        return (
            f"It is the recipe's: {self.best} scored higher before training, but {self.texts} development texts do "
            f"not show that it is better ({difference})."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        settings = {name: vars(getattr(self, name)) for name in ("recipe", "best", "chosen")}
        gain = self.gain and self.gain.to_dict()
        return {
            "measure": self.measure, "texts": self.texts, **settings, "scores": self.scores, "gain": gain,
            "again": self.again, "reason": self.reason,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Choice:
        """Read what `to_dict` wrote."""
        gain = content["gain"] and Difference(*(content["gain"][name] for name in ("value", "low", "high")))
        recipe, best = (Setting(**content[name]) for name in ("recipe", "best"))
        return cls(
            content["measure"],
            content["texts"],
            recipe,
            best,
            content["scores"],
            gain,
            content.get("again", False),
        )


def choose(
    embedder: Embedder,
    config: TrainConfig,
    development: Part,
    seed: int,
    batch_tokens: int | None,
    folder: Path,
    *,
    again: bool = False,
) -> Choice:
    """Score settings of the model before training on the development texts.

    With labels by V-measure, over the upper layers too; without, by stability, which cannot compare layers. The
    setting of the recipe is left only for one that is better by the rule of `lastword.uncertainty`.

    Args:
        embedder: the model before training; its own setting is not used.
        config: the setting of the recipe.
        development: the texts.
        seed: of noise in the texts.
        batch_tokens: padded tokens in one pass.
        folder: for the scores of an unfinished choice, which a resumed run reads.
        again: whether the model was trained in the setting of the recipe before, which is then kept.
    """
    labels = development.known_labels or None
    last = embedder.backbone.layers
    trained = config.layer or last
    measure = ranking(None, labels is not None)
    recipe: Key = (label(Template.parse(config.template)), Pooling.parse(config.pooling).spec, trained)
    if again or len(development) < LEAST_TEXTS:
        kept = _setting(recipe, last)
        return Choice(measure, len(development), kept, kept, {}, None, again)

    def probed(
        name: str, templates: Sequence[str], poolings: Sequence[str], layers: Sequence[int]
    ) -> ProbeResult:
        output = folder / name
        if output.exists():
            return ProbeResult.from_dict(json.loads((output / FILE).read_text(encoding="utf-8")))
        return probe(
            embedder, development.texts, labels=labels, output=output, resume=True,
            templates=list(dict.fromkeys(templates)), poolings=list(dict.fromkeys(poolings)),
            layers=sorted(set(layers)), scores=[measure], max_texts=None, seed=seed, batch_tokens=batch_tokens,
        )  # fmt: skip

    upper = range(round(_UPPER_LAYERS * last), last + 1) if labels else ()
    found = probed("probe", [*TEMPLATES, config.template], [*POOLINGS, config.pooling], [trained, *upper])
    best = found.best.key
    compared = found
    if (
        best != recipe and recipe not in found.differences
    ):  # the recipe's is not among the best, which are compared
        compared = probed(
            "probe-compared", [best[0], config.template], [best[1], config.pooling], [best[2], trained]
        )
    difference = compared.differences.get(recipe)
    gain = Difference(-difference.value, -difference.high, -difference.low) if difference else None
    scores = {str(_setting(option.key, last)): option.scores[measure].value for option in found.ranked}
    return Choice(measure, len(development), _setting(recipe, last), _setting(best, last), scores, gain)


def _setting(key: Key, last: int) -> Setting:
    template, pooling, layer = key
    return Setting(template, pooling, None if layer == last else layer)
