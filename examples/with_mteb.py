"""mteb: a task of one's own, scored offline, with the folder as model.

lastword export mini --to folder --output model
python examples/with_mteb.py model
"""

import sys
from typing import Any

import mteb
import pyarrow.parquet
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskClassification
from sentence_transformers import SentenceTransformer

from lastword.bundled import path_of

rows = pyarrow.parquet.read_table(path_of("topics")).to_pylist()
names = ["astronomy", "gardening", "football", "law"]


class Topics(AbsTaskClassification):
    """Which of four subjects a bundled sentence is about."""

    metadata = mteb.TaskMetadata(
        name="LastwordTopics",
        description="The subject of a sentence",
        dataset={"path": "lastword/topics", "revision": "1"},
        type="Classification",
        eval_langs=["eng-Latn"],
        main_score="accuracy",
    )

    def load_data(self, **_: Any) -> None:
        """Learn from the development split."""
        chosen = [row | {"label": names.index(row["label"])} for row in rows if row["label"] in names]
        parts = {"train": "dev", "test": "test"}
        self.dataset = DatasetDict(
            {
                part: Dataset.from_list([row for row in chosen if row["split"] == split])
                for part, split in parts.items()
            }
        )
        self.data_loaded = True


# cache=None: mteb has one name for all models from folders, and would give one the scores of another
result = mteb.evaluate(SentenceTransformer(sys.argv[1]), Topics(), cache=None, show_progress_bar=False)

print(f"accuracy {result.task_results[0].get_score():.1%} on four subjects")
