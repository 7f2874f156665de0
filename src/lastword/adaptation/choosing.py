"""Template, pooling and layer: those of the recipe, unless the development texts show others to be better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lastword.adaptation.texts import Part
from lastword.config import TrainConfig
from lastword.embedding import Embedder, Pooling, Template
from lastword.embedding.grid import label
from lastword.probing import probe
from lastword.probing.measures import MEASURES, ranking
from lastword.probing.result import ProbeResult
from lastword.uncertainty import Difference

TEMPLATES = ("none", "sum", "ccw", "classify")
"""Those that did best on public texts, see docs/reference/probe.md, and none."""
POOLINGS = ("mean", "lasttoken")
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
        recipe: the setting of the recipe.
        best: the setting with the highest score before training.
        scores: setting → score before training, the best first.
        gain: score of the best minus that of the recipe, paired; None if they are the same, or if the recipe's is
            too low to be compared.
    """

    measure: str
    recipe: Setting
    best: Setting
    scores: dict[str, float]
    gain: Difference | None

    @property
    def chosen(self) -> Setting:
        """The best, if it is distinguishable from the recipe's; else the recipe's."""
        same = self.best == self.recipe or (
            self.gain is not None and self.gain.verdict == "not distinguishable"
        )
        return self.recipe if same else self.best

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        settings = {name: vars(getattr(self, name)) for name in ("recipe", "best", "chosen")}
        gain = self.gain and self.gain.to_dict()
        return {"measure": self.measure, **settings, "scores": self.scores, "gain": gain}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Choice:
        """Read what `to_dict` wrote."""
        gain = content["gain"] and Difference(*(content["gain"][name] for name in ("value", "low", "high")))
        recipe, best = (Setting(**content[name]) for name in ("recipe", "best"))
        return cls(content["measure"], recipe, best, content["scores"], gain)


def choose(
    embedder: Embedder, config: TrainConfig, development: Part, seed: int, batch_tokens: int | None
) -> Choice:
    """Score settings of the model before training on the development texts.

    With labels by V-measure, over the upper layers too; without, by stability, which cannot compare layers.

    Args:
        embedder: the model before training; its own setting is not used.
        config: the setting of the recipe.
        development: the texts.
        seed: of noise in the texts.
        batch_tokens: padded tokens in one pass.
    """
    labels = development.known_labels or None
    last = embedder.backbone.layers
    trained = config.layer or last
    layers = sorted({trained, *(range(round(_UPPER_LAYERS * last), last + 1) if labels else ())})
    measure = ranking(None, labels is not None)
    found = probe(
        embedder, development.texts, labels=labels, templates=list(dict.fromkeys([*TEMPLATES, config.template])),
        poolings=list(dict.fromkeys([*POOLINGS, config.pooling])), layers=layers, scores=[measure],
        max_texts=None, seed=seed, batch_tokens=batch_tokens,
    )  # fmt: skip
    return _choice(found, config, last, trained)


def _choice(found: ProbeResult, config: TrainConfig, last: int, trained: int) -> Choice:
    template = Template.parse(config.template)
    own = (label(template), Pooling.parse(config.pooling).spec, trained)

    def setting(key: tuple[str, str, int]) -> Setting:
        return Setting(key[0], key[1], None if key[2] == last else key[2])

    difference = found.differences.get(own)
    gain = Difference(-difference.value, -difference.high, -difference.low) if difference else None
    scores = {str(setting(option.key)): option.scores[found.ranked_by].value for option in found.ranked}
    return Choice(found.ranked_by, setting(own), setting(found.best.key), scores, gain)


def title(measure: str) -> str:
    """How a score is called in a sentence."""
    return MEASURES[measure].title
