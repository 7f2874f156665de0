"""The pairs that the paper trains on, by its names, made from local texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lastword.bundled import path_of
from lastword.pairs import Import, Method, SameLabel, make_pairs


@dataclass(frozen=True)
class StandIn:
    """A file of the data folder whose rows a method turns into pairs, in place of the paper's."""

    file: str
    method: Callable[[Path], Method]
    description: str


STAND_INS = {
    "nli": StandIn(
        "pairs/rte_nli.parquet",
        lambda path: Import("sentence1", "sentence2", score_column="score", min_score=1.0),
        "entailed sentences of RTE, in place of the NLI corpus of SimCSE",
    ),
    "wiki-translate": StandIn(
        "pairs/wikisplit_pairs.parquet",
        lambda path: Import("sentence1", "sentence2"),
        "two wordings of a Wikipedia sentence (WikiSplit), in place of back-translations",
    ),
    "labels": StandIn(
        "classification/emotion.parquet",
        lambda path: SameLabel(path, negatives=False),
        "training texts of EmotionClassification, paired by label",
    ),
}
BUNDLED = "the bundled rewritings, in the paper's five styles"


class PairSources:
    """Files of pairs by the paper's names, those of `PAIR_SOURCES`.

    Args:
        work: folder for pairs that are made here.
        data: folder of public texts, or None.
        files: name → file of the user's own pairs, which replace all others.
    """

    def __init__(self, work: Path, data: Path | None, files: Mapping[str, Path]) -> None:
        self.work, self.data, self.files = work, data, files

    def has(self, name: str) -> bool:
        """Whether the pairs can be had."""
        origin = self.origin(name)
        return origin is not None and (name in self.files or origin.is_file())

    def describe(self, name: str) -> str:
        """What the pairs are, for the report."""
        if not self.has(name):
            return "missing"
        if name in self.files:
            return f"the file {self.files[name].name}"
        return BUNDLED if name == "wiki-prompt" else STAND_INS[name].description

    def origin(self, name: str) -> Path | None:
        """The file that the pairs are made from; None without a data folder."""
        if name in self.files:
            return self.files[name]
        if name == "wiki-prompt":
            return path_of("pairs")
        return self.data / STAND_INS[name].file if self.data else None

    def file(self, name: str) -> Path:
        """The file of pairs, made when it is first needed."""
        origin = self.origin(name)
        assert origin is not None
        if name in self.files or name == "wiki-prompt":
            return origin
        pairs = self.work / f"pairs-{name}.parquet"
        if not pairs.exists():
            source = self._train_split(origin) if name == "labels" else origin
            make_pairs(STAND_INS[name].method(source), source, pairs, overwrite=True)
        return pairs

    def _train_split(self, path: Path) -> Path:
        """The training texts of a task in a file of their own: its test texts must not be trained on."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        part = self.work / f"{path.stem}-train.parquet"
        if not part.exists():
            table = pq.read_table(path)
            pq.write_table(table.filter(pc.equal(table["split"], "train")), part)
        return part
