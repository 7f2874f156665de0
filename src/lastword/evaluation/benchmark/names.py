"""Which tasks a benchmark has, by their names in mteb."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

from lastword.errors import RequestError
from lastword.evaluation.labels import SEED

LANGUAGE = "eng"
TYPES = ("Clustering", "Classification")

PAPER_CLUSTERING = (
    "ArXivHierarchicalClusteringP2P", "ArXivHierarchicalClusteringS2S", "BigPatentClustering.v2",
    "BiorxivClusteringP2P.v2", "BiorxivClusteringS2S.v2", "BuiltBenchClusteringP2P",
    "BuiltBenchClusteringS2S", "ClusTREC-Covid", "MasakhaNEWSClusteringP2P", "MasakhaNEWSClusteringS2S",
    "MedrxivClusteringP2P.v2", "MedrxivClusteringS2S.v2", "RedditClustering.v2", "RedditClusteringP2P.v2",
    "SIB200ClusteringS2S", "StackExchangeClustering.v2", "StackExchangeClusteringP2P.v2",
    "TwentyNewsgroupsClustering.v2", "WikiCitiesClustering", "WikipediaChemistryTopicsClustering",
    "WikipediaSpecialtiesInChemistryClustering",
)  # fmt: skip
PAPER_EIGHT = (
    "ArXivHierarchicalClusteringP2P", "ArXivHierarchicalClusteringS2S", "BigPatentClustering.v2",
    "BiorxivClusteringP2P.v2", "MasakhaNEWSClusteringS2S", "MedrxivClusteringP2P.v2", "SIB200ClusteringS2S",
    "WikiCitiesClustering",
)  # fmt: skip
PAPER_CLASSIFICATION = (
    "AmazonCounterfactualClassification", "AmazonPolarityClassification", "AmazonReviewsClassification",
    "ArxivClassification", "Banking77Classification", "DBpediaClassification", "EmotionClassification",
    "FinancialPhrasebankClassification", "FrenkEnClassification", "ImdbClassification",
    "LanguageClassification", "MTOPDomainClassification", "MTOPIntentClassification",
    "MasakhaNEWSClassification", "MassiveIntentClassification", "MassiveScenarioClassification",
    "MultiHateClassification", "MultilingualSentimentClassification", "NewsClassification", "NusaX-senti",
    "PatentClassification", "PoemSentimentClassification", "SDSEyeProtectionClassification",
    "SDSGlovesClassification", "SIB200Classification", "ScandiSentClassification",
    "SouthAfricanLangClassification", "ToxicChatClassification", "ToxicConversationsClassification",
    "TweetSentimentClassification", "TweetSentimentExtractionClassification",
    "TweetTopicSingleClassification", "WikipediaBioMetChemClassification",
    "WikipediaBiolumNeurochemClassification", "WikipediaChemEngSpecialtiesClassification",
    "WikipediaChemFieldsClassification", "WikipediaChemistryTopicsClassification",
    "WikipediaCompChemSpectroscopyClassification", "WikipediaCryobiologySeparationClassification",
    "WikipediaCrystallographyAnalyticalClassification", "WikipediaGreenhouseEnantiopureClassification",
    "WikipediaIsotopesFissionClassification", "WikipediaLuminescenceClassification",
    "WikipediaOrganicInorganicClassification", "WikipediaSaltsSemiconductorsClassification",
    "WikipediaSolidStateColloidalClassification", "WikipediaTheoreticalAppliedClassification",
    "YelpReviewFullClassification",
)  # fmt: skip
BENCHMARKS = {
    "paper-clustering": PAPER_CLUSTERING,
    "paper-eight": PAPER_EIGHT,
    "paper-classification": PAPER_CLASSIFICATION,
}
"""The tables of arXiv:2507.22729: 21 English clustering tasks, the eight of them that it shows one by one,
and 48 English classification tasks. They are listed by name, since `mteb.get_tasks` by language gives other tasks
in each version of mteb."""


def task_names(benchmarks: str | Iterable[str]) -> list[str]:
    """Names of benchmarks and of tasks, separate or with commas, to names of tasks, each once.

    Raises:
        RequestError: no name, or one that is neither a benchmark nor a task of mteb that can be scored.
    """
    entries = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
    words = [word.strip() for entry in entries for word in entry.split(",") if word.strip()]
    if not words:
        raise RequestError(f"no benchmark: give {', '.join(BENCHMARKS)}, or names of mteb's tasks")
    names = dict.fromkeys(name for word in words for name in BENCHMARKS.get(word, (word,)))
    _refuse_unknown(list(names))
    return list(names)


def _refuse_unknown(names: Sequence[str]) -> None:
    known = {name for benchmark in BENCHMARKS.values() for name in benchmark}
    if set(names) <= known:
        return
    listed = _listed_tasks()
    types = dict.fromkeys(listed, TYPES[0])  # a name that mteb does not list is refused without importing it
    if set(names) <= listed:
        from lastword.evaluation.benchmark.mteb_model import task_types

        types = task_types()
    for name in names:
        if name not in types:
            near = difflib.get_close_matches(name, [*BENCHMARKS, *types], n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}? " if near else ""
            raise RequestError(
                f"unknown benchmark or task {name!r}: {hint}"
                f"Known: {', '.join(BENCHMARKS)}, and the clustering and classification tasks of mteb"
            )
        if types[name] not in TYPES:
            raise RequestError(
                f"{name} is a task of type {types[name]}: a benchmark takes {' and '.join(TYPES)}"
            )


def _listed_tasks() -> set[str]:
    """Names of mteb's tasks, from the files with their statistics."""
    package = importlib.util.find_spec("mteb")
    folders = (package and package.submodule_search_locations) or []
    return {path.stem for folder in folders for path in Path(folder, "descriptive_stats").rglob("*.json")}


def seeds_from(count: int) -> list[int]:
    """`count` seeds, mteb's own first.

    Raises:
        RequestError: less than one.
    """
    if count < 1:
        raise RequestError(f"seeds={count}: give 1 or more")
    return list(range(SEED, SEED + count))
