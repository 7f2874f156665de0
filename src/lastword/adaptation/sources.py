"""Pairs of the training texts: a file for each source, and the mixture that is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lastword.adaptation.texts import TRAINING
from lastword.config import TrainConfig
from lastword.console import info
from lastword.embedding import Embedder
from lastword.encoders.by_name import with_batches
from lastword.encoders.in_parts import InParts
from lastword.errors import TableError
from lastword.experiments.pair_sources import mixed
from lastword.files.pairs import PairRow, read_pair_rows
from lastword.files.run_folder import RunFolder
from lastword.pairs import Crop, Method, Neighbours, Noise, SameLabel, make_pairs
from lastword.pairs.generating import Rewriting, forecast
from lastword.pairs.generating.engine import Engine
from lastword.pairs.record import write_table
from lastword.training.data import HELD_OUT_MOST
from lastword.training.pairs import pair_rows

FINISHED, PAIRS, MIXTURE = "finished", "pairs", "mixture.parquet"
_LEAST_PAIRS = 50
_MIN_WORDS = 4  # of a piece of a text: titles are short
_EXAMPLES = 2


@dataclass(frozen=True)
class SourceReport:
    """What a source of pairs gave.

    Attributes:
        name: of the source.
        weight: in the mixture.
        pairs: that it made.
        drawn: of these for the mixture.
        rejected: reason → number of texts without a pair.
        examples: some pairs: anchor and positive.
    """

    name: str
    weight: float
    pairs: int
    drawn: int
    rejected: dict[str, int]
    examples: list[list[str]]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return vars(self)


@dataclass(frozen=True)
class PairMaker:
    """Makes the pairs of the training texts.

    Attributes:
        run: its folder has the sample.
        embedder: the model before training, with the setting that will be trained.
        rewriter: a chat model for rewritings; None without.
        rewritten: texts that it rewrites at most.
        seed: of everything that is drawn.
        batch_tokens: padded tokens in one pass.
    """

    run: RunFolder
    embedder: Embedder
    rewriter: Engine | None
    rewritten: int
    seed: int
    batch_tokens: int | None

    @property
    def folder(self) -> Path:
        """The folder with the pairs."""
        return self.run.partial / FINISHED / PAIRS

    def make(self, weights: Mapping[str, float], config: TrainConfig) -> list[SourceReport]:
        """Write the pairs of each source, and their mixture: one pass of the training run, in the parts of the weights.

        Raises:
            TableError: too few pairs in all.
            RequestError, WorkError: the chat model cannot be used, or failed; `make` can be called again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        rejected = {
            name: self.run.once(f"pairs-{name}", partial(self._made, name, config)) for name in weights
        }
        rows: dict[str, list[PairRow]] = {
            name: list(read_pair_rows(self._file(name))) for name in weights if self._file(name).exists()
        }
        if sum(map(len, rows.values())) < _LEAST_PAIRS:
            reasons = "; ".join(f"{name}: {', '.join(reasons)}" for name, reasons in rejected.items())
            raise TableError(
                f"{sum(map(len, rows.values()))} pairs in all: adapting needs at least {_LEAST_PAIRS} ({reasons}); "
                "give more or longer texts, or other sources"
            )
        wanted = config.steps * config.batch_pairs + HELD_OUT_MOST
        counts = shares({name: len(of_source) for name, of_source in rows.items()}, weights, wanted)
        write_table(mixed(rows, counts, self.seed), self.folder / MIXTURE)
        return [
            SourceReport(
                name, weight, len(rows.get(name, [])), counts.get(name, 0), rejected[name],
                [[anchor, positive] for anchor, positive, _ in rows.get(name, [])[:_EXAMPLES]],
            )
            for name, weight in weights.items()
        ]  # fmt: skip

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def _made(self, name: str, config: TrainConfig) -> dict[str, int]:
        """Make the pairs of a source; returns reason → texts without a pair. One without any pair leaves no file."""
        file = self._file(name)
        if name == "recipe":
            rows = pair_rows(config)
            write_table(mixed({name: rows}, {name: len(rows)}, self.seed), file)
            return {}
        try:
            method, texts = self._method(name), self._texts(name)
            result = make_pairs(
                method, texts, file, seed=self.seed, resume=True, overwrite=file.exists(), drop_empty=True
            )
        except TableError as error:  # it gave no pair
            info(f"no pairs by {name}: {error}")
            return {str(error).removeprefix(f"{self._texts(name)}: "): 0}
        return result.rejected

    def _texts(self, name: str) -> Path:
        """The file that a source reads: the training texts, or the first ones where each costs a request."""
        file = self.run.partial / "sample" / f"{TRAINING}.parquet"
        if name != "generate":
            return file
        few = file.with_name("rewritten.parquet")
        if not few.exists():
            write_table(pq.read_table(file).slice(0, self.rewritten), few)
        return few

    def _method(self, name: str) -> Method:
        texts = self._texts(name)
        if name == "generate":
            assert self.rewriter is not None
            method = Rewriting(self.rewriter)
            forecast(method, texts).log()
            return method
        if name == "neighbours":
            encoder = with_batches(self.embedder, self.batch_tokens)
            return Neighbours(texts, InParts(encoder, self.run.partial / "neighbours"))
        if name == "labels":
            return SameLabel(texts, seed=self.seed)
        return Crop(min_words=_MIN_WORDS) if name == "crop" else Noise()


def shares(available: Mapping[str, int], weights: Mapping[str, float], wanted: int) -> dict[str, int]:
    """Source → pairs to draw: in the parts of the weights; what a source lacks, the others give.

    Args:
        available: source → its pairs.
        weights: source → its weight.
        wanted: pairs in all; fewer if there are fewer.
    """
    counts: dict[str, int] = {}
    for name in sorted(available, key=lambda name: available[name] / weights[name]):
        rest = sum(weights[other] for other in available if other not in counts)
        counts[name] = min(available[name], round((wanted - sum(counts.values())) * weights[name] / rest))
    return counts
