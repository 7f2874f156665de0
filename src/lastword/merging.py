"""The verb: several models adapted from one base model → one model whose weights are between theirs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastword.arguments import as_path
from lastword.bundled import check_model, model_source
from lastword.console import info, load_libraries
from lastword.errors import ModelError, RequestError, unknown_name
from lastword.files.run_folder import require_absent

if TYPE_CHECKING:
    from torch import Tensor

    from lastword.embedding import Embedder

METHODS = ("average", "spherical")
_STRAIGHT = 1e-4  # sine of the angle below which the arc is a line


@dataclass(frozen=True)
class MergeResult:
    """A merged model.

    Attributes:
        output: its folder.
        base: the base model of all.
        method: in `METHODS`.
        models: folder → its share.
    """

    output: Path
    base: str
    method: str
    models: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return vars(self) | {"output": str(self.output)}


def merge(
    models: Sequence[str | Path],
    output: str | Path,
    *,
    method: str = "average",
    weights: Sequence[float] | None = None,
    template: str | None = None,
    pooling: str | None = None,
    overwrite: bool = False,
) -> MergeResult:
    """Merge models that were adapted from the same base model, such as checkpoints of a run, or runs on other pairs.

    "average" takes the weighted mean of all weights. "spherical" takes the differences from the base model, and
    interpolates them matrix by matrix along the arc between them, sin((1 - t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b with the
    angle Ω of a and b: a mean of differences in other directions is shorter than they are, and this is not. Of more
    than two models, the next is merged with what the ones before it gave.

    Args:
        models: folders of adapted models or of adapters, such as `adapted/training/step-000040`.
        output: folder to write.
        method: in `METHODS`.
        weights: shares of the models, above 0; None is equal shares.
        template, pooling: of adapters that do not say; None takes the folder's own.
        overwrite: replace `output`.

    Raises:
        RequestError, ModelError: fewer than two models, other base models, or other ways of embedding.
        ExistingOutputError, MissingFileError: see the message.

    Source: averages, "Model soups", arXiv:2203.05482; spherical interpolation of differences from the base model,
    arXiv:2410.15035, as in Qwen3-Embedding, arXiv:2506.05176.
    """
    names = [str(model) for model in models]
    shares = check_merging(names, method, weights)
    require_absent(as_path("output", output), overwrite, names)
    load_libraries("torch", "transformers.modeling_utils", "peft")
    from lastword.embedding import Embedder
    from lastword.embedding.backbone import Backbone

    first = _load(names[0], template, pooling)
    if method == "spherical" and first.spec.pooling.trainable:
        raise RequestError(
            f"method='spherical' needs a base model, and the weights of pooling {first.spec.pooling.spec!r} have none: "
            "use method='average'"
        )
    base, hashes = base_of(names[0])[0], {base_of(name)[1] for name in names}
    root = _weights(_base(first, base, hashes)) if method == "spherical" else None
    total, merged, widths = shares[0], _weights(first), {first.widths}
    for name, share in zip(names[1:], shares[1:], strict=True):
        other = _load(name, template, pooling)
        weights_of_other = _weights(other)
        _require_alike(names[0], first, merged, name, other, weights_of_other)
        total += share
        merged = _merged(merged, weights_of_other, share / total, root)
        widths.add(other.widths)
    model = first.backbone.model  # its adapter was merged on loading
    model.load_state_dict({name: merged[name].to(value.dtype) for name, value in model.state_dict().items()})
    whole = Embedder(Backbone(model, first.name), first.pipeline.tokenizer, first.spec)
    recipe: dict[str, Any] = {"merged": dict(zip(names, shares, strict=True)), "method": method}
    if first.widths and len(widths) == 1:
        recipe["widths"] = list(first.widths)
    whole.provenance = dataclasses.replace(
        first.provenance, base=base, base_hash=next(iter(hashes - {None}), None), adapter=None, recipe=recipe,
        selection=None,
    )  # fmt: skip
    whole.save(output, overwrite=overwrite)
    info(f"{output}: {method} of {len(names)} models of {base}")
    return MergeResult(Path(output), base, method, recipe["merged"])


def check_merging(models: Sequence[str], method: str, weights: Sequence[float] | None) -> list[float]:
    """The shares of the models, which sum to 1; what cannot be merged is refused before anything is loaded.

    Raises:
        RequestError, ModelError, MissingFileError: see the message.
    """
    if method not in METHODS:
        raise RequestError(unknown_name("method", method, METHODS))
    if len(models) < 2:
        raise RequestError(f"{len(models)} model: give two or more to merge")
    given = [1.0] * len(models) if weights is None else list(weights)
    if len(given) != len(models) or not all(0 < share < math.inf for share in given):
        raise RequestError(f"weights={given}: give one number above 0 for each of the {len(models)} models")
    for model in models:
        check_model(model)
    (first, first_hash), *others = [base_of(model) for model in models]
    for name, (base, base_hash) in zip(models[1:], others, strict=True):
        differ = base_hash != first_hash if base_hash and first_hash else base != first
        if differ:
            raise ModelError(
                f"{models[0]} was adapted from {first} and {name} from {base}: only models of the same base model can "
                "be merged"
            )
    return [share / sum(given) for share in given]


def base_of(folder: str | Path) -> tuple[str, str | None]:
    """Name of the base model of an adapted model or adapter in a folder, and the hash of its weights where it is known.

    Raises:
        ModelError: the folder names no base model.
    """
    for file, key in (("lastword.json", "base"), ("adapter_config.json", "base_model_name_or_path")):
        path = Path(model_source(folder), file)
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if content.get(key) and (file != "lastword.json" or content.get("recipe") or content.get("adapter")):
            return str(content[key]), content.get("base_hash")
    raise ModelError(f"{folder} is no adapted model: give folders that lastword or peft wrote")


def spherical(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Interpolate two arrays of the same shape along the arc between them; `share` of the second, 0 … 1."""
    lengths = first.norm() * second.norm()
    cosine = float((first * second).sum() / lengths) if lengths else 1.0
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if math.sin(angle) < _STRAIGHT:  # one direction, or opposite ones, between which there is no arc
        return (1 - share) * first + share * second
    parts = math.sin((1 - share) * angle), math.sin(share * angle)
    return (parts[0] * first + parts[1] * second) / math.sin(angle)


def _load(name: str, template: str | None, pooling: str | None) -> Embedder:
    """A model in float32, without layers above the pooled one."""
    from lastword.embedding import Embedder

    return Embedder.from_pretrained(
        name, template=template, pooling=pooling, dtype="float32", device="cpu"
    ).cut()


def _base(model: Embedder, base: str, hashes: set[str | None]) -> Embedder:
    """The base model, with as many layers as the adapted one.

    Raises:
        ModelError: it is not the one that the models were adapted from.
    """
    from lastword.embedding import Embedder

    embedder = Embedder.from_pretrained(
        model_source(base), layer=model.backbone.layers, dtype="float32", device="cpu"
    )
    if hashes - {None, embedder.backbone.weights_hash}:
        raise ModelError(
            f"{base} is not the base model any more: its weights have changed; use method='average'"
        )
    return embedder.cut()


def _require_alike(
    first: str,
    embedder: Embedder,
    weights: dict[str, Tensor],
    name: str,
    other: Embedder,
    others: dict[str, Tensor],
) -> None:
    """Refuse models that embed in other ways: weights between theirs would do neither."""
    if differences := embedder.spec.differences(other.spec):
        raise ModelError(f"{name} embeds otherwise than {first}: {', '.join(differences)}")
    shapes = [{key: value.shape for key, value in each.items()} for each in (weights, others)]
    if shapes[0] != shapes[1]:
        raise ModelError(f"{name} has other weights than {first}: only models of one structure can be merged")


def _weights(embedder: Embedder) -> dict[str, Tensor]:
    from lastword.embedding.weights import merged_weights

    return merged_weights(embedder.backbone.model)


def _merged(
    first: dict[str, Tensor], second: dict[str, Tensor], share: float, root: dict[str, Tensor] | None
) -> dict[str, Tensor]:
    """Weights between two models; with those of the base model, along the arc of the differences from it."""
    if root is None:
        return {name: (1 - share) * value + share * second[name] for name, value in first.items()}
    return {
        name: root[name] + spherical(value - root[name], second[name] - root[name], share)
        for name, value in first.items()
    }
