"""What an embedder is scored on: MTEB's tasks by MTEB's own code, and labelled files by the same protocols."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lastword.encoder import TextEncoder
from lastword.evaluation import benchmark
from lastword.evaluation.benchmark.copies import TABLES
from lastword.evaluation.benchmark.names import PAPER_CLASSIFICATION, PAPER_CLUSTERING, PAPER_EIGHT
from lastword.evaluation.labels import SEED
from lastword.evaluation.local import LocalTask, read_task
from lastword.files.inputs import LabelledTexts
from lastword.paper.scales import Scale
from lastword.uncertainty import Score, combine

TASKS = {
    "clustering": PAPER_CLUSTERING,
    "eight": PAPER_EIGHT,
    "classification": PAPER_CLASSIFICATION,
    "emotion": ("EmotionClassification",),
}
"""Kind of suite → the paper's tasks."""


@dataclass(frozen=True)
class LabelledFile:
    """A file of labelled texts: how it is called in tables, where it is in the data folder, and how it is scored.

    Attributes:
        name: in tables.
        file: path in the data folder, or a bundled name.
        split: of the rows that are scored; None is all.
        label_column: the column of the labels.
        task: "clustering" or "classification".
        samples_per_label: training texts of each label in a classification.
    """

    name: str
    file: str
    split: str | None = None
    label_column: str = "label"
    task: str = "clustering"
    samples_per_label: int = 8

    def read(self, path: Path, max_texts: int | None) -> LocalTask:
        """The texts and how to score them; at most so many, a fixed sample."""
        return read_task(
            path, split=self.split, label_column=self.label_column, task=self.task,
            samples_per_label=self.samples_per_label, max_texts=max_texts,
        )  # fmt: skip


BUNDLED = (LabelledFile("topics", "topics", "test"), LabelledFile("products", "products", "test"))
STACK_OVERFLOW = "stackoverflow_titles"
FILES = {
    STACK_OVERFLOW: LabelledFile("Stack Overflow titles", "clustering/stackoverflow_titles.parquet"),
    "arxiv_s2s": LabelledFile("arXiv titles", "clustering/arxiv_s2s.parquet", label_column="label_main"),
    "agnews": LabelledFile("AG News", "clustering/agnews.parquet"),
    "twentynewsgroups_subject": LabelledFile("20 Newsgroups", "clustering/twentynewsgroups_subject.parquet"),
    "walmart_amazon_category": LabelledFile("Walmart", "clustering/walmart_amazon_category.parquet"),
}
"""Name → a file of the data folder that is no MTEB task."""


def _classified(name: str, file: str, samples_per_label: int = 8) -> LabelledFile:
    path = f"classification/{file}.parquet"
    return LabelledFile(name, path, "test", task="classification", samples_per_label=samples_per_label)


SAMPLED = {
    "SIB200ClusteringS2S": LabelledFile("SIB-200", "clustering/sib200_eng.parquet"),
    "MasakhaNEWSClusteringS2S": LabelledFile("MasakhaNEWS", "clustering/masakhanews_eng.parquet", "test"),
    "Banking77Classification": _classified("Banking77", "banking77"),
    "EmotionClassification": _classified("Emotion", "emotion", 16),
    "TweetSentimentExtractionClassification": _classified(
        "Tweet sentiment", "tweet_sentiment_extraction", 32
    ),
    "AmazonCounterfactualClassification": _classified(
        "Amazon counterfactual", "amazon_counterfactual_en", 32
    ),
}
"""MTEB task → the same texts as a file, from which a sample can be scored."""


@dataclass(frozen=True)
class Suite:
    """Tasks and files.

    Attributes:
        kind: "clustering", "eight" (the tasks of Table 8), "classification" or "emotion".
        tasks: names of MTEB tasks.
        files: path or bundled name → what it is.
        data: folder with local copies of the tasks' texts; None is the Hub.
        max_texts: a fixed sample of at most so many texts of each file is scored; None takes all. Tasks are
            scored whole.
    """

    kind: str
    tasks: tuple[str, ...]
    files: dict[Path, LabelledFile]
    data: Path | None
    max_texts: int | None

    @property
    def names(self) -> list[str]:
        """Of all tasks and files."""
        return [*self.tasks, *(file.name for file in self.files.values())]

    @property
    def description(self) -> str:
        """For the report."""
        parts = []
        if self.tasks:
            listed = ", ".join(self.tasks) if len(self.tasks) <= 8 else f"{len(self.tasks)} tasks of MTEB"
            parts.append(f"{listed} (whole, by MTEB's own code)")
        if self.files:
            names = ", ".join(file.name for file in self.files.values())
            most = f"at most {self.max_texts:,} texts of each, " if self.max_texts else ""
            protocol = "newer clustering tasks" if self.kind in ("clustering", "eight") else "classifications"
            parts.append(f"{names} ({most}by the protocol of MTEB's {protocol})")
        return "; ".join(parts)

    def known_texts(self) -> list[str]:
        """The texts that are at hand as files, to estimate what scoring them costs; of a classification, all."""
        texts = [
            text for path, file in self.files.items() for text in file.read(path, self.max_texts).learned_from
        ]
        for name in self.tasks:
            if self.data and name in SAMPLED and (path := self.data / SAMPLED[name].file).is_file():
                texts += SAMPLED[name].read(path, None).learned_from
        return texts

    def revisions(self) -> dict[str, str]:
        """MTEB task → which texts it has, for the manifest."""
        if not self.tasks:
            return {}
        from lastword.evaluation.benchmark.scoring import Texts, make_task  # importing mteb takes seconds

        texts = Texts(self.data)
        return {name: texts.origin_of(make_task(name, SEED)) for name in self.tasks}

    def score(self, encoder: TextEncoder, results: Path) -> dict[str, Score]:
        """Task or file → score of a model.

        Args:
            encoder: the model.
            results: folder for finished tasks: after an interruption they are not repeated.
        """
        scores = self._score_tasks(encoder, results) if self.tasks else {}
        for path, file in self.files.items():
            scores[file.name] = file.read(path, self.max_texts).score(encoder)
        return scores

    def _score_tasks(self, encoder: TextEncoder, results: Path) -> dict[str, Score]:
        """A task with several English subsets counts as their mean, as in MTEB.

        Where only some of them are available, the name of the score says which.
        """
        result = benchmark(encoder, self.tasks, data_dir=self.data, output=results, cache=False)
        incomplete = {missing.task for missing in result.missing}
        scores = {}
        for task in dict.fromkeys(row.task for row in result.tasks):
            rows = [row for row in result.tasks if row.task == task]
            name = f"{task} ({', '.join(row.subset for row in rows)})" if task in incomplete else task
            scores[name] = combine([row.score for row in rows])
        return scores


def suite_of(kind: str, data: Path | None, scale: Scale) -> Suite | None:
    """The texts of a kind of suite; None if there are none.

    A scale that has the paper's whole lists of tasks gets them from the Hub where there is no local copy. One that
    is sampled has the file in place of each task with more texts than `max_texts`.
    """
    if scale.all_tasks:
        return Suite(kind, TASKS[kind], {}, data, None)
    local = {name for name, form in TABLES.items() if data and (data / f"{form.known}.parquet").is_file()}
    tasks = [name for name in TASKS[kind] if name in local]
    files = {}
    if data and scale.sampled and scale.max_texts:
        large = {name for name in tasks if _texts(data, SAMPLED[name]) > scale.max_texts}
        files = {data / SAMPLED[name].file: SAMPLED[name] for name in tasks if name in large}
        tasks = [name for name in tasks if name not in large]
    if kind in ("clustering", "eight"):
        sets = [FILES[name] for name in scale.sets or (STACK_OVERFLOW,)]
        files |= {data / file.file: file for file in sets if data and (data / file.file).is_file()}
        if not tasks and not files:
            files = {Path(file.file): file for file in BUNDLED}
    return Suite(kind, tuple(tasks), files, data, scale.max_texts) if tasks or files else None


def _texts(data: Path, file: LabelledFile) -> int:
    """Texts of a file that would be scored."""
    return len(LabelledTexts.read(data / file.file, ("text", file.label_column), file.split, True).texts)
