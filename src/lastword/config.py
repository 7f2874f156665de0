"""Settings of a training run: a frozen dataclass, read from TOML, written as JSON, checked on construction."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import typing
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.errors import MissingFileError, RequestError, unknown_name

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
SWEEP = "sweep"
_RECIPES = Path(__file__).parent / "recipes"
CHOICES = {
    "loss": ("info_nce", "symmetric_info_nce", "cosent", "angle"),
    "mixing": ("joint", "by_file"),
    "schedule": ("constant", "linear", "cosine"),
    "attention": ("causal", "bidirectional"),
    "dtype": ("float32", "bfloat16"),
    "quantize": ("int8", "nf4"),
}
"""Field → allowed values."""
GRADED = ("cosent", "angle")
"""Losses of graded pairs, which have a score each; the others need pairs of the same meaning."""
KIND_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
LIMITS: dict[str, tuple[float, float]] = {
    "layer": (1, 1000),
    "adapt_layers": (1, 1000),
    "max_tokens": (1, 131_072),
    "masked_steps": (0, 1_000_000),
    "masked_share": (0.01, 0.9),
    "steps": (1, 1_000_000),
    "batch_pairs": (2, 65_536),
    "widths": (1, 100_000),
    "temperature": (0.001, 10),
    "temperatures": (0.001, 10),
    "guide_margin": (-2, 2),
    "teacher_weight": (0.001, 1),
    "learning_rate": (1e-9, 1),
    "warmup_steps": (0, 1_000_000),
    "weight_decay": (0, 1),
    "clip_norm": (1e-6, 1e6),
    "rank": (1, 4096),
    "alpha": (0.001, 10_000),
    "dropout": (0, 0.99),
    "patience": (1, 1000),
    "seed": (0, 4_294_967_295),
    "batch_tokens": (1, 10_000_000),
    "graph_gib": (0, 10_000),
}
"""Field → least and largest value."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines the weights that a training run ends with.

    Attributes:
        model: name or folder of the base model; "mini" is the bundled one.
        pairs: files of pairs; "pairs" and "subjects" are bundled ones.
        encoding: of text files of pairs, such as latin-1; detected by default.
        delimiter: between the cells of CSV and TSV files of pairs; detected by default.
        template: name of a template, or a string with `{text}`.
        pooling: pooling that is trained and stored.
        layer: number of layers to keep, 1 to 1,000; the layers after them are removed before training and are
            not in the folder written. All are kept by default.
        attention: causal, or bidirectional, where every token sees the whole text; for models built like Llama.
        masked_steps: steps of masked next-token training on the texts of the pairs, before the training on pairs, 0
            to 1,000,000; with attention = bidirectional.
        masked_share: of the tokens that are masked in it, 0.01 to 0.9.
        max_tokens: longest training sequence in tokens, template included, 1 to 131,072. The model written
            takes longer ones, up to 512 tokens or the positions of the base model.
        steps: optimizer steps, 1 to 1,000,000.
        batch_pairs: pairs per step, 2 to 65,536; the positives of the others are the negatives of each anchor.
        mixing: joint draws the pairs of a step from all files, by_file from one file, so that negatives are of the
            same kind; each file has its share of the steps.
        loss: name of the loss: info_nce, symmetric_info_nce (positives find their anchors too), cosent or angle. The
            last two are for graded pairs, which have a column score: the more alike, the higher.
        widths: numbers of first dimensions, 1 to 100,000, that are trained as vectors of their own, besides whole
            vectors (Matryoshka); vectors may be truncated to them later.
        temperature: divisor τ of the cosine similarities, 0.001 to 10.
        temperatures: one for each file of pairs, 0.001 to 10, in place of temperature.
        guide: model whose similarities tell false negatives: tfidf, sentence-transformers:NAME, a decoder, or self for
            the model before training. A negative that it finds more similar to an anchor than the positive is left out.
        guide_margin: how much less similar than the positive, -2 to 2, a negative must be.
        teacher: whose similarities of the texts are learned besides the pairs: a model as for guide; a table with
            columns text and vector, or a folder of `lastword embed`; or a server by its URL, MODEL@URL if it has
            several models. Its vectors may have any width.
        teacher_weight: of the teacher in the loss, 0.001 to 1; the pairs have the rest, which is nothing at 1.
        teacher_template: template of a teacher that is a decoder, perhaps an average; by default that of its folder,
            or of the model before training.
        learning_rate: peak learning rate of AdamW, 1e-09 to 1.
        warmup_steps: steps over which the learning rate rises to its peak, 0 to 1,000,000.
        schedule: learning rate after the warm-up: constant, linear or cosine (both fall to zero at the last step).
        weight_decay: decoupled weight decay of AdamW, 0 to 1.
        clip_norm: largest norm of the gradient, 1e-06 to 1e+06; a larger gradient is scaled down to it.
        rank: rank of the LoRA matrices, 1 to 4,096.
        alpha: scale of the LoRA update, 0.001 to 10,000; the update is multiplied by alpha / rank.
        dropout: share of the inputs of each adapter that is dropped in training, 0 to 0.99.
        noise: augmentations of the positives, drawn again at every step: delete, swap, characters.
        adapt_layers: number of layers, counted from the last one kept, that get an adapter, 1 to 1,000. The layers
            below are computed once for each text and not trained. All get one by default.
        projections: projections that get an adapter, whatever the model calls them: q, k, v, o, gate, up, down.
        patience: stop after so many checkpoints, 1 to 1,000, none of which is better than the last that was
            better, by the 95 % interval of the paired difference. By default all steps are done.
        seed: seed of the adapter weights, the order of the pairs, noise and dropout, 0 to 4,294,967,295.
        dtype: precision of the frozen weights and their products: float32 or bfloat16; the best precision
            that the device supports by default. Adapter weights and the loss are always float32.
        quantize: int8 or nf4 stores the frozen weights in 8 or 4 bits during training (QLoRA); the folder written
            has the full weights with the adapter merged in.
        batch_tokens: padded tokens in one pass of the model, 1 to 10,000,000; bounds the memory and changes
            nothing else but which inputs dropout drops.
        graph_gib: memory for activations in GiB, 0 to 10,000; half of the memory that is free when training begins
            by default. Activations beyond it are computed twice (GradCache): this changes the time and not the
            gradients.
    """

    model: str = "mini"
    pairs: tuple[str, ...] = ("pairs",)
    encoding: str | None = None
    delimiter: str | None = None
    template: str = "ccw"
    pooling: str = "lasttoken"
    layer: int | None = None
    attention: str = "causal"
    masked_steps: int = 0
    masked_share: float = 0.2
    max_tokens: int = 256
    steps: int = 100
    batch_pairs: int = 120
    mixing: str = "joint"
    loss: str = "info_nce"
    widths: tuple[int, ...] = ()
    temperature: float = 0.05
    temperatures: tuple[float, ...] = ()
    guide: str | None = None
    guide_margin: float = 0.0
    teacher: str | None = None
    teacher_weight: float = 0.5
    teacher_template: str | None = None
    learning_rate: float = 5e-4
    warmup_steps: int = 10
    schedule: str = "linear"
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    rank: int = 64
    alpha: float = 64.0
    dropout: float = 0.05
    noise: tuple[str, ...] = ()
    adapt_layers: int | None = None
    projections: tuple[str, ...] = ("q", "v", "o", "gate", "up", "down")
    patience: int | None = None
    seed: int = 0
    dtype: str | None = None
    quantize: str | None = None
    batch_tokens: int = 4096
    graph_gib: float | None = None

    def __post_init__(self) -> None:
        """Refuse an invalid value, naming the field, the value and what is allowed."""
        for name, (low, high) in LIMITS.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                if value is not None and not low <= value <= high:
                    raise RequestError(f"{name}={value!r}: it must be from {_shown(low)} to {_shown(high)}")
        for name, names in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in names:
                raise RequestError(unknown_name(name, value, names))
        if self.layer and self.adapt_layers and self.adapt_layers > self.layer:
            raise RequestError(f"adapt_layers={self.adapt_layers}, but layer={self.layer} keeps fewer")
        if self.masked_steps and self.attention != "bidirectional":
            raise RequestError(
                f"masked_steps={self.masked_steps} teaches a model to see later tokens, which attention="
                f"{self.attention!r} hides: use attention='bidirectional', or leave it out"
            )
        if self.masked_share != TrainConfig.masked_share and not self.masked_steps:
            raise RequestError(
                f"masked_share={self.masked_share:g} needs masked_steps: give both, or leave it out"
            )
        for projection in self.projections:
            if projection not in PROJECTIONS:
                raise RequestError(unknown_name("projection", projection, PROJECTIONS))
        for name, allowed in (("pairs", "file"), ("projections", f"of {', '.join(PROJECTIONS)}")):
            if not getattr(self, name):
                raise RequestError(f"{name}=(): give at least one {allowed}")

    @property
    def graded(self) -> bool:
        """Whether the loss is one of graded pairs."""
        return self.loss in GRADED

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


def _shown(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def train_config(values: dict[str, Any], source: str = "settings") -> TrainConfig:
    """Build a `TrainConfig` from plain values, such as a parsed recipe.

    Raises:
        RequestError: an unknown key, a value of the wrong type, or one out of range.
    """
    types = typing.get_type_hints(TrainConfig)
    resolved = {}
    for key, value in values.items():
        if key == "as_published":
            raise RequestError(
                f"{source}: as_published is for lastword train: leave it out of the recipe of other commands"
            )
        if key not in types:
            raise RequestError(f"{source}: {unknown_name('key', key, types)}")
        resolved[key] = _converted(key, value, types[key], source)
    return TrainConfig(**resolved)


def _converted(key: str, value: Any, kind: Any, source: str) -> Any:
    if typing.get_origin(kind) is tuple:
        return _listed(key, value, typing.get_args(kind)[0], source)
    allowed = typing.get_args(kind) or (kind,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, allowed) or isinstance(value, bool):
        names = " or ".join(KIND_NAMES[kind] for kind in allowed if kind is not type(None))
        raise RequestError(f"{source}: {key} = {value!r}: it must be {names}")
    return value


def _listed(key: str, value: Any, kind: type, source: str) -> tuple[Any, ...]:
    """A list, or its values with commas between, as a tuple of strings or numbers."""
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    strings = isinstance(parts, list | tuple) and all(isinstance(part, str) for part in parts)
    with suppress(ValueError):
        if strings:
            return tuple(kind(part.strip()) for part in parts if part.strip())
        if isinstance(parts, list | tuple) and kind is not str:
            return tuple(_converted(key, part, kind, source) for part in parts)
    plural = {str: "strings", int: "whole numbers", float: "numbers"}[kind]
    raise RequestError(f"{source}: {key} = {value!r}: give a list of {plural}")


def read_recipe(name_or_path: str | Path) -> dict[str, Any]:
    """Read a TOML recipe: one flat table of `TrainConfig` fields, without its table `[sweep]`.

    Args:
        name_or_path: "mini", "small", "paper", or a file.

    Raises:
        MissingFileError: no such file.
        RequestError: not TOML.
    """
    return {key: value for key, value in _read_toml(name_or_path).items() if key != SWEEP}


def recipe_for(model: str) -> str:
    """Name of the recipe in the package that adapts a model.

    Raises:
        RequestError: there is none.
    """
    recipes = {read_recipe(path).get("model"): path.stem for path in sorted(_RECIPES.glob("*.toml"))}
    if model not in recipes:
        known = ", ".join(str(name) for name in recipes if name)
        raise RequestError(f"model {model!r} has no recipe in the package; those that have one: {known}")
    return recipes[model]


def read_sweep(name_or_path: str | Path) -> dict[str, Any]:
    """Read the table `[sweep]` of a recipe: setting → values to try; empty where there is none.

    Raises:
        MissingFileError: no such file.
        RequestError: not TOML, or no table.
    """
    table = _read_toml(name_or_path).get(SWEEP, {})
    if not isinstance(table, dict):
        raise RequestError(f"{name_or_path}: {SWEEP} = {table!r}: it must be a table, [{SWEEP}]")
    return table


def _read_toml(name_or_path: str | Path) -> dict[str, Any]:
    bundled = {path.stem: path for path in sorted(_RECIPES.glob("*.toml"))}
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise MissingFileError(
            f"no recipe {path}: give a TOML file that exists, or one of {', '.join(bundled)}"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not TOML: {error}") from error
