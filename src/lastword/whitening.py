"""The verb: a model and texts → the model with a linear layer after it, by which all directions count alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lastword.arguments import as_path
from lastword.bundled import PATHS, check_model, model_width
from lastword.console import info, load_libraries, silenced
from lastword.embedding.spec import check_savable
from lastword.encoder import encode_distinct
from lastword.errors import ParityError, RequestError, require_width, unknown_name
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.sources import Source, TableFile
from lastword.files.tables import read_texts
from lastword.geometry import unit

if TYPE_CHECKING:
    from lastword.embedding import Embedder

METHODS = ("whitening", "all-but-the-top", "centre")
_LEAST = 1e-6  # of the largest variance: a direction with less has none
_REMOVED = 100  # one direction is removed of so many dimensions
_CHECKED = 64
_CARD = """\
---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# {base}, {method}

Vectors of `{base}`, followed by a linear layer ({method}, fitted to {texts:,} texts) that makes all directions count
alike. Load it with `SentenceTransformer(folder)`.
"""


@dataclass(frozen=True)
class WhitenResult:
    """A model with a linear layer after it.

    Attributes:
        output: its folder, which sentence-transformers loads.
        model: name of the model.
        method: in `METHODS`.
        texts: distinct texts that the layer was fitted to.
        dim: dimensions of a vector.
    """

    output: Path
    model: str
    method: str
    texts: int
    dim: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return vars(self) | {"output": str(self.output)}


def whiten(
    model: str | Path,
    texts: Source | Sequence[str],
    output: str | Path,
    *,
    method: str = "whitening",
    text_column: str = "text",
    drop_empty: bool = False,
    truncate_dim: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> WhitenResult:
    """Write a model followed by a linear layer that is fitted to texts; it loads as sentence-transformers:OUTPUT.

    Args:
        model: name or folder of a decoder.
        texts: a file, the bundled "topics" or "products", or a list, like those that it will embed.
        output: folder to write.
        method: in `METHODS`; see `whitening`, `all_but_the_top` and `centring`.
        text_column: column of the texts.
        drop_empty: leave out rows with empty or non-text cells.
        truncate_dim: of whitening, the directions of the largest variance to keep; None keeps all.
        template, pooling: of a base model; None takes the folder's own.
        device: None is the best available.
        overwrite: replace `output`.

    Raises:
        RequestError: an unknown method, or too few texts for so many dimensions.
        ExistingOutputError, MissingFileError, TableError, ModelError: see the message.
        ParityError: sentence-transformers does not give the vectors of the model and the layer.
    """
    check_whitening(model, method, truncate_dim, template, pooling)
    run = RunFolder(as_path("output", output), "run", overwrite=overwrite, evidence="")
    run.check(model, None if isinstance(texts, list | tuple) else texts)
    if isinstance(texts, str | Path | TableFile):
        texts = read_texts(PATHS.get(str(texts), texts), [text_column], drop_empty=drop_empty)[text_column]
    distinct = list(dict.fromkeys(texts))
    load_libraries("torch", "transformers.modeling_utils")
    from lastword.embedding import Embedder
    from lastword.embedding.golden import GOLDEN

    # In bfloat16 a layer that raises directions of little variance would mostly raise their rounding errors.
    embedder = Embedder.from_pretrained(
        model, template=template, pooling=pooling, dtype="float32", device=device
    )
    pooled = embedder.variant(normalize=False)
    raw = encode_distinct(pooled, distinct)
    fitted = {"all-but-the-top": all_but_the_top, "centre": centring}
    matrix, bias = whitening(raw, truncate_dim) if method == "whitening" else fitted[method](raw)
    with run.open({"method": method}) as folder:
        saved = embedder.save(folder / "model")
        card = _CARD.format(base=embedder.name, method=method, texts=len(distinct))
        golden = json.loads((saved / GOLDEN).read_text(encoding="utf-8"))
        _add_layer(saved, matrix, bias, card)
        with silenced():  # a golden text is truncated on purpose
            expected = np.concatenate([pooled.encode(golden["texts"]), raw[:_CHECKED]]) @ matrix.T + bias
        theirs = _require_equal(saved, [*golden["texts"], *distinct[:_CHECKED]], expected, embedder)
        golden["vectors"] = [[float(f"{x:.8g}") for x in row] for row in theirs[: len(golden["texts"])]]
        write_json(saved / GOLDEN, golden)
        run.finish(saved)
    info(
        f"{output}: {method} of {embedder.name} to {len(bias)} dimensions, fitted to {len(distinct):,} texts"
    )
    return WhitenResult(Path(output), embedder.name, method, len(distinct), len(bias))


def check_whitening(
    model: str | Path,
    method: str,
    truncate_dim: int | None = None,
    template: str | None = None,
    pooling: str | None = None,
) -> None:
    """Refuse what cannot work, before anything is loaded.

    Raises:
        MissingFileError, ModelError, RequestError: see the message.
    """
    if method not in METHODS:
        raise RequestError(unknown_name("method", method, METHODS))
    if truncate_dim is not None and (method != "whitening" or truncate_dim < 1):
        raise RequestError(f"truncate_dim={truncate_dim}: give 1 or more, and only with method='whitening'")
    check_model(model)
    spec = check_savable(model, template, pooling)
    dim = model_width(model)
    if truncate_dim is not None and dim is not None:
        require_width(truncate_dim, len(spec.pooling.parts) * dim, ())


def whitening(vectors: np.ndarray, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The layer whose outputs have mean 0 and covariance I: y = Λ^-½ Vᵀ (x - μ), for the covariance V Λ Vᵀ.

    Args:
        vectors: (n, width) of the texts to fit, as the model pools them.
        dim: directions of the largest variance to keep; None keeps all.

    Returns:
        (dim, width) and (dim,) float32: y = matrix @ x + bias.

    Raises:
        RequestError: the vectors have no variance in so many directions.

    Source: Su et al., "Whitening Sentence Representations for Better Semantics and Faster Retrieval",
    arXiv:2103.15316.
    """
    mean, variances, directions = _principal(vectors)
    kept = vectors.shape[1] if dim is None else dim
    usable = int((variances > _LEAST * variances[0]).sum())
    if kept > usable:
        raise RequestError(
            f"the vectors of {len(vectors)} texts vary in {usable} directions, not in {kept}: give more texts, or "
            f"truncate_dim={usable} or less"
        )
    matrix = (directions[:, :kept] / np.sqrt(variances[:kept])).T
    return matrix.astype(np.float32), (-matrix @ mean).astype(np.float32)


def all_but_the_top(vectors: np.ndarray, removed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The layer that takes away what all vectors share: y = (I - UUᵀ)(x - μ), U the directions of the largest variance.

    Args:
        vectors: (n, width) of the texts to fit, as the model pools them.
        removed: number of directions; None is a hundredth of the width, at least 1.

    Returns:
        (width, width) and (width,) float32: y = matrix @ x + bias.

    Source: Mu and Viswanath, "All-but-the-Top", arXiv:1702.01417, which subtracts the projections of x instead of those
    of x - μ: that leaves the mean's own part in these directions, the same in all vectors, which is what the method is
    to remove.
    """
    mean, _, directions = _principal(vectors)
    width = vectors.shape[1]
    top = directions[:, : removed or max(1, width // _REMOVED)]
    matrix = np.eye(width) - top @ top.T
    return matrix.astype(np.float32), (-matrix @ mean).astype(np.float32)


def centring(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The layer that takes away the mean alone: y = x - μ.

    Args:
        vectors: (n, width) of the texts to fit, as the model pools them.

    Returns:
        (width, width) and (width,) float32: y = matrix @ x + bias.
    """
    return np.eye(vectors.shape[1], dtype=np.float32), -vectors.mean(0, dtype=np.float64).astype(np.float32)


def _principal(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variances and directions of vectors, largest variance first, in float64.

    Raises:
        RequestError: fewer than two different vectors.
    """
    rows = np.asarray(vectors, np.float64)
    if len(rows) < 2 or not np.ptp(rows, axis=0).any():
        raise RequestError(f"{len(rows)} texts, or all with one vector: give more different texts")
    variances, directions = np.linalg.eigh(np.cov(rows, rowvar=False).reshape(rows.shape[1], -1))
    return rows.mean(0), variances[::-1], directions[:, ::-1]


def _add_layer(folder: Path, matrix: np.ndarray, bias: np.ndarray, card: str) -> None:
    """Put a Dense module after the pooling; what lastword wrote for a model without one is removed."""
    from safetensors.numpy import save_file

    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    modules = [
        {**module, "idx": i, "name": str(i)} for i, module in enumerate([*modules[:2], dense, *modules[2:]])
    ]
    write_json(folder / "modules.json", modules)
    (folder / "2_Dense").mkdir()
    config = {
        "in_features": matrix.shape[1], "out_features": matrix.shape[0], "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }  # fmt: skip
    write_json(folder / "2_Dense" / "config.json", config)
    layer = {"linear.weight": np.ascontiguousarray(matrix), "linear.bias": np.ascontiguousarray(bias)}
    save_file(layer, folder / "2_Dense" / "model.safetensors", metadata={"format": "pt"})
    shutil.copymode(folder / "modules.json", folder / "2_Dense" / "model.safetensors")
    (folder / "lastword.json").unlink()
    (folder / "README.md").write_text(card, encoding="utf-8")


def _require_equal(folder: Path, texts: list[str], expected: np.ndarray, embedder: Embedder) -> np.ndarray:
    """The vectors of sentence-transformers, which must be those expected.

    Raises:
        ParityError: they differ.
    """
    from sentence_transformers import SentenceTransformer

    with silenced("sentence_transformers"):
        theirs: np.ndarray = SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=embedder.spec.pooling.trainable,
        ).encode(texts)
    least = float((unit(theirs) * unit(expected)).sum(1).min())
    if least < 0.9999:
        raise ParityError(
            f"the folder does not give these vectors in sentence-transformers: smallest cosine {least:.5f}"
        )
    return theirs
