"""Models to compare: those that the caller names, and the checkpoints of a training run with their base model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastword.bundled import model_source
from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder
from lastword.embedding import folder as folders
from lastword.embedding.adapters import adapter_settings, attach_adapter, load_adapter
from lastword.errors import MissingFileError, ModelError, RequestError

_RECIPE = "recipe.json"
# Folders of checkpoints: in the output of a run, in OUTPUT.partial while it runs, or the given folder itself.
_FOLDERS = ("training", "checkpoints", ".")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, (step, folder of the adapter) in order, its base model, and its recipe if stored."""

    steps: list[tuple[int, Path]]
    base: str
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoadedModel:
    """One model. Use it before loading the next: checkpoints share one model in memory.

    `step` is 0 for the base model of a run, and None for a model whose step is unknown.
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
    models: Sequence[str | Path | Embedder], checkpoints: Checkpoints | None, **settings: str | None
) -> Iterator[LoadedModel]:
    """Load one model after the other: the named ones, then the base model of the run and its checkpoints.

    Base models, which store no template and pooling, get those of the first model that does, or of the run,
    so that models are compared in the same setting. A model is loaded only once.

    Args:
        models: names, folders or loaded embedders.
        checkpoints: of a training run.
        **settings: template, pooling, dtype and device of every model; None is its default.

    Raises:
        MissingFileError, ModelError, RequestError, TemplateError: a model cannot be loaded.
        WorkError: a checkpoint cannot be loaded.
    """
    defaults = next(filter(None, map(_stored_settings, models)), None) or _run_settings(checkpoints)
    loaded: dict[str, str] = {}  # identity → name
    for model in models:
        embedder = model if isinstance(model, Embedder) else _load(model, settings, defaults)
        step = 0 if checkpoints and embedder.name == checkpoints.base else None
        identity = embedder.identity
        if identity in loaded:
            info(f"{embedder.name} is the same model as {loaded[identity]}: shown once")
            continue
        loaded[identity] = embedder.name
        yield LoadedModel(embedder.name, step, embedder)
    if not checkpoints:
        return
    embedder = _load(checkpoints.base, settings, _run_settings(checkpoints))
    if embedder.identity not in loaded:
        yield LoadedModel(f"{checkpoints.base} (step 0)", 0, embedder)
    for i, (step, folder) in enumerate(checkpoints.steps):
        (load_adapter if i else attach_adapter)(embedder.backbone.model, folder)
        yield LoadedModel(f"step {step}", step, embedder)


def _load(model: str | Path, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> Embedder:
    if _stored_settings(model) is None:
        settings = {**settings, **{name: settings[name] or value for name, value in defaults.items()}}
    return Embedder.from_pretrained(model, **settings)


def _run_settings(checkpoints: Checkpoints | None) -> dict[str, Any]:
    """Template and pooling of the run, or the defaults of training."""
    recipe = checkpoints.recipe if checkpoints else {}
    return {name: recipe.get(name) or getattr(TrainConfig, name) for name in ("template", "pooling")}


def _stored_settings(model: str | Path | Embedder) -> dict[str, Any] | None:
    """Template and pooling of a loaded model, folder or Hub model; None if it is a base model or does not exist."""
    stored = model if isinstance(model, Embedder) else folders.read(model_source(model))
    return {"template": stored.spec.template, "pooling": stored.spec.pooling.spec} if stored else None


def _read_recipe(folder: Path) -> dict[str, Any]:
    path = folder / _RECIPE
    if not path.is_file():
        return {}
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    return recipe
