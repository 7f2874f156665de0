"""The verb: texts and models in; attention, geometry and nearest words out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lastword import geometry
from lastword.arguments import as_path
from lastword.console import info, silenced, warn
from lastword.embedding import Embedder
from lastword.embedding.template import Template
from lastword.embedding.vocabulary import Vocabulary
from lastword.errors import RequestError
from lastword.explanation.groups import (
    Group,
    describe_groups,
    distinctive_words,
    require_groups,
    rows_by_cluster,
    rows_by_label,
)
from lastword.explanation.models import LoadedModel, find_checkpoints, load_models
from lastword.explanation.page import render_page
from lastword.explanation.picture import render_picture
from lastword.explanation.result import Explanation, ModelExplanation, TextDetail
from lastword.explanation.sample import Sample, read_sample
from lastword.explanation.shares import attention_shares
from lastword.explanation.words import marked_tokens
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.sources import Source
from lastword.stopwords import english_stop_words, read_stop_words


@dataclass(frozen=True)
class _Options:
    """How each model is measured; see `explain`."""

    stop_words: frozenset[str]
    clusters: int | None
    words: int
    batch_tokens: int | None
    seed: int


def explain(
    data: Source,
    models: str | Path | Embedder | Sequence[str | Path | Embedder] = (),
    *,
    checkpoints: str | Path | None = None,
    texts: str | Sequence[str] = (),
    output: str | Path | None = None,
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
    """Compare the attention and the vector geometry of models, side by side.

    For each model: the last token's attention in every layer and head, over a sample of texts; the share of
    it on content words; the geometry of the vectors; and the words that the model's own output head predicts
    from them.

    Args:
        data: a file or `TableFile`, or the bundled "topics" or "products".
        models: one or several names, folders or loaded embedders; base models get the template and pooling of
            the others.
        checkpoints: output folder of a training run, or OUTPUT.partial of an unfinished one: its base model
            and every checkpoint are included.
        texts: texts to show token by token; by default the first two of the sample.
        output: folder to write explain.json, attention.svg and explain.html to.
        overwrite: replace `output`.
        text_column: column of the texts.
        positive_column: column of texts with the same meaning, for the alignment.
        label_column: column of labels; gives the words of each label.
        clusters: gives the words of this many clusters instead.
        words: nearest words of a vector.
        stop_words: file with one stop word per line; None uses scikit-learn's English list.
        max_texts: use a fixed sample of at most this many texts.
        seed: of the sample and of k-means.
        template: for all models; None uses the stored template of each.
        pooling: for all models; None uses the stored pooling of each.
        batch_tokens: padded tokens in one forward pass; limits the memory and changes no result.
        drop_empty: leave out rows without text instead of raising an error.
        dtype: precision of the models; None is the best precision that the device supports.
        device: None is the best device available.

    Returns:
        The numbers of every model; `to_dict()` is the content of explain.json.

    Raises:
        MissingFileError, TableError, ModelError, RequestError, ExistingOutputError: see the message.
        WorkError: a checkpoint cannot be loaded.

    Source: attention as in arXiv:2507.22729, §4.6 and Figure 1.
    """
    models = [models] if isinstance(models, str | Path | Embedder) else models
    texts = [texts] if isinstance(texts, str) else texts
    if not models and checkpoints is None:
        raise RequestError("nothing to explain: give a model, or the folder of a training run as checkpoints")
    folder = (
        RunFolder(as_path("output", output), "explanation", overwrite=overwrite, evidence="")
        if output is not None
        else None
    )
    if folder:
        folder.check(data, models, checkpoints)
    if template is not None and Template.parse(template).averaged:
        raise RequestError(f"template={template!r} is an average: explain one template")
    if words < 1:
        raise RequestError(f"words={words}: give 1 or more")
    sample = read_sample(
        data, text_column, positive_column, label_column, texts, max_texts=max_texts, seed=seed, drop_empty=drop_empty,
    )  # fmt: skip
    require_groups(clusters, sample.labels, len(sample.texts))
    content = read_stop_words(stop_words) if stop_words else english_stop_words()
    options = _Options(content, clusters, words, batch_tokens, seed)
    run = find_checkpoints(checkpoints) if checkpoints is not None else None
    settings = {"template": template, "pooling": pooling, "dtype": dtype, "device": device}
    results: list[ModelExplanation] = []
    first_ids: tuple[str, list[list[int]]] | None = None
    with folder.lock() if folder else nullcontext():
        for model in load_models(models, run, **settings):
            info(f"explaining {model.name}")
            first_ids = _require_same_tokens(model, sample.texts, first_ids)
            # Every checkpoint would repeat the warnings of the first model.
            with silenced() if results and model.step else nullcontext():
                results.append(_explain_model(model, sample, options))
        explanation = Explanation(str(data), len(sample.texts), sample.texts_in_file, seed, results)
        if folder:
            _write_folder(folder, explanation)
    return explanation


def _require_same_tokens(
    model: LoadedModel, texts: list[str], first: tuple[str, list[list[int]]] | None
) -> tuple[str, list[list[int]]]:
    """Refuse a tokenizer that differs from the first model's: shares of tokens would not be comparable."""
    ids = model.embedder.pipeline.tokenizer.text_ids(texts)
    if first is None:
        return model.name, ids
    if ids != first[1]:
        raise RequestError(
            f"{model.name} and {first[0]} tokenize the texts differently: attention can only be compared "
            "between models with the same tokenizer; explain them separately"
        )
    return first


def _explain_model(model: LoadedModel, sample: Sample, options: _Options) -> ModelExplanation:
    embedder = model.embedder
    if not embedder.spec.pooling.reads_last:
        warn(
            f"{model.name} uses {embedder.spec.pooling.spec} pooling, which reads more tokens than the last: "
            "the attention shown is only the last token's"
        )
    shares = attention_shares(embedder, sample.texts, options.stop_words, batch_tokens=options.batch_tokens)
    vectors = embedder.encode(sample.texts, normalize=False, batch_tokens=options.batch_tokens)
    vocabulary = Vocabulary.of(embedder)
    if vocabulary is None:
        warn(f"{model.name}: no output head found, so there are no nearest words")
    return ModelExplanation(
        name=model.name,
        step=model.step,
        template=embedder.spec.template.name,
        pooling=embedder.spec.pooling.spec,
        shares=shares,
        geometry=_geometry(embedder, vectors, sample, options.batch_tokens),
        details=_details(embedder, sample.detailed, vocabulary, vectors.mean(0), options),
        groups=_groups(vectors, sample, vocabulary, options),
    )


def _geometry(
    embedder: Embedder, vectors: np.ndarray, sample: Sample, batch_tokens: int | None
) -> dict[str, float | None]:
    """Measures of the vectors; most are not defined for a single text."""
    of_many = (geometry.mean_cosine, geometry.effective_rank, geometry.uniformity)
    measures = {measure.__name__: measure(vectors) if len(vectors) > 1 else None for measure in of_many}
    measures["alignment"] = None
    if sample.positives is not None:
        positives = embedder.encode(sample.positives, normalize=False, batch_tokens=batch_tokens)
        measures["alignment"] = geometry.alignment(vectors, positives)
    return measures


def _details(
    embedder: Embedder,
    texts: list[str],
    vocabulary: Vocabulary | None,
    mean: np.ndarray,
    options: _Options,
) -> list[TextDetail]:
    details = []
    for text, vector in zip(texts, embedder.encode(texts, normalize=False), strict=True):
        tokens = marked_tokens(embedder, text, options.stop_words)
        words = vocabulary.nearest(vector, options.words) if vocabulary else None
        distinctive = distinctive_words(vocabulary, vector, mean, options.words)
        details.append(TextDetail(text, tokens, words, distinctive))
    return details


def _groups(
    vectors: np.ndarray, sample: Sample, vocabulary: Vocabulary | None, options: _Options
) -> list[Group]:
    if sample.labels is not None:
        rows_of = rows_by_label(sample.labels)
    elif options.clusters is not None:
        rows_of = rows_by_cluster(vectors, options.clusters, options.seed)
    else:
        return []
    return describe_groups(rows_of, vectors, sample.texts, vocabulary, options.words)


def _write_folder(folder: RunFolder, explanation: Explanation) -> None:
    """Write the files to the run folder, then move them: the output appears, or is replaced, as a whole."""
    folder.prepare({})
    finished = folder.partial / "finished"
    finished.mkdir()
    files = {
        "attention.svg": render_picture(explanation) + "\n",
        "explain.html": render_page(explanation),
    }
    write_json(finished / "explain.json", explanation.to_dict())
    for name, content in files.items():
        (finished / name).write_bytes(content.encode("utf-8", errors="replace"))
    folder.finish(finished)
