"""A model as a transformer of scikit-learn: texts in, vectors out, in a `Pipeline` or a `GridSearchCV`."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from lastword.arguments import python_values
from lastword.bundled import check_layer, check_model
from lastword.cache import CachedEncoder, VectorCache
from lastword.embedding.spec import EmbedderSpec
from lastword.embedding.template import Template
from lastword.errors import ModelError, RequestError, unknown_name
from lastword.geometry import unit

if TYPE_CHECKING:
    from lastword.embedding import Embedder

_SETTINGS = {"template": str | Template, "pooling": str, "layer": Integral, "max_tokens": Integral}
"""What a search may vary without loading the model again; the same names as in `Embedder.variant`."""
_TYPES = {
    "model": str | Path, **_SETTINGS, "prompt_name": str, "truncate_dim": Integral, "dtype": str, "device": str,
    "cache": str | Path,
}  # fmt: skip


class TextEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns texts into the vectors of a decoder, as a transformer of scikit-learn.

    `fit` learns nothing from the texts: it checks the parameters and loads the model. The model that was loaded last
    stays in memory, so that a search over templates, poolings and layers loads it once. A pickle names the model and
    does not contain it; it is loaded again when it is needed.

    >>> TextEmbedder("mini", template="ccw").fit_transform(["a red apple", "a green pear"]).shape
    (2, 256)

    Args:
        model: as for `Embedder.from_pretrained`.
        template: a name in `TEMPLATES` or a string with `{text}`; this and what follows: None is the model's own.
        pooling: a name in `POOLINGS`, or such as "mean:text".
        layer: hidden state to pool, 0 … number of layers.
        max_tokens: longest sequence in tokens, template included.
        prompt_name: name of a prompt of the model to put before each text; None is no prompt.
        truncate_dim: keep only the first dimensions; vectors of length 1 are scaled to it again.
        dtype: "float32" or "bfloat16"; None is the best precision that the device supports.
        device: None is the best available.
        cache: folder of vectors that are kept, so that a search embeds each text once per template, pooling and
            layer, not once per fold; None keeps none.

    Attributes:
        identity_: of the fitted model with its settings; changes whenever vectors may.
        dtype_: precision that the model computes in.
        n_features_out_: width of a vector.
    """

    identity_: str
    dtype_: str
    n_features_out_: int

    def __init__(
        self,
        model: str | Path = "mini",
        *,
        template: str | Template | None = None,
        pooling: str | None = None,
        layer: int | None = None,
        max_tokens: int | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        dtype: str | None = None,
        device: str | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.model = model
        self.template = template
        self.pooling = pooling
        self.layer = layer
        self.max_tokens = max_tokens
        self.prompt_name = prompt_name
        self.truncate_dim = truncate_dim
        self.dtype = dtype
        self.device = device
        self.cache = cache

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803  # scikit-learn's names
        """Check the parameters and load the model; the texts are checked, too.

        Args:
            X: n texts: a list, an array, a column of a table, or a table of one column.
            y: not used.

        Raises:
            RequestError, ModelError, MissingFileError, TemplateError: see the message; a wrong parameter is refused
                before the model is loaded.
        """
        self._check()
        _texts(X)
        embedder = self._load(self.dtype)
        self.n_features_out_ = self._dim(embedder)
        self.dtype_ = str(embedder.backbone.dtype).removeprefix("torch.")
        self.identity_, self._embedder = embedder.identity, embedder
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Embed texts; each vector depends on its own text only.

        Args:
            X: n texts, as for `fit`.

        Returns:
            (n, dim) float32, in the order of the texts.

        Raises:
            RequestError: X is not a list or column of texts.
            ModelError: the model changed since it was fitted.
        """
        check_is_fitted(self)
        texts, embedder = _texts(X), self.embedder_
        prompt = embedder.spec.prompts[self.prompt_name] if self.prompt_name else ""
        encoder = embedder if self.cache is None else CachedEncoder(embedder, VectorCache(self.cache))
        vectors = encoder.encode([prompt + text for text in texts])
        if self.n_features_out_ == embedder.dim:
            return vectors
        vectors = vectors[:, : self.n_features_out_]
        return unit(vectors) if embedder.spec.normalize else vectors

    @property
    def embedder_(self) -> Embedder:
        """The fitted model; loaded again after unpickling.

        Raises:
            ModelError: it is not the one that was fitted.
        """
        check_is_fitted(self)
        if "_embedder" not in vars(self):
            embedder = self._load(self.dtype_)
            if embedder.identity != self.identity_:
                raise ModelError(
                    f"{self.model} is not the model that this TextEmbedder was fitted with: its files or its tokenizer "
                    "changed; fit it again"
                )
            self._embedder = embedder
        return self._embedder

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def _check(self) -> None:
        """Refuse parameters that cannot work, as far as that is known without loading the model."""
        for name, kind in _TYPES.items():
            value = getattr(self, name)
            if value is None and name != "model":
                continue
            if not isinstance(value, kind) or isinstance(value, bool):
                allowed = "a whole number" if kind is Integral else "a string"
                raise RequestError(f"{name}={value!r} is {type(value).__name__}: give {allowed}")
        EmbedderSpec().changed(**self._settings())
        if self.dtype not in (None, "float32", "bfloat16"):
            raise RequestError(unknown_name("dtype", str(self.dtype), ["float32", "bfloat16"]))
        check_model(self.model)
        check_layer(self.model, self.layer)
        if self.cache is not None:
            VectorCache(self.cache)

    def _settings(self) -> dict[str, Any]:
        settings = {name: getattr(self, name) for name in _SETTINGS}
        return {
            name: int(value) if isinstance(value, Integral) else value
            for name, value in settings.items()
            if value is not None
        }

    def _load(self, dtype: str | None) -> Embedder:
        from lastword.embedding.embedder import Embedder
        from lastword.embedding.loading import file_states

        model, settings = str(self.model), self._settings()
        try:
            base = _shared(model, dtype, self.device, tuple(file_states(model)))
        except ModelError:  # a setting may replace what cannot be used
            return Embedder.from_pretrained(model, **settings, dtype=dtype, device=self.device)
        return base.variant(**settings)

    def _dim(self, embedder: Embedder) -> int:
        """Width of a vector; refuses a prompt or a width that the model does not have."""
        width: int = embedder.encode([], prompt_name=self.prompt_name, truncate_dim=self.truncate_dim).shape[
            1
        ]
        return width

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the weights."""
        return {name: value for name, value in super().__getstate__().items() if name != "_embedder"}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        tags.input_tags.string = True
        return tags


@lru_cache(maxsize=1)
def _shared(model: str, dtype: str | None, device: str | None, states: object) -> Embedder:
    """The model that was loaded last, until its files change."""
    from lastword.embedding.embedder import Embedder

    return Embedder.from_pretrained(model, dtype=dtype, device=device)


def _texts(X: Any) -> list[str]:  # noqa: N803
    """The texts of a list, an array, or a column.

    Raises:
        RequestError: something else, or a value that is not a string.
    """
    X = python_values(X)  # noqa: N806
    array = np.asarray(X if hasattr(X, "__len__") else list(X) if hasattr(X, "__iter__") else X, dtype=object)
    if array.ndim == 0:
        raise RequestError(f"X is {type(X).__name__}: give a list, an array or a column of texts")
    if array.ndim > 2 or (array.ndim == 2 and array.shape[1] != 1):
        raise RequestError(f"X has shape {array.shape}: give one column of texts, such as table['text']")
    texts: list[str] = array.ravel().tolist()
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise RequestError(f"text {row} is {type(text).__name__}, not str: give texts as strings")
    return texts
