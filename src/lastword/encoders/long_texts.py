"""Long texts as the means of their windows, or as one vector for each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lastword.embedding import Embedder
from lastword.embedding.late import late_vectors
from lastword.embedding.spec import DOCUMENT, QUERY, require_late
from lastword.embedding.tokens import clean, require_strings
from lastword.embedding.windows import LongTexts, Window, cut
from lastword.encoder import Wrapper
from lastword.errors import RequestError
from lastword.geometry import unit


@dataclass
class LongTextEncoder(Wrapper):
    """A decoder that reads all of a long text: the mean of its windows' vectors, weighted by their tokens.

    A text of one window has the vector that the decoder itself gives.

    Attributes:
        encoder: the decoder.
        long_texts: "windows" or "late", with sizes, as `LongTexts.parse` reads it.
        batch_tokens: padded tokens in one pass of the model; late chunking exceeds it where one text is longer.

    Raises:
        RequestError: windows that do not fit; late chunking of another pooling than a mean.

    Source: for "late", arXiv:2409.04701, see `late_vectors`. The mean of all its windows, without overlap, is mean
    pooling over the whole text.
    """

    encoder: Embedder
    long_texts: str | LongTexts = "windows"
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        """Check the windows against the model."""
        kind = LongTexts.parse(self.long_texts)
        if kind.kind == "truncate":
            raise RequestError("long_texts='truncate' is what the model does alone: leave it out")
        if self.late:
            require_late(self.encoder.spec)
        tokenizer, spec = self.encoder.pipeline.tokenizer, self.encoder.spec
        prompts = [spec.prompt(QUERY), spec.prompt(DOCUMENT)]
        longest = max(len(tokenizer.part_ids(prompt)) for prompt in prompts)
        room = min(member.compiled.budget for member in self.encoder.pipeline.members) - longest
        self.windows = kind.fitted(room, self.encoder.name)

    @property
    def late(self) -> bool:
        """Whether windows are pooled after the whole text was read."""
        return LongTexts.parse(self.long_texts).kind == "late"

    @property
    def identity(self) -> str:
        """That of the model, with the windows."""
        return f"{self.windows.spec}-{self.encoder.identity}"

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.encoder.dim

    def encode(self, texts: Sequence[str], /) -> np.ndarray:
        """(n, dim) float32, scaled to length 1 if the model's are."""
        return self._means(texts, "")

    def encode_query(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for queries before each window, or of late chunking before the text."""
        return self._means(texts, "query")

    def encode_document(self, texts: Sequence[str], /) -> np.ndarray:
        """As `encode`, with the model's prompt for documents."""
        return self._means(texts, "document")

    def cut(self, texts: Sequence[str]) -> list[list[Window]]:
        """The windows of each of n texts."""
        require_strings(texts)
        cleaned = [clean(text) for text in texts]
        offsets = self.encoder.pipeline.tokenizer.text_offsets(cleaned)
        sizes = self.windows.window or 0, self.windows.overlap
        return [cut(text, own, *sizes) for text, own in zip(cleaned, offsets, strict=True)]

    def encode_window(self, windows: Sequence[Window], /) -> np.ndarray:
        """(m, dim) float32 of windows, as documents.

        Args:
            windows: what `cut` gives for some texts; those of one text need not be complete or in order.
        """
        if not self.late:
            return self._encode([window.part for window in windows], "document")
        texts = list(dict.fromkeys(window.text for window in windows))
        of_texts, vectors, _ = self._late(texts, "document")
        row_of = {window: row for row, window in enumerate(each for own in of_texts for each in own)}
        rows = vectors[[row_of[window] for window in windows]]
        return unit(rows) if self.encoder.spec.normalize else rows

    def _means(self, texts: Sequence[str], role: str) -> np.ndarray:
        if not len(texts):
            return self.encoder.encode([])
        if self.late:
            windows, vectors, weights = self._late(texts, role)
        else:
            windows = self.cut(texts)
            each = [window for own in windows for window in own]
            vectors = self._encode([window.part for window in each], role)
            weights = np.array([window.last - window.first for window in each], float)
        weights = np.maximum(weights, 1)[:, None]  # an empty text may have no state
        counts = np.array([len(own) for own in windows])
        starts = np.cumsum(counts) - counts
        sums = np.add.reduceat(vectors * weights, starts) / np.add.reduceat(weights, starts)
        means = (unit(sums) if self.encoder.spec.normalize else sums).astype(np.float32)
        if not self.late:
            means[counts == 1] = vectors[starts[counts == 1]]
        return means

    def _late(self, texts: Sequence[str], role: str) -> tuple[list[list[Window]], np.ndarray, np.ndarray]:
        """The windows of texts, the vector of each (not scaled), and how many states it is the mean of."""
        spec, pipeline = self.encoder.spec, self.encoder.pipeline
        prompt = {"query": spec.prompt(QUERY), "document": spec.prompt(DOCUMENT)}.get(role, "")
        windows = self.cut(texts)
        prompted = [clean(prompt + text) for text in texts]
        ids = pipeline.tokenizer.text_ids(prompted)
        ranges = []
        for own, text_ids in zip(windows, ids, strict=True):
            shift = len(text_ids) - own[-1].last  # tokens of the prompt
            ranges.append([((window.first and window.first + shift), window.last + shift) for window in own])
        whole = pipeline.variant(max_tokens=self.encoder.backbone.positions)
        vectors, weights = late_vectors(whole, prompted, ids, ranges, self.batch_tokens)
        return windows, vectors, weights

    def _encode(self, texts: list[str], role: str) -> np.ndarray:
        encoder = self.encoder
        encode = {"query": encoder.encode_query, "document": encoder.encode_document}.get(
            role, encoder.encode
        )
        return encode(texts, batch_tokens=self.batch_tokens)
