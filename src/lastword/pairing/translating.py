"""Pairs of a text and what is left of it after a way through another language and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from lastword.embedding.backbone import preferred_device
from lastword.errors import ModelError, RequestError
from lastword.pairing.generating.answers import cleaned, problem
from lastword.pairing.record import NO_TEXT, Pair, Rejected
from lastword.pairing.rows import Chunk

NAMES = "Helsinki-NLP/opus-mt-{source}-{target}"


class Translator(Protocol):
    """Something that translates texts one way."""

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """One translation for each text; None for a text beyond the model's window."""


@dataclass
class SequenceToSequence:
    """A translation model of the Hugging Face kind, such as the Marian models of Helsinki-NLP.

    Texts of one length go together, so a translation does not depend on its neighbours.

    Attributes:
        model: name or folder.
        batch_tokens: tokens of a batch.
        device: None is the best there is.
    """

    model: str
    batch_tokens: int = 2048
    device: str | None = None
    _model: Any = field(init=False, repr=False)
    _tokenizer: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load model and tokenizer; no remote code is run."""
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.model)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(self.model)
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                f"{self.model} does not load as a translation model: {str(error).splitlines()[0]}"
            ) from error
        self._model = self._model.to(self.device or preferred_device()).eval()

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        window = getattr(self._model.config, "max_position_embeddings", None) or 512
        found: dict[int, str | None] = {row: None for row, one in enumerate(ids) if len(one) > window}
        rows = sorted(
            (row for row in range(len(ids)) if row not in found), key=lambda row: (len(ids[row]), row)
        )
        for batch in self._batches(rows, ids):
            found |= zip(batch, self._translated([ids[row] for row in batch]), strict=True)
        return [found[row] for row in range(len(texts))]

    def _batches(self, rows: list[int], ids: list[list[int]]) -> Iterator[list[int]]:
        batch: list[int] = []
        for row in rows:
            full = (len(batch) + 1) * len(ids[row]) > self.batch_tokens
            if batch and (full or len(ids[row]) != len(ids[batch[-1]])):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    @torch.inference_mode()
    def _translated(self, ids: list[list[int]]) -> list[str]:
        inputs = torch.tensor(ids, device=self._model.device)
        longest = int(1.5 * inputs.shape[1]) + 10
        out = self._model.generate(
            inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=longest, do_sample=False
        )
        decoded: list[str] = self._tokenizer.batch_decode(out, skip_special_tokens=True)
        return decoded


@dataclass(frozen=True)
class BackTranslation:
    """Each text, translated to a pivot language and back; one pair for each pivot.

    A text that does not come back, comes back unchanged or in another language gives no pair.

    Source: arXiv:2507.22729, §3.3 (English, German and back); the idea in arXiv:1511.06709.

    Attributes:
        ways: pivot language → (there, back).
        column: column of the texts.
    """

    ways: dict[str, tuple[Translator, Translator]]
    column: str = "text"
    name: str = "translate"
    chunk: int = 256

    @property
    def columns(self) -> tuple[str, ...]:
        """See `Method`."""
        return (self.column,)

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {
            "ways": {pivot: [getattr(one, "model", "") for one in way] for pivot, way in self.ways.items()}
        }

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        texts = chunk.columns[self.column]
        rows = [row for row, text in enumerate(texts) if text.strip()]
        yield from (Rejected(chunk.start + row, NO_TEXT) for row in set(range(len(texts))) - set(rows))
        for pivot, (there, back) in self.ways.items():
            for row, returned in zip(
                rows, _there_and_back([texts[row] for row in rows], there, back), strict=True
            ):
                said = cleaned(returned or "")
                reason = (
                    problem(said, texts[row], "")
                    if returned is not None
                    else "longer than the model's window"
                )
                if reason:
                    yield Rejected(chunk.start + row, reason)
                else:
                    yield Pair(texts[row], said, chunk.start + row, meta={"via": pivot})


def _there_and_back(texts: list[str], there: Translator, back: Translator) -> list[str | None]:
    abroad = there(texts)
    arrived = [row for row, text in enumerate(abroad) if text and text.strip()]
    home = dict(zip(arrived, back([str(abroad[row]) for row in arrived]), strict=True)) if arrived else {}
    return [home.get(row, None if text is None else "") for row, text in enumerate(abroad)]


def ways_via(
    pivots: Sequence[str], source: str = "en", names: str = NAMES
) -> dict[str, tuple[Translator, Translator]]:
    """Load the models of each pivot language.

    Args:
        pivots: language codes, such as "de".
        source: the texts' language.
        names: model names or folders with {source} and {target} in them.

    Raises:
        RequestError: no pivot, or the texts' own language as one.
        ModelError: a model that does not load.
    """
    if not pivots or source in pivots:
        raise RequestError(f"--via {','.join(pivots)}: give languages other than the texts' own, {source!r}")
    return {
        pivot: (
            SequenceToSequence(names.format(source=source, target=pivot)),
            SequenceToSequence(names.format(source=pivot, target=source)),
        )
        for pivot in pivots
    }
