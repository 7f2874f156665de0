"""Translation models, and the two engines that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch

from lastword.console import progress
from lastword.embedding.device import torch_device
from lastword.errors import ModelError, RequestError, unknown_name
from lastword.extras import needed

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
        self._model = self._model.to(torch_device(self.device)).eval()

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        return _by_length(ids, _window(self._model.config), self.batch_tokens, self._translated)

    @torch.inference_mode()
    def _translated(self, ids: list[list[int]]) -> list[str]:
        inputs = torch.tensor(ids, device=self._model.device)
        out = self._model.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=_longest(inputs.shape[1]),
            do_sample=False,
        )
        decoded: list[str] = self._tokenizer.batch_decode(out, skip_special_tokens=True)
        return decoded


@dataclass
class CTranslate2:
    """The same models, run by CTranslate2: converted once when loaded, weights in 8-bit integers.

    Several times faster on a CPU; a translation may differ in a word from the one of `SequenceToSequence`.

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
        """Convert and load the model; no remote code is run."""
        ctranslate2 = needed("ctranslate2", "translate", "--engine ctranslate2")
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
                f"{self.model} does not load as a translation model: {str(error).splitlines()[0]}"
            ) from error

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """See `Translator`."""
        ids = [self._tokenizer(text)["input_ids"] for text in texts]
        return _by_length(ids, self._window, self.batch_tokens, self._translated)

    def _translated(self, ids: list[list[int]]) -> list[str]:
        results = self._translator.translate_batch(
            [self._tokenizer.convert_ids_to_tokens(one) for one in ids],
            beam_size=self._beams,
            max_decoding_length=_longest(len(ids[0])),
        )
        said = [self._tokenizer.convert_tokens_to_ids(result.hypotheses[0]) for result in results]
        decoded: list[str] = self._tokenizer.batch_decode(said, skip_special_tokens=True)
        return decoded


ENGINES: dict[str, Callable[[str], Translator]] = {
    "transformers": SequenceToSequence,
    "ctranslate2": CTranslate2,
}


def _window(config: Any) -> int:
    """Most tokens of a text."""
    return getattr(config, "max_position_embeddings", None) or 512


def _by_length(
    ids: list[list[int]], window: int, batch_tokens: int, translated: Callable[[list[list[int]]], list[str]]
) -> list[str | None]:
    """Translate in batches of one length; None for what is longer than the window."""
    found: dict[int, str] = {}
    fitting = [row for row, one in enumerate(ids) if len(one) <= window]
    with progress("translations", len(fitting)) as advance:
        for batch in _batches(fitting, ids, batch_tokens):
            found |= zip(batch, translated([ids[row] for row in batch]), strict=True)
            advance(len(batch))
    return [found.get(row) for row in range(len(ids))]


def _batches(rows: list[int], ids: list[list[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows of one length together, so that nothing is padded, and no more tokens than wanted."""
    batch: list[int] = []
    for row in sorted(rows, key=lambda row: (len(ids[row]), row)):
        full = (len(batch) + 1) * len(ids[row]) > batch_tokens
        if batch and (full or len(ids[row]) != len(ids[batch[-1]])):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _longest(tokens: int) -> int:
    """Most tokens of the translation of so many."""
    return int(1.5 * tokens) + 10


def ways_via(
    pivots: Sequence[str], source: str = "en", names: str = NAMES, engine: str = "transformers"
) -> dict[str, tuple[Translator, Translator]]:
    """Load the models of each pivot language.

    Args:
        pivots: language codes, such as "de".
        source: the texts' language.
        names: model names or folders with {source} and {target} in them.
        engine: a name in `ENGINES`.

    Raises:
        RequestError: no pivot, the texts' own language as one, an unknown engine or one not installed.
        ModelError: a model that does not load.
    """
    if not pivots or source in pivots:
        raise RequestError(f"--via {','.join(pivots)}: give languages other than the texts' own, {source!r}")
    if engine not in ENGINES:
        raise RequestError(unknown_name("engine", engine, ENGINES))
    load = ENGINES[engine]
    return {
        pivot: (
            load(names.format(source=source, target=pivot)),
            load(names.format(source=pivot, target=source)),
        )
        for pivot in pivots
    }
