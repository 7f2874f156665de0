"""The verb: a file of texts and models in; what they look at, and how their vectors lie, out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword import geometry
from lastword.console import info, silenced, warn
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError
from lastword.explanation.attention import token_attention
from lastword.explanation.groups import (
    Group,
    apart,
    describe_groups,
    require_groups,
    rows_by_cluster,
    rows_by_label,
)
from lastword.explanation.models import Settings, Subject, find_run, subjects
from lastword.explanation.output import write_folder
from lastword.explanation.record import Explanation, Measured, Shown, Token
from lastword.explanation.sample import Columns, SameTokens, Sample, read_sample
from lastword.explanation.shares import attention_shares
from lastword.explanation.vocabulary import Vocabulary, checked_count
from lastword.explanation.words import content_tokens, english_stop_words, read_stop_words


@dataclass(frozen=True)
class Asked:
    """What to find out about each model.

    Attributes:
        stop_words: words that are no content words.
        clusters: groups of a k-means, or None.
        words: nearest words of a vector.
        batch_tokens: padded tokens in one pass.
        seed: of bands and k-means.
    """

    stop_words: frozenset[str]
    clusters: int | None
    words: int
    batch_tokens: int | None
    seed: int


def explain(
    data: str | Path,
    models: str | Path | Embedder | Sequence[str | Path | Embedder] = (),
    *,
    checkpoints: str | Path | None = None,
    texts: str | Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    text_column: str = "text",
    positive_column: str | None = None,
    label_column: str | None = None,
    clusters: int | None = None,
    words: int = 8,
    stop_words: str | Path | None = None,
    max_texts: int = 200,
    seed: int = 0,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    drop_empty: bool = False,
    dtype: str | None = None,
    device: str | None = None,
) -> Explanation:
    """Show what models look at and how their vectors lie, side by side.

    For each model: the last token's attention in every layer and head, over a sample of texts; the share of
    it that falls on content words; the geometry of the vectors; and the words that the model's own output
    head finds nearest to them.

    Args:
        data: a file, or the bundled "topics" or "products".
        models: names, folders or loaded embedders, one or several; a base model gets template and pooling of the
            others.
        checkpoints: folder that a training wrote, or OUT.partial of one that runs: its base model and every
            checkpoint are looked at.
        texts: texts to show whole, token by token; the first two of the sample if there are none.
        out: folder to write explain.json, attention.svg and explain.html to.
        overwrite: replace it.
        text_column: column of the texts.
        positive_column: column of texts that mean the same, for the alignment.
        label_column: column of labels; gives the words of each label.
        clusters: gives the words of so many clusters instead.
        words: nearest words of a vector.
        stop_words: file of words that are no content words, one on a line; None is scikit-learn's English list.
        max_texts: look at a fixed sample of at most so many texts.
        seed: of sample, bands and k-means.
        template: for all models; None leaves each its own.
        pooling: for all models; None leaves each its own.
        batch_tokens: padded tokens in one pass; bounds the memory and changes no result.
        drop_empty: leave out rows without text instead of refusing the file.
        dtype: precision of the models; None is what the device does best.
        device: None is the best there is.

    Returns:
        The numbers of every model; `to_dict()` is what explain.json holds.

    Raises:
        MissingFileError, TableError, ModelError, RequestError: see the message.
        WorkError: a checkpoint that does not load.

    Source: attention as in arXiv:2507.22729, §4.6 and Figure 1.
    """
    models = [models] if isinstance(models, str | Path | Embedder) else models
    texts = [texts] if isinstance(texts, str) else texts
    if not models and checkpoints is None:
        raise RequestError("nothing to explain: give a model, or the folder of a training as checkpoints")
    if out is not None and Path(out).exists() and not overwrite:
        raise ExistingOutputError(f"{out} exists: give another place or --overwrite")
    columns = Columns(text_column, positive_column, label_column)
    sample = read_sample(data, columns, texts, max_texts=max_texts, seed=seed, drop_empty=drop_empty)
    require_groups(clusters, sample.labels, len(sample.texts))
    asked = Asked(
        read_stop_words(stop_words) if stop_words else english_stop_words(),
        clusters,
        checked_count(words),
        batch_tokens,
        seed,
    )
    run = find_run(checkpoints) if checkpoints is not None else None
    tokens = SameTokens(sample.texts)
    measured: list[Measured] = []
    for subject in subjects(models, run, Settings(template, pooling, dtype, device)):
        info(f"looking at {subject.name}")
        tokens.require(subject)
        with (
            silenced() if measured and subject.step else nullcontext()
        ):  # each checkpoint would warn of the same
            measured.append(_measure(subject, sample, asked))
    found = Explanation(str(data), len(sample.texts), sample.held, seed, measured)
    if out is not None:
        write_folder(Path(out), found)
    return found


def _measure(subject: Subject, sample: Sample, asked: Asked) -> Measured:
    embedder = subject.embedder
    if embedder.pooling.name not in ("lasttoken", "eos"):
        warn(
            f"{subject.name} pools by {embedder.pooling.spec}, which reads more tokens than the last: "
            "the attention shown is the last token's alone"
        )
    shares = attention_shares(embedder, sample.texts, asked.stop_words, batch_tokens=asked.batch_tokens)
    vectors = embedder.encode(sample.texts, normalize=False, batch_tokens=asked.batch_tokens)
    vocabulary = Vocabulary.of(embedder)
    if vocabulary is None:
        warn(f"{subject.name}: no output head found, so there are no nearest words")
    return Measured(
        name=subject.name,
        step=subject.step,
        template=embedder.template.name,
        pooling=embedder.pooling.spec,
        shares=shares,
        geometry=_geometry(embedder, vectors, sample, asked.batch_tokens),
        shown=_shown(embedder, sample.shown, vocabulary, vectors.mean(0), asked),
        groups=_groups(vectors, sample, vocabulary, asked),
        seed=asked.seed,
    )


def _geometry(
    embedder: Embedder, vectors: np.ndarray, sample: Sample, batch_tokens: int | None
) -> dict[str, float | None]:
    """How the vectors lie; one text alone has nothing to lie against."""
    several = len(vectors) > 1
    found: dict[str, float | None] = {
        "mean_cosine": geometry.mean_cosine(vectors) if several else None,
        "effective_rank": geometry.effective_rank(vectors) if several else None,
        "uniformity": geometry.uniformity(vectors) if several else None,
        "alignment": None,
    }
    if sample.positives is not None:
        others = embedder.encode(sample.positives, normalize=False, batch_tokens=batch_tokens)
        found["alignment"] = geometry.alignment(vectors, others)
    return found


def _shown(
    embedder: Embedder,
    texts: list[str],
    vocabulary: Vocabulary | None,
    middle: np.ndarray,
    asked: Asked,
) -> list[Shown]:
    found = []
    vectors = embedder.encode(texts, normalize=False)
    contents = content_tokens(embedder, texts, asked.stop_words)
    for text, vector, content in zip(texts, vectors, contents, strict=True):
        flags = iter(content.tolist())
        tokens = [
            Token(one.token, one.part, one.weight, one.part == "text" and next(flags))
            for one in token_attention(embedder, text)
        ]
        words = vocabulary.nearest(vector, asked.words) if vocabulary else None
        found.append(Shown(text, tokens, words, apart(vocabulary, vector, middle, asked.words)))
    return found


def _groups(vectors: np.ndarray, sample: Sample, vocabulary: Vocabulary | None, asked: Asked) -> list[Group]:
    if sample.labels is not None:
        rows_of = rows_by_label(sample.labels)
    elif asked.clusters is not None:
        rows_of = rows_by_cluster(vectors, asked.clusters, asked.seed)
    else:
        return []
    return describe_groups(rows_of, vectors, sample.texts, vocabulary, asked.words)
