"""The verb: texts, or a store of their vectors → groups with names."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastword.arguments import as_path, require_name, whole_number
from lastword.bundled import model_width
from lastword.console import info, progress, renamed, warn
from lastword.corpus import embed
from lastword.corpus.clustering.describing import Naming, describe
from lastword.corpus.clustering.finding import Found, find_groups
from lastword.corpus.clustering.labels import Agreement, agreement
from lastword.corpus.clustering.names import NAMINGS, Chat
from lastword.corpus.clustering.partition import FIT_TEXTS, METHODS, UNCLUSTERED, needs_umap
from lastword.corpus.clustering.result import ClusterResult
from lastword.corpus.clustering.rows import Points, cells, sample_rows
from lastword.corpus.clustering.stability import DISSOLVED
from lastword.corpus.clustering.table import require_new_columns, write_table
from lastword.corpus.map.data import colourable, map_data
from lastword.corpus.map.page import map_page
from lastword.corpus.map.plane import WAYS, plane, way_here
from lastword.corpus.store import Store
from lastword.corpus.texts import Corpus, read_until
from lastword.encoder import TextEncoder
from lastword.encoders.by_name import load_encoder, with_batches
from lastword.encoders.stored import GROUPED, store_in
from lastword.errors import RequestError, TableError, listed, unknown_name
from lastword.extras import require_installed
from lastword.files.run_folder import RunFolder, write_json
from lastword.files.sources import Source
from lastword.files.tables import require_columns, usable_label
from lastword.files.typed import read_tables
from lastword.report.page import write_page

TABLE, CLUSTERS, MAP, VECTORS = "texts.parquet", "clusters.json", "map.html", GROUPED
"""Files of the output, and the folder of the store that is made of texts."""
_FINISHED = "finished"  # in the run folder
Input = Corpus | Store


def cluster_corpus(
    inputs: Source | Sequence[Source],
    output: str | Path,
    model: str | Path | TextEncoder | None = None,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    method: str = "k-means",
    groups: int | None = None,
    least_size: int | None = None,
    hierarchy: bool = False,
    naming: str = "terms",
    chat: Chat | None = None,
    map: str = "auto",
    map_texts: int = 100_000,
    group_column: str = "group",
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> ClusterResult:
    """Group texts by their meaning, and name the groups.

    Groups are found on a sample of the texts if there are very many; then every text gets its group. The vectors of
    texts are kept in the output, as a store that other commands take.

    Args:
        inputs: the folder of a store that `embed_corpus` or this function wrote, or files as for `embed_corpus`.
        output: folder to write: texts.parquet, clusters.json, map.html, and vectors if `inputs` are texts.
        model: as for `embed_corpus`, which embeds texts with it; None is "mini". Of a store, the model that made it:
            it is needed only for words of its head.
        text_column: column of the texts in files; a store knows its own.
        label_column: column of known labels, which groups are compared with.
        method: "k-means", or "density": HDBSCAN, which leaves texts outside of dense regions unclustered.
        groups: number of groups; None chooses it by figures that are in the result. Of k-means only.
        least_size: texts of the smallest group, of density only; None depends on the number of texts.
        hierarchy: put groups into families too.
        naming: "terms" (distinctive terms), "head" (words of the model's output head) or "joined" (both).
        chat: a chat model that writes the names: prompts → answers.
        map: how texts are put on the map: "umap" (`pip install 'lastword[map]'`), "pca", "auto" ("umap" if it is
            installed, else "pca") or "none", without a map.
        map_texts: the map shows at most this many, a fixed sample.
        group_column: of the table: the number of the group; its name is in GROUP_COLUMN_name, how sure that is in
            GROUP_COLUMN_confidence.
        template, pooling, dtype, device: of the model, as for `embed_corpus`.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        seed: of samples and groups.
        resume: continue an interrupted run; texts that are embedded are not embedded again.
        overwrite: replace `output`, and discard an interrupted run.

    Raises:
        ExistingOutputError: `output` exists, is being written, or has an interrupted run.
        RequestError: fewer different texts than groups; an unknown value.
        ModelError: a store of another model.
        MissingFileError, TableError, MissingExtraError: see the message.
    """
    started, output = time.monotonic(), as_path("output", output)
    source = check_request(
        inputs, output, model, text_column=text_column, label_column=label_column, method=method, groups=groups,
        least_size=least_size, naming=naming, map=map, group_column=group_column, template=template, pooling=pooling,
        batch_tokens=batch_tokens, dtype=dtype, device=device,
    )  # fmt: skip
    seed, map_texts = whole_number("seed", seed, least=0), whole_number("map_texts", map_texts, least=1)
    run = RunFolder(output, "run", resume, overwrite, evidence=f"{_FINISHED}/{VECTORS}*/*")
    run.check(inputs, model)
    settings = {"template": template, "pooling": pooling, "dtype": dtype, "device": device}
    with run.open({}) as partial:
        try:
            finished = partial / _FINISHED
            finished.mkdir(exist_ok=True)
            if isinstance(source, Store):
                store = source
            else:
                with renamed(finished / VECTORS, output / VECTORS):
                    store = _embedded(
                        source, finished, model or "mini", batch_tokens=batch_tokens, **settings
                    )
            encoder = _encoder(source, store, model, naming, batch_tokens, settings)
            labels = _read_labels(store, label_column)
            with renamed(store.folder, _title(source)):
                points, found = _find(store, method, groups, least_size, seed)
            compared = (
                agreement(label_column, labels, found.groups, seed) if label_column and labels else None
            )
            how = Naming(naming, encoder if naming != "terms" else None, chat, hierarchy)
            described, merged, families = describe(points, found, how, compared, seed)
            result = ClusterResult(
                output, len(store), method, described, found.reason, found.candidates, len(points.rows), merged,
                families, compared, store.model, "chat" if chat else naming, time.monotonic() - started,
            )  # fmt: skip
            _write(finished, store, found, result, group_column)
            if map != "none":
                _write_map(finished / MAP, _title(source), points, found, result, map, map_texts, seed)
            run.finish(finished)
        finally:
            if not run.interrupted:
                run.discard()
    _report(result, found, compared)
    return result


def check_request(
    inputs: Source | Sequence[Source],
    output: Path,
    model: str | Path | TextEncoder | None,
    *,
    text_column: str,
    label_column: str | None,
    method: str,
    groups: int | None,
    least_size: int | None,
    naming: str,
    map: str,
    group_column: str,
    **how: Any,
) -> Input:
    """Refuse what cannot work, before anything is loaded; see `cluster_corpus`.

    Returns:
        The store, or the files with texts.

    Raises:
        RequestError, MissingFileError, TableError: see the message.
    """
    require_name("group_column", group_column)
    named = {"method": (method, METHODS), "naming": (naming, NAMINGS), "map": (map, WAYS)}
    for kind, (value, allowed) in named.items():
        if value not in allowed:
            raise RequestError(unknown_name(kind, value, allowed))
    if map == "umap":
        require_installed("umap", "map", "map='umap'", "; or give map='pca'")
    for name, number, wanted in (("groups", groups, "k-means"), ("least_size", least_size, "density")):
        if number is None:
            continue
        whole_number(name, number)
        if method != wanted:
            raise RequestError(f"{name}={number} is for method={wanted!r}: give both, or leave it out")
        if number < 2:
            raise RequestError(f"{name}={number}: give 2 or more")
    if naming == "head" and isinstance(model, str) and model.startswith("sentence-transformers:"):
        raise RequestError(f"naming='head': {model} has no output head; give a decoder or naming='terms'")
    store = _store_of(inputs, output)
    if method == "density":
        _require_density(store.vector_format.dim if store else model_width(str(model or "mini")))
    if store is not None:
        _refuse_ignored(store, inputs, text_column, how if model is None else {})
        _check_store(store, model, label_column, naming, group_column)
        rows = len(store)
    else:
        embed.check_request(model or "mini", "float32", "parquet", False, False)
        corpus = Corpus.find(inputs, text_column)
        for file, column in zip(corpus.files, corpus.columns, strict=True):
            require_new_columns(next(read_tables(file, column))[0].column_names, group_column, file)
            if label_column:
                require_columns(file, [label_column])
        rows = corpus.count()  # lines, of which a row may have several
        if groups is not None and 0 < rows < groups:
            rows = sum(chunk.read for chunk in corpus.chunks())
    if groups is not None and 0 < rows < groups:
        raise RequestError(f"groups={groups}: there are {rows:,} texts; give 2 … {rows:,}")
    source = corpus if store is None else store
    width = store.vector_format.dim if store else _width(model)
    if method == "density" and width and needs_umap(width):
        require_installed("umap", "map", "method='density'")
    _require_content(source, label_column, groups)
    return source


def _width(model: str | Path | TextEncoder | None) -> int | None:
    """Dimensions of the vectors of a model that is not loaded; None where they are not known."""
    return model_width(model or "mini") if isinstance(model, str | Path | None) else None


def _require_content(source: Input, label_column: str | None, groups: int | None) -> None:
    """Refuse texts or labels of which there are too few different ones."""
    if isinstance(source, Corpus):
        source.require_texts()
    rows, name = source.labelled(label_column), _title(source)
    content = read_until(rows, str, texts=groups or 2, labels=2 if label_column else 0)
    if content.texts < 2:
        raise RequestError(f"{name}: all texts are equal, so there is nothing to group")
    if groups and content.texts < groups:
        raise RequestError(
            f"groups={groups}: {name} has {content.texts:,} different texts; give 2 … {content.texts:,}"
        )
    if label_column and content.labels < 2:
        raise TableError(
            f"{name}: column {label_column!r} has {content.labels} different labels: give a column with two or more"
        )


def _store_of(inputs: Source | Sequence[Source], output: Path) -> Store | None:
    """The store that the inputs are; None if they are files."""
    several = [inputs] if not isinstance(inputs, Sequence) or isinstance(inputs, str) else list(inputs)
    folders = [folder for each in several if (folder := store_in(str(each)))]
    if not folders:
        return None
    if len(several) > 1:
        raise RequestError(f"{folders[0]} is a store, which is clustered alone: give it without other inputs")
    folder, target = folders[0].resolve(), output.resolve()
    if folder.is_relative_to(target):
        raise RequestError(f"{folders[0]} is inside the output {output}: choose another output")
    if target.is_relative_to(folder):
        raise RequestError(
            f"{output} is inside {folders[0]}, which is a store of vectors: choose another output"
        )
    return Store.open(folders[0])


def _require_density(dim: int | None) -> None:
    """Refuse to measure density of vectors of this width, as far as it is known, without the library for it."""
    if dim is not None and needs_umap(dim):
        require_installed("umap", "map", "method='density'")


def _refuse_ignored(
    store: Store, inputs: Source | Sequence[Source], text_column: str, how: Mapping[str, Any]
) -> None:
    """Refuse settings of reading and embedding texts, which a store has behind it."""
    file = inputs[0] if isinstance(inputs, Sequence) and not isinstance(inputs, str) else inputs
    read = {name: getattr(file, name, None) for name in ("encoding", "delimiter")}
    ignored = [f"{name}={value!r}" for name, value in {**read, **how}.items() if value is not None]
    if text_column not in ("text", store.text_column):
        ignored.append(f"text_column={text_column!r}")
    if ignored:
        raise RequestError(
            f"{ignored[0]} has no effect: {store.folder} has its texts and vectors; leave it out"
        )


def _check_store(
    store: Store,
    model: str | Path | TextEncoder | None,
    label_column: str | None,
    naming: str,
    group_column: str,
) -> None:
    if not len(store):
        raise TableError(f"{store.folder} has no vectors: there is nothing to group")
    if label_column and label_column not in store.columns:
        raise TableError(
            f"{store.folder} has no column {label_column!r}; its columns are: {listed(store.columns)}"
        )
    require_new_columns(store.columns, group_column, store.folder)
    if naming in ("joined", "head") and model is None:
        raise RequestError(
            f"naming={naming!r} needs the model that made {store.folder}: give model={store.model!r}"
        )


def _embedded(
    corpus: Corpus,
    folder: Path,
    model: str | Path | TextEncoder,
    **how: Any,
) -> Store:
    """The store of a corpus, which records how its model is loaded; vectors of an interrupted run are reused."""
    taken = {name for file, column in zip(corpus.files, corpus.columns, strict=True)
             for name in next(read_tables(file, column))[0].column_names}  # fmt: skip
    column = "vector"
    while column in taken:
        column += "_"
    embed.embed_corpus(
        list(corpus.files), folder / VECTORS, model, text_column=corpus.text_column, vector_column=column,
        update=True, resume=True, **how,
    )  # fmt: skip
    return Store.open(folder / VECTORS)


def _encoder(
    source: Input,
    store: Store,
    model: str | Path | TextEncoder | None,
    naming: str,
    batch_tokens: int | None,
    settings: dict[str, str | None],
) -> TextEncoder | None:
    """The model of the store where its head is needed, or where it is given for a store; else None.

    Raises:
        ModelError: the store has vectors of another model.
    """
    if naming == "terms" and not (isinstance(source, Store) and model is not None):
        return None
    encoder = with_batches(load_encoder(model or "mini", **settings), batch_tokens)
    store.require_model(encoder)
    return encoder


def _find(
    store: Store, method: str, groups: int | None, least_size: int | None, seed: int
) -> tuple[Points, Found]:
    """The texts that groups are found on, and the group of every text.

    Raises:
        MissingExtraError: `density` needs a library for so many dimensions.
        RequestError: fewer different texts than groups.
    """
    points = Points.of(store, FIT_TEXTS[method], seed)
    if method == "density":
        _require_density(points.sample.shape[1])
    return points, find_groups(points, method, groups, least_size, seed)


def _read_labels(store: Store, column: str | None) -> list[str | None] | None:
    """The label of each row, None where there is none."""
    if column is None:
        return None
    return [usable_label(cell) for cell in cells(store, column, np.arange(len(store)))]


def _write(folder: Path, store: Store, found: Found, result: ClusterResult, column: str) -> None:
    names = {group.group: group.name for group in result.groups}
    write_table(folder / TABLE, store, column, found.groups, names, found.confidence)
    write_json(folder / CLUSTERS, result.to_dict())


def _title(source: Input) -> str:
    paths = [source.folder] if isinstance(source, Store) else [Path(str(file)) for file in source.files]
    return f"{paths[0].name}{' …' if len(paths) > 1 else ''}"


def _write_map(
    path: Path,
    title: str,
    points: Points,
    found: Found,
    result: ClusterResult,
    way: str,
    most: int,
    seed: int,
) -> None:
    here, rows = way_here(way), sample_rows(len(points.store), most, seed)
    if way == "auto" and here == "pca":
        info(
            "map: by PCA, since umap is not installed; pip install 'lastword[map]' for UMAP, which shows more"
        )
    with progress("map", 1) as advance:
        flat = plane(points.of_rows(rows), here, seed)
        advance(1)
    store = points.store
    others = colourable(store.shard(0, store.columns).schema, [store.text_column])
    data = map_data(
        title, here, flat, [str(text) for text in points.cells(store.text_column, rows)], found.groups[rows],
        result.groups, result.families, {name: points.cells(name, rows) for name in others}, len(store),
    )  # fmt: skip
    write_page(path, map_page(data))


def _report(result: ClusterResult, found: Found, labels: Agreement | None) -> None:
    outside = int((found.groups == UNCLUSTERED).sum())
    info(f"{result.output}: texts: {result.rows:,}; groups: {found.count}; unclustered: {outside:,}")
    if not found.count:
        warn("no region is dense enough for a group: give a smaller least_size=…, or method='k-means'")
    unstable = [number for number, value in enumerate(found.stability) if value < DISSOLVED]
    if unstable:
        warn(
            f"{len(unstable)} of {found.count} groups were dissolved when other texts were drawn (stability below "
            f"{DISSOLVED}): {', '.join(map(str, unstable[:12]))}{', …' if len(unstable) > 12 else ''}; fewer groups "
            "are more stable"
        )
    if labels and labels.unlabelled:
        warn(
            f"{labels.unlabelled:,} texts have no label in {labels.column!r}: they are left out of the comparison"
        )
