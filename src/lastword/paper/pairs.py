"""The sources of pairs that the paper trains on, by its names, made of what is at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lastword.bundled import path_of
from lastword.errors import RequestError, unknown_name
from lastword.pairs import Import, Method, SameLabel, make_pairs

NAMES = ("nli", "wiki-translate", "wiki-prompt", "labels")


@dataclass(frozen=True)
class Source:
    """How a file of pairs is made of a file that is at hand.

    Attributes:
        file: in the data folder.
        method: how its rows become pairs.
        told: what it is, for the report.
    """

    file: str
    method: Callable[[Path], Method]
    told: str


STAND_INS = {
    "nli": Source(
        "pairs/rte_nli.parquet",
        lambda path: Import("sentence1", "sentence2", score_column="score", min_score=1.0),
        "entailed sentences of RTE, in place of the NLI corpus of SimCSE",
    ),
    "wiki-translate": Source(
        "pairs/wikisplit_pairs.parquet",
        lambda path: Import("sentence1", "sentence2"),
        "two wordings of a Wikipedia sentence (WikiSplit), in place of back-translations",
    ),
}
EMOTION = "classification/emotion.parquet"
BUNDLED = "the bundled rewritings, in the paper's five styles"


class Sources:
    """Files of pairs by the paper's names.

    Args:
        work: folder where pairs that are made are kept.
        data: folder of public texts, or None.
        given: name → file of the user's own pairs, taken before anything else.

    Raises:
        RequestError: a name that the paper has not.
    """

    def __init__(self, work: Path, data: Path | None, given: dict[str, Path]) -> None:
        for name in given:
            if name not in NAMES:
                raise RequestError(unknown_name("source of pairs", name, NAMES))
        self.work, self.data, self.given = work, data, given

    def has(self, name: str) -> bool:
        """Whether there are such pairs."""
        return name in self.given or name == "wiki-prompt" or self._original(name) is not None

    def told(self, name: str) -> str:
        """What stands for a name, for the report."""
        if name in self.given:
            return f"{self.given[name].name}, given"
        if name == "wiki-prompt":
            return BUNDLED
        if name == "labels":
            return "training texts of EmotionClassification, those of one label each other's positives"
        return STAND_INS[name].told

    def origin(self, name: str) -> Path | None:
        """The file that the pairs are made of, for the manifest."""
        if name in self.given:
            return self.given[name]
        if name == "wiki-prompt":
            return path_of("pairs")
        if self.data is None:
            return None
        return self.data / (EMOTION if name == "labels" else STAND_INS[name].file)

    def file(self, name: str) -> Path:
        """The file, made when it is asked for first."""
        if name in self.given:
            return self.given[name]
        if name == "wiki-prompt":
            return path_of("pairs")
        original = self._original(name)
        assert original is not None
        made = self.work / f"pairs-{name}.parquet"
        if not made.exists():
            method = (
                SameLabel(original, negatives=False) if name == "labels" else STAND_INS[name].method(original)
            )
            make_pairs(method, original, made, overwrite=True)
        return made

    def _original(self, name: str) -> Path | None:
        if self.data is None:
            return None
        if name == "labels":
            return self._emotion()
        path = self.data / STAND_INS[name].file
        return path if path.is_file() else None

    def _emotion(self) -> Path | None:
        """The training split of the task alone: its test texts must not be trained on."""
        assert self.data is not None
        path, part = self.data / EMOTION, self.work / "emotion-train.parquet"
        if not path.is_file():
            return None
        if not part.exists():
            import pyarrow.compute as pc
            import pyarrow.parquet as pq

            table = pq.read_table(path)
            pq.write_table(table.filter(pc.equal(table["split"], "train")), part)
        return part
