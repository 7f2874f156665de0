"""Models to compare: those that the caller names, and the checkpoints of a training run with their base model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.bundled import model_source
from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder
from lastword.embedding import folder as folders
from lastword.embedding.adapters import adapter_settings, attach_adapter, load_adapter
from lastword.embedding.latent_pooling import LatentPooling
from lastword.embedding.pooling import Pooling
from lastword.errors import MissingFileError, RequestError

# Folders of checkpoints: in the output of a run, in OUTPUT.partial while it runs, or the given folder itself.
_FOLDERS = ("training", "checkpoints", ".", "model/training")  # the last: of a folder of lastword adapt


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a run, (step, folder of the adapter) in order, its base model, and what else it says."""

    steps: list[tuple[int, Path]]
    base: str
    stored: folders.Stored | None


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
            base, stored = adapter_settings(steps[0][1]).base_model_name_or_path, folders.read(steps[0][1])
            return Checkpoints(steps, stored.provenance.base if stored else str(base), stored)
    raise RequestError(
        f"{folder} has no checkpoints (step-000010 and so on): give a folder that lastword train or "
        "adapt wrote, or its OUTPUT.partial"
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
    embedder = _base(checkpoints, settings)
    if embedder.identity not in loaded:
        yield LoadedModel(f"{checkpoints.base} (step 0)", 0, embedder)
    for i, (step, folder) in enumerate(checkpoints.steps):
        (load_adapter if i else attach_adapter)(embedder.backbone.model, folder)
        yield LoadedModel(f"step {step}", step, embedder)


def _load(model: str | Path, settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> Embedder:
    if _stored_settings(model) is None:
        if Pooling.parse(defaults["pooling"]).trainable:
            defaults = {**defaults, "pooling": "mean"}  # that training begins with
        settings = {**settings, **{name: settings[name] or value for name, value in defaults.items()}}
    return Embedder.from_pretrained(model, **settings)


def _base(checkpoints: Checkpoints, settings: Mapping[str, Any]) -> Embedder:
    """The base model of a run, in which its checkpoints can be placed, as it was when training began."""
    stored = checkpoints.stored
    if stored is None:
        return _load(checkpoints.base, settings, _run_settings(checkpoints))
    spec = stored.spec.changed(template=settings["template"], pooling=settings["pooling"])
    embedder = Embedder.from_pretrained(
        checkpoints.base, template=spec.template, pooling=None if spec.pooling.trainable else spec.pooling,
        layer=spec.layer, attention=spec.attention, dtype=settings["dtype"], device=settings["device"],
    ).cut()  # fmt: skip
    if spec.pooling.trainable and embedder.backbone.trained_pool is None:
        seed = (stored.provenance.recipe or {})["seed"]
        embedder.backbone.add_pooling(LatentPooling(embedder.backbone.dim, seed=seed))
    return embedder.variant(pooling=spec.pooling)


def _run_settings(checkpoints: Checkpoints | None) -> dict[str, Any]:
    """Template and pooling of the run, or the defaults of training."""
    if checkpoints and (stored := checkpoints.stored):
        return {"template": stored.spec.template, "pooling": stored.spec.pooling.spec}
    return {name: getattr(TrainConfig, name) for name in ("template", "pooling")}


def _stored_settings(model: str | Path | Embedder) -> dict[str, Any] | None:
    """Template and pooling of a loaded model, folder or Hub model; None if it is a base model or does not exist."""
    stored = model if isinstance(model, Embedder) else folders.read(model_source(model))
    return {"template": stored.spec.template, "pooling": stored.spec.pooling.spec} if stored else None
