"""The models side by side: those that were named, and the checkpoints of a training over their base model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HfHubHTTPError

from lastword.bundled import NAMES, path_of
from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder, Template
from lastword.embedding import folder as folders
from lastword.embedding.adapters import adapter_settings, load_adapter, place_adapter
from lastword.errors import MissingFileError, ModelError, RequestError

_RECIPE = "recipe.json"
# Where a training keeps its checkpoints: in the folder it wrote, in OUT.partial while it runs.
_PLACES = ("training", "checkpoints", ".")


@dataclass(frozen=True)
class Run:
    """The checkpoints of a training.

    Attributes:
        folder: as given.
        steps: (step, folder of the adapter), in order.
        base: name or folder of the base model.
        recipe: settings of the training, as far as they are stored.
    """

    folder: Path
    steps: list[tuple[int, Path]]
    base: str
    recipe: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wrapping:
    """What a base model does not know: how texts are wrapped and states are pooled."""

    template: str | Template
    pooling: str


@dataclass(frozen=True)
class Settings:
    """How models are loaded.

    Attributes:
        template: for all models; None leaves each its own.
        pooling: for all models; None leaves each its own.
        dtype: None is what the device does best.
        device: None is the best there is.
    """

    template: str | None = None
    pooling: str | None = None
    dtype: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Subject:
    """One model, to be looked at before the next is asked for: checkpoints share one model's memory.

    Attributes:
        name: the model's, or "step 40".
        step: step of the training; 0 is its base model, None a model of no known step.
        embedder: the model.
    """

    name: str
    step: int | None
    embedder: Embedder


def find_run(folder: str | Path) -> Run:
    """Find the checkpoints that `lastword train` left in a folder.

    Args:
        folder: what a training wrote, OUT.partial of one that is not finished, or a folder of checkpoints.

    Raises:
        MissingFileError: no such folder.
        RequestError: no checkpoint in it.
        ModelError: a checkpoint or recipe that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingFileError(f"no folder {folder}: give one that lastword train wrote, or its OUT.partial")
    for place in (folder / name for name in _PLACES):
        steps = sorted(
            (int(path.name[5:]), path) for path in place.glob("step-*") if path.name[5:].isdecimal()
        )
        if steps:
            base = adapter_settings(steps[0][1]).base_model_name_or_path
            recipe = _recipe(place) or _recipe(place.parent)
            return Run(folder, steps, str(recipe.get("model") or base), recipe)
    raise RequestError(
        f"{folder} holds no checkpoint (step-000010 and so on): give a folder that lastword train wrote, "
        "or its OUT.partial"
    )


def subjects(
    models: Sequence[str | Path | Embedder], run: Run | None, settings: Settings
) -> Iterator[Subject]:
    """Load one model after the other: those named, then the run's base model and each of its checkpoints.

    A base model, which knows no template and pooling, gets those of the first model or run that does, so that
    what differs is the model; without any it gets those of a training. A model that was seen already is
    passed over.

    Raises:
        MissingFileError, ModelError, RequestError, TemplateError: a model that does not load.
        WorkError: a checkpoint that does not load.
    """
    shared = _shared(models) or _of_recipe(run)
    seen: dict[str, str] = {}
    for model in models:
        embedder = model if isinstance(model, Embedder) else _load(model, settings, shared)
        step = 0 if run and embedder.name == run.base else None
        identity = _identity(embedder)
        if identity in seen:
            info(f"{embedder.name} is the same model as {seen[identity]}: shown once")
            continue
        seen[identity] = embedder.name
        yield Subject(embedder.name, step, embedder)
    if run:
        yield from _checkpoints(run, settings, seen)


def _checkpoints(run: Run, settings: Settings, seen: dict[str, str]) -> Iterator[Subject]:
    embedder = _load(run.base, settings, _of_recipe(run))
    if _identity(embedder) not in seen:
        yield Subject(f"{run.base} (step 0)", 0, embedder)
    model = embedder.backbone.model
    for place, (step, folder) in enumerate(run.steps):
        (load_adapter if place else place_adapter)(model, folder)
        yield Subject(f"step {step}", step, embedder)


def _identity(embedder: Embedder) -> str:
    """What decides the vectors, and the tokens too."""
    words = json.dumps(embedder.tokenizer.definition()["model"], sort_keys=True)
    return f"{embedder.identity} {hashlib.sha256(words.encode()).hexdigest()}"


def _load(model: str | Path, settings: Settings, shared: Wrapping) -> Embedder:
    template: str | Template | None = settings.template
    pooling = settings.pooling
    if _stored(model) is None:
        template, pooling = template or shared.template, pooling or shared.pooling
    return Embedder.from_pretrained(
        model, template=template, pooling=pooling, dtype=settings.dtype, device=settings.device
    )


def _shared(models: Sequence[str | Path | Embedder]) -> Wrapping | None:
    """Template and pooling of the first model that has its own."""
    own = (model if isinstance(model, Embedder) else _stored(model) for model in models)
    return next(
        (Wrapping(one.template, str(getattr(one.pooling, "spec", one.pooling))) for one in own if one), None
    )


def _of_recipe(run: Run | None) -> Wrapping:
    """Template and pooling of the training; where none is told, those that a training has by default."""
    default, recipe = TrainConfig(), run.recipe if run else {}
    return Wrapping(recipe.get("template") or default.template, recipe.get("pooling") or default.pooling)


def _stored(model: str | Path) -> folders.Stored | None:
    """What a folder, or a model on the Hub, says about itself; a name that is neither fails when it is loaded."""
    place = path_of(str(model)) if str(model) in NAMES else model
    if not Path(place).is_dir() and str(place).count("/") != 1:
        return None
    try:
        return folders.read(place)
    except HfHubHTTPError:
        return None


def _recipe(folder: Path) -> dict[str, Any]:
    path = folder / _RECIPE
    if not path.is_file():
        return {}
    try:
        recipe: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    return recipe
