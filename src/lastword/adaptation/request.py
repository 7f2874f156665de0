"""What is asked for: settings that are checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.bundled import BUNDLED_PAIRS, check_layer, check_model, trained_settings
from lastword.config import TrainConfig, read_recipe, recipe_for, train_config
from lastword.corpus import cluster
from lastword.corpus.texts import Corpus, read_until
from lastword.embedding.spec import check_savable
from lastword.errors import RequestError, TableError, unknown_name
from lastword.files.sources import Source

SOURCES = ("recipe", "crop", "noise", "neighbours", "labels", "generate")
"""Sources of pairs: the recipe's own, which are about other things; pieces of a text; a noisy copy; texts that the
model and their words find near; texts of a label; rewritings by a chat model."""
_WEIGHTS = {"neighbours": 2.0}
"""Source → its weight if none is given; 1 for the others."""
_AGAIN = ("recipe", "neighbours", "labels", "generate")
"""Sources of a model that was trained before, if none is given: crops and noise make it forget (adapt_recipe.json)."""
LEAST_TEXTS, LEAST_LABELLED = 200, 100
_OTHER_MODELS = "small"  # the recipe of models without one of their own
_KEPT = (
    "template", "pooling", "layer", "attention", "max_tokens", "batch_pairs", "widths", "temperature", "warmup_steps",
    "schedule", "weight_decay", "clip_norm", "rank", "alpha", "dropout", "adapt_layers", "projections", "batch_tokens",
)  # fmt: skip
"""Settings that a trained model is trained with again; its objective and teacher were for its first texts."""
_STEPS_AGAIN, _LEAST_STEPS, _RATE_AGAIN = 1 / 3, 30, 1 / 2  # of its steps and its learning rate


@dataclass(frozen=True)
class Request:
    """A request that can be fulfilled, as far as that is known without reading all texts.

    Attributes:
        corpus: the files.
        settings: of training, with the pairs of the recipe and without seed: fields of `TrainConfig`.
        label_column: column of labels; None without.
        sources: source of pairs → its weight in the mixture.
        max_texts: distinct texts of the sample.
        groups: number of groups that is asked for; None chooses it.
        again: whether the model was trained to embed before, and is trained in its own setting.
    """

    corpus: Corpus
    settings: dict[str, Any]
    label_column: str | None
    sources: dict[str, float]
    max_texts: int
    groups: int | None
    again: bool

    @property
    def config(self) -> TrainConfig:
        """The settings, resolved."""
        return train_config(self.settings)


def check_request(
    inputs: Source | Sequence[Source],
    output: Path,
    *,
    model: str | Path | None = None,
    recipe: str | Path | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    sources: Mapping[str, float] | Sequence[str] | None = None,
    rewriting: bool = False,
    baselines: Sequence[str] = (),
    max_texts: int = 10_000,
    groups: int | None = None,
    map: str = "auto",
    group_column: str = "group",
) -> Request:
    """Refuse what cannot work, before anything is loaded; arguments as for `adapt_corpus`.

    Args:
        rewriting: whether there is a chat model.

    Raises:
        RequestError, MissingFileError, TableError, ModelError: see the message.
    """
    again = settings_again(model) if model is not None and recipe is None else None
    settings = again or training_settings(model, recipe)
    config = train_config(settings)
    check_model(config.model)
    check_layer(config.model, config.layer)
    check_savable(config.model, config.template, config.pooling)
    if label_column is not None and label_column == text_column:
        raise RequestError(f"texts and labels are both in column {text_column!r}: give two columns")
    weights = pair_sources(sources, labelled=label_column is not None, rewriting=rewriting, again=bool(again))
    if "tfidf" in baselines:
        raise RequestError("baselines: TF-IDF is always compared with: leave 'tfidf' out")
    if max_texts < LEAST_TEXTS:
        raise RequestError(f"max_texts={max_texts}: give {LEAST_TEXTS} or more")
    corpus = cluster.check_request(
        inputs, output, None, text_column=text_column, label_column=label_column, method="k-means", groups=groups,
        least_size=None, naming="terms", map=map, group_column=group_column,
    )  # fmt: skip
    if not isinstance(corpus, Corpus):
        raise RequestError(f"{corpus.folder} is a store of vectors: give the files with its texts")
    _require_content(corpus, label_column)
    return Request(corpus, settings, label_column, weights, max_texts, groups, bool(again))


def _require_content(corpus: Corpus, label_column: str | None) -> None:
    """Refuse too few different texts or labels."""
    name = name_of(corpus)
    wanted = {"labelled": LEAST_LABELLED, "labels": 2} if label_column else {}
    content = read_until(corpus.labelled(label_column), plain, LEAST_TEXTS, **wanted)
    if content.texts < LEAST_TEXTS:
        raise TableError(f"{name} has {content.texts} different texts: adapting needs at least {LEAST_TEXTS}")
    if not label_column:
        return
    if content.labelled < LEAST_LABELLED:
        raise TableError(
            f"{name}: {content.labelled} different texts have a label in {label_column!r}: give at least "
            f"{LEAST_LABELLED}, or leave label_column out"
        )
    if content.labels < 2:
        raise TableError(
            f"{name}: column {label_column!r} has {content.labels} different labels: give a column with two or more"
        )


def plain(text: str) -> str:
    """Equal for texts that differ in case and white space only."""
    return " ".join(text.lower().split())


def name_of(corpus: Corpus) -> str:
    """The first file, for messages."""
    return f"{corpus.files[0]}{' …' if len(corpus.files) > 1 else ''}"


def training_settings(model: str | Path | None, recipe: str | Path | None) -> dict[str, Any]:
    """Settings of training: those of a recipe, by default the one for the model.

    Raises:
        MissingFileError, RequestError: no such recipe, or an invalid one.
    """
    named = {} if model is None else {"model": str(model)}
    if recipe is not None:
        settings = read_recipe(recipe) | named
    else:
        try:
            settings = read_recipe(recipe_for(str(model or "mini")))
        except RequestError:  # a model without a recipe of its own
            settings = read_recipe(_OTHER_MODELS) | named
            settings.pop("layer", None)
    return {name: value for name, value in settings.items() if name != "seed"}


def settings_again(model: str | Path) -> dict[str, Any] | None:
    """Settings that train a model again, on other texts: its own, with fewer steps and a lower learning rate.

    Of its pairs those that are bundled, which are sure to be there. None for a model that was not trained to embed.
    """
    if not (stored := trained_settings(model)):
        return None
    first = train_config(stored, f"the training of {model}")
    return {name: getattr(first, name) for name in _KEPT} | {
        "model": str(model),
        "pairs": [name for name in first.pairs if name in BUNDLED_PAIRS] or list(BUNDLED_PAIRS),
        "steps": max(_LEAST_STEPS, round(_STEPS_AGAIN * first.steps)),
        "learning_rate": _RATE_AGAIN * first.learning_rate,
    }


def pair_sources(
    sources: Mapping[str, float] | Sequence[str] | None,
    *,
    labelled: bool,
    rewriting: bool,
    again: bool = False,
) -> dict[str, float]:
    """Source of pairs → weight; None is all that the request allows, neighbours twice as many as of the others.

    Args:
        sources: source → weight, or names.
        labelled: whether there are labels.
        rewriting: whether there is a chat model.
        again: whether the model was trained to embed before; None then is neighbours and the pairs of the recipe, and
            labels and rewritings where the request allows them, with equal weights.

    Raises:
        RequestError: an unknown source, one that lacks what it needs, a weight that is not above 0, or none.
    """
    allowed = {"labels": labelled, "generate": rewriting}
    needed = {"labels": "label_column=…", "generate": "a chat model"}
    if sources is None:
        usual, given = (_AGAIN, {}) if again else (SOURCES, _WEIGHTS)
        return {name: given.get(name, 1.0) for name in usual if allowed.get(name, True)}
    weights = dict(sources) if isinstance(sources, Mapping) else dict.fromkeys(sources, 1.0)
    if not weights:
        raise RequestError(f"sources=[]: give at least one of {', '.join(SOURCES)}")
    for name, weight in weights.items():
        if name not in SOURCES:
            raise RequestError(unknown_name("source of pairs", name, SOURCES))
        if not allowed.get(name, True):
            raise RequestError(f"sources: {name!r} needs {needed[name]}: give it, or leave the source out")
        if not 0 < weight < 1e6:
            raise RequestError(f"sources: {name}={weight}: give a weight above 0")
    return weights
