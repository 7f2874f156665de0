"""Baselines: TF-IDF, and any sentence-transformers model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastword.errors import MissingFileError, ModelError, RequestError, first_line

STATIC_BATCH = 1024
"""Texts that a static model embeds together."""


class TfidfEncoder:
    """TF-IDF of words and pairs of words, brought down to at most 100 dimensions.

    Term frequencies are 1 + log(count); the truncated SVD starts from a fixed seed; vectors have length 1,
    or 0 where a text shares no word with those the encoder was fitted to.

    The encoder knows only the words of the texts it was fitted to. Without `fit` it is fitted to the first texts
    that it embeds.

    Attributes:
        name: "tfidf".
        dims: largest number of dimensions; fewer texts or words give fewer.
        seed: seed of the SVD.
    """

    name = "tfidf"

    def __init__(self, dims: int = 100, seed: int = 0) -> None:
        self.dims, self.seed = dims, seed
        self._fitted: tuple[Any, Any] | None = None
        self._fitted_to = "no texts"

    @property
    def identity(self) -> str:
        """Hash of the settings and of the texts it was fitted to."""
        facts = f"{self.dims} {self.seed} {self._fitted_to}"
        return f"tfidf-{hashlib.sha256(facts.encode()).hexdigest()}"

    def fit(self, texts: Sequence[str]) -> TfidfEncoder:
        """Learn words, their weights and the dimensions from these texts.

        Raises:
            RequestError: the texts have no word of two letters or more.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)
        try:
            counts = words.fit_transform(texts)
        except ValueError as error:
            raise RequestError(
                f"TF-IDF finds no word of two letters or more in {len(texts)} texts: use another model"
            ) from error
        svd = TruncatedSVD(min(self.dims, *counts.shape), random_state=self.seed)
        with np.errstate(invalid="ignore"):  # equal texts have no variance
            svd.fit(counts)
        self._fitted = words, svd
        self._fitted_to = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        return self

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32, dim ≤ `dims`."""
        from sklearn.preprocessing import normalize

        if self._fitted is None:
            self.fit(texts)
        assert self._fitted is not None
        words, svd = self._fitted
        vectors: np.ndarray = normalize(svd.transform(words.transform(texts))).astype(np.float32)
        return vectors


class SentenceTransformerEncoder:
    """A sentence-transformers model with its own prompts, pooling and normalisation.

    Args:
        path_or_name: a folder, or a name on the Hub.
        dtype: such as "float32"; None is the precision of the stored weights.
        device: None is the best available.

    Attributes:
        identity: hash of weights, modules, their configurations, tokenizer and prompts; the same wherever the model is.

    Raises:
        MissingFileError: a path that is not a folder.
        ModelError: a folder or name without such a model.
    """

    def __init__(
        self, path_or_name: str | Path, *, dtype: str | None = None, device: str | None = None
    ) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import StaticEmbedding
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # one for each load
        self.name = name = str(path_or_name)
        if name.startswith((".", "/")) and not Path(name).is_dir():
            raise MissingFileError(
                f"no folder {name}: give a sentence-transformers folder or a name on the Hub"
            )
        model_kwargs = {"dtype": dtype} if dtype else {}
        try:
            self.model = SentenceTransformer(
                name, device=device, model_kwargs=model_kwargs, trust_remote_code=_only_known_code(Path(name))
            )
        except (OSError, ValueError) as error:
            raise ModelError(f"{name} is not a sentence-transformers model: {first_line(error)}") from error
        self.identity = f"sentence-transformers-{_hash_model(self.model)}"
        # A static model pads nothing, so that larger batches only cost fewer calls.
        self._batch = {"batch_size": STATIC_BATCH} if isinstance(self.model[0], StaticEmbedding) else {}

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """Return (n, dim) float32."""
        return self._encode(self.model.encode, texts)

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for queries if it has one."""
        return self._encode(self.model.encode_query, texts)

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for documents if it has one."""
        return self._encode(self.model.encode_document, texts)

    def _encode(self, encode: Callable[..., Any], texts: Sequence[str]) -> np.ndarray:
        options = {"show_progress_bar": False, "convert_to_numpy": True, **self._batch}
        vectors: np.ndarray = encode(list(texts), **options)
        return vectors.astype(np.float32, copy=False)


def _only_known_code(folder: Path) -> bool:
    """Whether a folder brings no code but, byte for byte, that of lastword's pooling with weights."""
    from lastword.embedding import latent_pooling
    from lastword.embedding.folder import LATENT_CLASS

    file, known = folder / Path(latent_pooling.__file__).name, Path(latent_pooling.__file__)
    if not file.is_file() or file.read_bytes() != known.read_bytes():
        return False
    modules, config = (json.loads((folder / name).read_bytes()) for name in ("modules.json", "config.json"))
    kinds = [module["type"] for module in modules]
    own = all(kind == LATENT_CLASS or kind.startswith("sentence_transformers.") for kind in kinds)
    return own and "auto_map" not in config


def _hash_model(model: Any) -> str:
    """Hash everything that decides a vector: tokenizer with its template, modules, their configurations, weights."""
    import torch
    from transformers import PreTrainedModel

    digest = hashlib.sha256()
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    words = tokenizer.to_str() if tokenizer else repr(model.tokenizer)
    sizes, prompts = (model.max_seq_length, model.truncate_dim), (model.prompts, model.default_prompt_name)
    configs = [
        sorted(
            (name, str(value)) for name, value in module.config.to_dict().items() if not name.startswith("_")
        )
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
    ]
    for fact in (model, words, *sizes, *prompts, *configs):
        digest.update(f"{fact}\0".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
