"""Pairs of a text and its translation to another language and back, with the engines that translate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from lastword.console import load_libraries, progress
from lastword.errors import ModelError, RequestError, first_line, unknown_name
from lastword.extras import needed
from lastword.files.tables import Chunk
from lastword.pairs.generating.answers import cleaned, language_detector, problem
from lastword.pairs.record import OneColumn, Pair, Rejected

MODELS = "Helsinki-NLP/opus-mt-{source}-{target}"


class Translator(Protocol):
    """Translates texts in one direction."""

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """One translation for each text; None for a text longer than the model's window."""


@dataclass(frozen=True)
class BackTranslation(OneColumn):
    """Each text, translated to a pivot language and back; one pair for each pivot.

    A text that comes back empty, unchanged or in another language gives no pair.

    Source: arXiv:2507.22729, §3.3 (English, German and back); the idea in arXiv:1511.06709.

    Attributes:
        translators: pivot language → translators to it and back.
        text_column: column of the texts.
    """

    translators: dict[str, tuple[Translator, Translator]]
    text_column: str = "text"
    name: str = "translate"
    chunk: int = 256

    def settings(self) -> dict[str, Any]:
        """See `Method`."""
        return {"translators": {pivot: [*map(_facts, both)] for pivot, both in self.translators.items()}}

    @property
    def inputs(self) -> list[str]:
        """See `Method`."""
        return [getattr(translator, "model", "") for both in self.translators.values() for translator in both]

    def pairs(self, chunk: Chunk, seed: int) -> Iterator[Pair | Rejected]:
        """See `Method`."""
        texts = chunk.columns[self.text_column]
        for pivot, (forth, back) in self.translators.items():
            translated = _forth_and_back(texts, forth, back)
            for row, text, returned in zip(chunk.rows, texts, translated, strict=True):
                positive = cleaned(returned or "")
                reason = problem(positive, text, "")
                if returned is None:
                    reason = "longer than the model's window"
                if reason:
                    yield Rejected(row, reason)
                else:
                    yield Pair(text, positive, row, meta={"via": pivot})


def _facts(translator: Translator) -> dict[str, str]:
    """What decides the translations: the class or function, and the model and precision of an engine."""
    engine = getattr(translator, "__qualname__", type(translator).__qualname__)
    return {"engine": engine} | {name: getattr(translator, name, "") for name in ("model", "precision")}


def _forth_and_back(texts: list[str], forth: Translator, back: Translator) -> list[str | None]:
    """The texts after both translations; "" for one without a first translation."""
    translated = forth(texts)
    rows = [row for row, text in enumerate(translated) if text and text.strip()]
    returned = dict(zip(rows, back([str(translated[row]) for row in rows]), strict=True)) if rows else {}
    return [returned.get(row, None if text is None else "") for row, text in enumerate(translated)]


@dataclass
class SequenceToSequence:
    """A translation model of transformers, such as the Marian models of Helsinki-NLP.

    A batch has texts of one length, so a translation does not depend on the other texts.

    Attributes:
        model: name or folder.
        batch_tokens: tokens of a batch.
        device: None is the best available.
    """

    model: str
    batch_tokens: int = 2048
    device: str | None = None
    _model: Any = field(init=False, repr=False)
    _tokenizer: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Load model and tokenizer, without remote code."""
        load_libraries("torch", "transformers.modeling_utils")
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        from lastword.embedding.device import torch_device

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.model)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(self.model)
        except (OSError, ValueError, ImportError) as error:
            raise ModelError(
                f"{self.model} does not load as a translation model: {first_line(error)}"
            ) from error
        self._model = self._model.to(torch_device(self.device)).eval()

    @property
    def precision(self) -> str:
        """Of the weights, as they are loaded."""
        return str(self._model.dtype).removeprefix("torch.")

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        return _by_length(ids, _window(self._model.config), self.batch_tokens, self._translate)

    def _translate(self, ids: list[list[int]]) -> list[str]:
        import torch

        inputs = torch.tensor(ids, device=self._model.device)
        out = self._model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=_max_tokens(inputs.shape[1]),
            do_sample=False,
        )
        decoded: list[str] = self._tokenizer.batch_decode(out, skip_special_tokens=True)
        return decoded


@dataclass
class CTranslate2:
    """The same models, run by CTranslate2: converted when loaded, with 8-bit integer weights.

    Several times faster on a CPU; a translation may differ from that of `SequenceToSequence` in a word.

    Attributes:
        model: name or folder.
        batch_tokens: tokens of a batch.
        precision: compute type of CTranslate2, such as "int8" or "float32".
    """

    model: str
    batch_tokens: int = 2048
    precision: str = "int8"
    _translator: Any = field(init=False, repr=False)
    _tokenizer: Any = field(init=False, repr=False)
    _window: int = field(init=False, repr=False)
    _beams: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Convert and load the model, without remote code."""
        ctranslate2 = needed("ctranslate2", "translate", "the engine ctranslate2")
        from ctranslate2.converters import TransformersConverter
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig

        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.model)
            self._beams = GenerationConfig.from_pretrained(self.model).num_beams or 1
            self._window = _window(AutoConfig.from_pretrained(self.model))
            with TemporaryDirectory() as folder:
                converted = TransformersConverter(self.model).convert(f"{folder}/model")
                self._translator = ctranslate2.Translator(
                    converted, device=device, compute_type=self.precision
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise ModelError(
                f"{self.model} does not load as a translation model: {first_line(error)}"
            ) from error

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        return _by_length(ids, self._window, self.batch_tokens, self._translate)

    def _translate(self, ids: list[list[int]]) -> list[str]:
        results = self._translator.translate_batch(
            [self._tokenizer.convert_ids_to_tokens(text_ids) for text_ids in ids],
            beam_size=self._beams,
            max_decoding_length=_max_tokens(len(ids[0])),
        )
        translated = [self._tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results]
        decoded: list[str] = self._tokenizer.batch_decode(translated, skip_special_tokens=True)
        return decoded


ENGINES: dict[str, Callable[[str], Translator]] = {
    "transformers": SequenceToSequence,
    "ctranslate2": CTranslate2,
}


def _window(config: Any) -> int:
    """Most tokens of a text."""
    return getattr(config, "max_position_embeddings", None) or 512


def _by_length(
    ids: list[list[int]], window: int, batch_tokens: int, translate: Callable[[list[list[int]]], list[str]]
) -> list[str | None]:
    """Translate in batches of one length; None for texts longer than the window."""
    translations: dict[int, str] = {}
    fitting = [row for row, text_ids in enumerate(ids) if len(text_ids) <= window]
    with progress("translations", len(fitting)) as advance:
        for batch in _batches(fitting, ids, batch_tokens):
            translations |= zip(batch, translate([ids[row] for row in batch]), strict=True)
            advance(len(batch))
    return [translations.get(row) for row in range(len(ids))]


def _batches(rows: list[int], ids: list[list[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows of texts of one length, so that nothing is padded, at most `batch_tokens` together."""
    batch: list[int] = []
    for row in sorted(rows, key=lambda row: (len(ids[row]), row)):
        full = (len(batch) + 1) * len(ids[row]) > batch_tokens
        if batch and (full or len(ids[row]) != len(ids[batch[-1]])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _max_tokens(tokens: int) -> int:
    """Longest translation of a text of `tokens` tokens."""
    return int(1.5 * tokens) + 10


def load_translators(
    pivots: Sequence[str], language: str = "en", models: str = MODELS, engine: str = "transformers"
) -> dict[str, tuple[Translator, Translator]]:
    """Load the models of each pivot language, forth and back.

    Args:
        pivots: language codes, such as "de".
        language: the texts' language.
        models: model names or folders with {source} and {target} in them.
        engine: a name in `ENGINES`.

    Raises:
        RequestError: no pivot language, the texts' own language as pivot, an unknown engine or a missing one.
        ModelError: a model does not load.
    """
    if not pivots or language in pivots:
        raise RequestError(
            f"pivots={','.join(pivots)!r}: give languages other than that of the texts, {language!r}"
        )
    if not all(slot in models for slot in ("{source}", "{target}")):
        raise RequestError(
            f"models={models!r}: write {{source}} and {{target}} for the languages, as in {MODELS}"
        )
    language_detector()  # it judges the translations
    if engine not in ENGINES:
        raise RequestError(unknown_name("engine", engine, ENGINES))

    def load(source: str, target: str) -> Translator:
        return ENGINES[engine](models.format(source=source, target=target))

    return {pivot: (load(language, pivot), load(pivot, language)) for pivot in pivots}
