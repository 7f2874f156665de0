"""Models to compare: those that the caller names, and the checkpoints of a training run with their base model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastword.bundled import model_source
from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder, Template
from lastword.embedding import folder as folders
from lastword.embedding.adapters import adapter_settings, attach_adapter, load_adapter
from lastword.errors import MissingFileError, ModelError, RequestError

_RECIPE = "recipe.json"
# Folders of checkpoints: in the output of a run, in OUTPUT.partial while it runs, or the given folder itself.
_FOLDERS = ("training", "checkpoints", ".")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a training run.

    Attributes:
        steps: (step, folder of the adapter), in order.
        base: name or folder of the base model.
        recipe: settings of the run, as far as they are stored.
    """

    steps: list[tuple[int, Path]]
    base: str
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults:
    """Template and pooling for base models, which store none."""

    template: str | Template
    pooling: str


@dataclass(frozen=True)
class LoadOptions:
    """How models are loaded.

    Attributes:
        template: for all models; None uses the stored template of each.
        pooling: for all models; None uses the stored pooling of each.
        dtype: None is the best precision that the device supports.
        device: None is the best device available.
    """

    template: str | None = None
    pooling: str | None = None
    dtype: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class LoadedModel:
    """One model. Use it before loading the next: checkpoints share one model in memory.

    Attributes:
        name: of the model, or "step 40".
        step: training step; 0 is the base model of a run, None a model whose step is unknown.
        embedder: the model.
    """

    name: str
    step: int | None
    embedder: Embedder


def find_checkpoints(folder: str | Path) -> Checkpoints:
    """Find the checkpoints that `lastword train` wrote.

    Args:
        folder: the output of a training run, OUTPUT.partial of an unfinished run, or a folder of checkpoints.

    Raises:
        MissingFileError: the folder does not exist.
        RequestError: it has no checkpoints.
        ModelError: a checkpoint or recipe cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(
            f"no folder {folder}: give one that lastword train wrote, or its OUTPUT.partial"
        )
    for parent in (folder / name for name in _FOLDERS):
        steps = sorted(
            (int(path.name[5:]), path) for path in parent.glob("step-*") if path.name[5:].isdecimal()
        )
        if steps:
            base = adapter_settings(steps[0][1]).base_model_name_or_path
            recipe = _read_recipe(parent) or _read_recipe(parent.parent)
            return Checkpoints(steps, str(recipe.get("model") or base), recipe)
    raise RequestError(
        f"{folder} has no checkpoints (step-000010 and so on): give a folder that lastword train wrote, "
        "or its OUTPUT.partial"
    )


def load_models(
    models: Sequence[str | Path | Embedder], checkpoints: Checkpoints | None, options: LoadOptions
) -> Iterator[LoadedModel]:
    """Load one model after the other: the named ones, then the base model of the run and its checkpoints.

    Base models, which store no template and pooling, get those of the first model that does, or of the run,
    so that models are compared in the same setting. A model is loaded only once.

    Raises:
        MissingFileError, ModelError, RequestError, TemplateError: a model cannot be loaded.
        WorkError: a checkpoint cannot be loaded.
    """
    defaults = _first_stored(models) or _run_defaults(checkpoints)
    loaded: dict[str, str] = {}  # identity → name
    for model in models:
        embedder = model if isinstance(model, Embedder) else _load(model, options, defaults)
        step = 0 if checkpoints and embedder.name == checkpoints.base else None
        identity = embedder.identity
        if identity in loaded:
            info(f"{embedder.name} is the same model as {loaded[identity]}: shown once")
            continue
        loaded[identity] = embedder.name
        yield LoadedModel(embedder.name, step, embedder)
    if checkpoints:
        yield from _load_checkpoints(checkpoints, options, loaded)


def _load_checkpoints(
    checkpoints: Checkpoints, options: LoadOptions, loaded: dict[str, str]
) -> Iterator[LoadedModel]:
    embedder = _load(checkpoints.base, options, _run_defaults(checkpoints))
    if embedder.identity not in loaded:
        yield LoadedModel(f"{checkpoints.base} (step 0)", 0, embedder)
    model = embedder.backbone.model
    for i, (step, folder) in enumerate(checkpoints.steps):
        (load_adapter if i else attach_adapter)(model, folder)
        yield LoadedModel(f"step {step}", step, embedder)


def _load(model: str | Path, options: LoadOptions, defaults: Defaults) -> Embedder:
    template: str | Template | None = options.template
    pooling = options.pooling
    if folders.read(model_source(model)) is None:
        template, pooling = template or defaults.template, pooling or defaults.pooling
    return Embedder.from_pretrained(
        model, template=template, pooling=pooling, dtype=options.dtype, device=options.device
    )


def _first_stored(models: Sequence[str | Path | Embedder]) -> Defaults | None:
    """Template and pooling of the first model that stores them."""
    for model in models:
        stored = model if isinstance(model, Embedder) else folders.read(model_source(model))
        if stored:
            return Defaults(stored.spec.template, stored.spec.pooling.spec)
    return None


def _run_defaults(checkpoints: Checkpoints | None) -> Defaults:
    """Template and pooling of the run, or the defaults of training."""
    default, recipe = TrainConfig(), checkpoints.recipe if checkpoints else {}
    return Defaults(recipe.get("template") or default.template, recipe.get("pooling") or default.pooling)


def _read_recipe(folder: Path) -> dict[str, Any]:
    path = folder / _RECIPE
    if not path.is_file():
        return {}
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    return recipe
