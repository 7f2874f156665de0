"""Settings of a training as a frozen dataclass: TOML in, JSON out, checked on construction."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.errors import MissingFileError, RequestError, unknown_name

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
_RECIPES = Path(__file__).parent / "recipes"
SWEEP = "sweep"
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the weights a training ends with.

    Attributes:
        model: name or folder of the base model; "mini" is the bundled one.
        pairs: files of pairs; "pairs" is the bundled one.
        template: name or string with `{text}`.
        pooling: pooling that is trained and stored.
        max_tokens: longest training sequence in tokens, template included; the model written takes
            longer ones, up to 512 or what its positions allow.
        steps: optimizer steps.
        batch_pairs: pairs in a step; each anchor has the positives of all the others as negatives.
        loss: name of the loss: info_nce.
        temperature: divisor of the cosine similarities, τ.
        learning_rate: peak learning rate of AdamW.
        warmup_steps: steps over which the learning rate rises to its peak.
        schedule: what it does then: "constant", "linear" or "cosine" (both to zero at the last step).
        weight_decay: AdamW's decoupled weight decay.
        clip_norm: gradients are scaled down to this norm at most.
        rank: rank of the LoRA matrices.
        alpha: LoRA scale; the product is multiplied by alpha / rank.
        dropout: share of an adapter's inputs dropped in training.
        noise: small damage done to the positives, drawn anew at every step: delete, swap, characters.
        projections: which projections get an adapter: q, k, v, o, gate, up, down.
        patience: stop when the development score has not risen beyond its noise band for so many
            checkpoints; None does all steps.
        seed: decides adapter weights, order of the pairs and dropout.
        dtype: precision of the frozen weights and of the products, "float32" or "bfloat16"; None is
            what the device does best. Adapter weights and the loss are float32 always.
        quantize: "int8" or "nf4" keeps the frozen weights in 8 or 4 bits while training (QLoRA); the folder
            written has the full weights, with the adapter merged in. None is neither.
        batch_tokens: padded tokens in one pass of the model; bounds the memory and changes nothing but
            which inputs dropout drops.
        graph_gib: memory for activations, in GiB: up to it they are kept between the two halves of a
            step, the rest is computed again (GradCache). Changes the time, not the gradients.
    """

    model: str = "mini"
    pairs: tuple[str, ...] = ("pairs",)
    template: str = "ccw"
    pooling: str = "lasttoken"
    max_tokens: int = 256
    steps: int = 100
    batch_pairs: int = 120
    loss: str = "info_nce"
    temperature: float = 0.05
    learning_rate: float = 5e-4
    warmup_steps: int = 10
    schedule: str = "linear"
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    rank: int = 64
    alpha: float = 64.0
    dropout: float = 0.05
    noise: tuple[str, ...] = ()
    projections: tuple[str, ...] = ("q", "v", "o", "gate", "up", "down")
    patience: int | None = None
    seed: int = 0
    dtype: str | None = None
    quantize: str | None = None
    batch_tokens: int = 4096
    graph_gib: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a value that cannot work, naming the field, the value and the range."""
        for name in ("max_tokens", "steps", "rank", "batch_tokens"):
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        _require(self, "batch_pairs", self.batch_pairs >= 2, "at least 2: a batch of one has no negatives")
        for name in ("temperature", "learning_rate", "clip_norm", "alpha"):
            _require(self, name, getattr(self, name) > 0, "above 0")
        for name in ("warmup_steps", "weight_decay", "graph_gib", "seed"):
            _require(self, name, getattr(self, name) >= 0, "0 or more")
        _require(self, "patience", self.patience is None or self.patience >= 1, "at least 1, or nothing")
        _require(self, "dropout", 0 <= self.dropout < 1, "from 0 to below 1")
        _require(self, "pairs", len(self.pairs) > 0, "at least one file")
        _require(self, "projections", len(self.projections) > 0, "at least one of " + ", ".join(PROJECTIONS))
        for projection in self.projections:
            if projection not in PROJECTIONS:
                raise RequestError(unknown_name("projection", projection, PROJECTIONS))
        if self.schedule not in SCHEDULES:
            raise RequestError(unknown_name("schedule", self.schedule, SCHEDULES))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain

    @property
    def base_key(self) -> str:
        """The settings on which the model depends before its first step, as a key."""
        names = ("model", "template", "pooling", "max_tokens", "dtype", "quantize")
        return json.dumps([getattr(self, name) for name in names])


def _require(config: TrainConfig, name: str, holds: bool, allowed: str) -> None:
    if not holds:
        raise RequestError(f"{name}={getattr(config, name)!r}: it must be {allowed}")


def train_config(values: dict[str, Any], source: str = "settings") -> TrainConfig:
    """Build a `TrainConfig` from plain values, such as a parsed recipe.

    Raises:
        RequestError: an unknown key, a value of the wrong type, or one out of range.
    """
    types = typing.get_type_hints(TrainConfig)
    resolved = {}
    for key, value in values.items():
        if key not in types:
            raise RequestError(f"{source}: {unknown_name('key', key, types)}")
        resolved[key] = _converted(key, value, types[key], source)
    return TrainConfig(**resolved)


def _converted(key: str, value: Any, kind: Any, source: str) -> Any:
    if kind == tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
            raise RequestError(f"{source}: {key} = {value!r}: give a list of strings")
        return tuple(part.strip() for part in parts if part.strip())
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    allowed = typing.get_args(kind) or (kind,)
    if not isinstance(value, allowed) or isinstance(value, bool):
        names = " or ".join(getattr(one, "__name__", str(one)) for one in allowed if one is not type(None))
        raise RequestError(f"{source}: {key} = {value!r}: it must be {names}")
    return value


def read_recipe(name_or_path: str | Path) -> dict[str, Any]:
    """Read a TOML recipe: one flat table of `TrainConfig` fields; what it says for a sweep is left out.

    Args:
        name_or_path: "mini", "paper", or a file.

    Raises:
        MissingFileError: no such file.
        RequestError: not TOML.
    """
    return {key: value for key, value in _read_toml(name_or_path).items() if key != SWEEP}


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
    known = {path.stem: path for path in sorted(_RECIPES.glob("*.toml"))}
    path = known.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise MissingFileError(
            f"no recipe {path}: give a TOML file that exists, or one of {', '.join(known)}"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} is not TOML: {error}") from error
