"""A development score: what a training run may look at to choose its checkpoint. Never a test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lastword.bundled import path_of
from lastword.encoder import TextEncoder
from lastword.errors import RequestError
from lastword.evaluation.clustering import cluster_score
from lastword.evaluation.labels import require_labels
from lastword.evaluation.local import BUNDLED
from lastword.files.run_folder import hash_of
from lastword.files.sources import TableFile
from lastword.files.tables import read_texts
from lastword.uncertainty import Score, combine

Development = Mapping[str, tuple[Sequence[str], Sequence[str]]]
"""Name of a set → its texts and their labels."""
BUNDLED_DEVELOPMENT = tuple(f"{name}:dev" for name in BUNDLED)
_BOOTSTRAP_SIZE = 4096  # a quarter of mteb's: only differences between checkpoints matter here


class ClusterScorer:
    """V-measure of k-means on labelled development texts, averaged over sets.

    Scores of one scorer compare, since every embedder gets the same bootstraps, starts and halves:

        scorer = ClusterScorer({"topics (dev)": (texts, labels)})
        compare(scorer(checkpoint), scorer(base)).verdict

    Attributes:
        sets: name → (texts, labels).
        criterion: what it measures and on what.
        inputs: the sets, as a message calls them → a fingerprint.
    """

    def __init__(self, sets: Development) -> None:
        for name, (_, labels) in sets.items():
            require_labels(labels, "clustering", name)
        self.sets = sets
        self.criterion = f"V-measure on {' and '.join(sets)}"
        self.inputs = fingerprints(sets)

    def __call__(self, embedder: TextEncoder) -> Score:
        """Mean V-measure over the sets, 0 … 1."""
        sets = self.sets.values()
        return combine([cluster_score(embedder, *data, bootstrap_size=_BOOTSTRAP_SIZE) for data in sets])


def fingerprints(sets: Development) -> dict[str, str]:
    """Each set, as a message calls it → a hash of its texts and labels."""
    return {
        f"the development set {name}": hash_of([list(texts), list(labels)])
        for name, (texts, labels) in sets.items()
    }


def read_development(
    files: Sequence[str],
    *,
    text_column: str = "text",
    label_columns: Sequence[str] = ("label",),
    split: str | None = None,
    drop_empty: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> dict[str, tuple[list[str], list[str]]]:
    """Read labelled development texts, leaving out the rows of other splits.

    Args:
        files: paths, or the bundled "topics" and "products"; `FILE:SPLIT` keeps the rows whose column
            `split` has that value.
        text_column: column of the texts.
        label_columns: columns of labels; each makes a set of its own.
        split: for files that name none.
        drop_empty: leave out rows without text or label instead of refusing the file.
        encoding, delimiter: of the files; None detects them.

    Returns:
        Name → (texts, labels); the name is that of the file, with the split and, of several, the column.

    Raises:
        MissingFileError, TableError: see the message.
        RequestError: two sets of one name, or fewer than two different labels.
    """
    sets: dict[str, tuple[list[str], list[str]]] = {}
    for file in files:
        path, file_split = _path_and_split(file)
        chosen = file_split or split
        where = {"split": chosen} if chosen else None
        for column in label_columns:
            name = path.stem + (f" ({chosen})" if chosen else "")
            name += f", {column}" if len(label_columns) > 1 else ""
            if name in sets:
                raise RequestError(f"two development sets are called {name!r}: rename a file")
            source = path if file in BUNDLED else TableFile(path, encoding, delimiter)
            cells = read_texts(source, [text_column], labels=[column], where=where, drop_empty=drop_empty)
            require_labels(cells[column], "clustering", name)
            sets[name] = (cells[text_column], cells[column])
    return sets


def _path_and_split(file: str) -> tuple[Path, str | None]:
    """Take `FILE:SPLIT` apart; a file that exists under the whole name has no split."""
    name, _, split = file.rpartition(":")
    if not name or Path(file).is_file():
        name, split = file, ""
    return (path_of(name) if name in BUNDLED else Path(name)), split or None
