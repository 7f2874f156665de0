"""The verb: texts of files of any size → vectors in a store; in constant memory, resumable, incremental."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lastword.arguments import as_path, require_name, whole_number
from lastword.bundled import LEXICAL, check_truncation
from lastword.console import info, one_warning_of_some, progress, warn
from lastword.corpus.encode import ROLE, WINDOW, ChunkEncoder, Encoded, Shard, calibrate, local_shards
from lastword.corpus.finish import REJECTED_ENDING, finished
from lastword.corpus.layouts import LAYOUTS
from lastword.corpus.on_ray import WorkerSetup, ray_shards
from lastword.corpus.pieces import UNFINISHED
from lastword.corpus.reuse import Earlier, parts_as_store
from lastword.corpus.store import FORMAT, REJECTED, Store
from lastword.corpus.texts import CHUNK_ROWS, Corpus
from lastword.corpus.vectors import VECTOR_DTYPES, VectorFormat
from lastword.corpus.windows import PerWindow
from lastword.embedding.windows import LongTexts
from lastword.encoder import TextEncoder
from lastword.encoders.by_name import load_encoder, precision, settings_of, with_batches
from lastword.encoders.stored import MANIFEST
from lastword.errors import ExistingOutputError, ModelError, RequestError, unknown_name
from lastword.extras import needed
from lastword.files.chunk_run import PARTS, Part, part_path, read_part, write_part
from lastword.files.plain_json import json_text
from lastword.files.run_folder import INPUTS, RunFolder, fingerprint, hash_of, write_json
from lastword.files.sources import Source

ENGINES = ("local", "ray")
_CLIPPED = 0.01  # share of numbers beyond the range of int8 that is worth a warning
_FORMAT = "vectors.json"  # in the run folder: how vectors are stored
_READING = "reading"  # among the inputs of a run: how they are read
_INTERRUPTED = "interrupted"  # in the run folder: parts made of other inputs, whose vectors are reused


@dataclass(frozen=True)
class EmbedResult:
    """A store and how it came about.

    Attributes:
        output: the folder.
        rows: rows of the store.
        rejected: reason → rows without a vector; they are listed in `_rejected.jsonl`.
        embedded: texts that went through the model; equal texts of a shard go once.
        reused: rows whose vector was there before.
        dim: dimensions of a vector.
        vector_dtype: how it is stored.
        seconds: time of this call, without that of an interrupted run before it.
    """

    output: Path
    rows: int
    rejected: dict[str, int]
    embedded: int
    reused: int
    dim: int
    vector_dtype: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON values."""
        return vars(self) | {"output": str(self.output), "seconds": round(self.seconds, 2)}


def embed_corpus(
    inputs: Source | Sequence[Source],
    output: str | Path,
    model: str | Path | TextEncoder = "mini",
    *,
    text_column: str = "text",
    vector_column: str = "vector",
    vector_dtype: str = "float32",
    truncate_dim: int | None = None,
    layout: str = "parquet",
    template: str | None = None,
    pooling: str | None = None,
    long_texts: str | None = None,
    per_window: bool = False,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    engine: str = "local",
    workers: int | None = None,
    ray_address: str | None = None,
    update: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> EmbedResult:
    """Embed the texts of files of any size, and write vectors and rows to a folder.

    The files are read in chunks, and each chunk's vectors are stored in `OUTPUT.partial` when they are done. So
    memory does not grow with the files, and an interrupted run resumes and ends with the same output.

    Args:
        inputs: a file or several, as `lastword.files.formats` reads them; patterns such as `data/*.parquet`; addresses
            such as `s3://bucket/file.parquet` (`pip install 'lastword[remote]'`) and `hf://datasets/OWNER/NAME`.
        output: folder to write: Parquet shards with all columns and the vectors, `_manifest.json`, and
            `_rejected.jsonl` if rows have no usable text.
        model: name or folder of a decoder, "sentence-transformers:NAME", or an object with `encode` and `identity`.
        text_column: column of the texts.
        vector_column: column of the vectors, which the files must not have.
        vector_dtype: "float32", "float16", "int8" (a range for each dimension is in the manifest) or "binary" (signs).
        truncate_dim: keep only the first dimensions, and scale to length 1 again.
        layout: format of the shards: "parquet", "arrow", "npy" (vectors.npy, and the columns in rows.parquet) or
            "lance" (a LanceDB table; `pip install 'lastword[lance]'`).
        template: of a base model; None takes the folder's own, or none.
        pooling: of a base model; None takes the folder's own, or mean.
        long_texts: None truncates texts that are longer than the model reads; "windows" embeds them in overlapping
            windows, "late" in windows that have seen the text before them. "windows:256:32" says how many tokens a
            window and its overlap have; see `LongTexts`. The vector of a text is the mean of its windows.
        per_window: write a row and a vector for each window instead, with the columns `text_row`, `text_start` and
            `text_end`, and the window as the text.
        batch_tokens: padded tokens in one pass of a decoder; bounds the memory.
        dtype: precision of the model, "float32" or "bfloat16"; None is the best that the device supports.
        device: None is the best available.
        engine: "local", or "ray" for processes on this machine or a cluster (`pip install 'lastword[ray]'`); the rows
            and their order are the same.
        workers: of Ray, processes with the model; None is one for each GPU, or two.
        ray_address: of a Ray cluster whose machines have lastword, the model and, for `update`, the output; None starts
            the workers on this machine.
        update: take the vectors of texts that `output` has already from there, and embed only the others.
        resume: continue an interrupted run of the same settings. If the files have changed since, the vectors of
            texts that they still have are reused.
        overwrite: replace `output`, and discard an interrupted run.

    Raises:
        ExistingOutputError: `output` exists, is being written, or has an interrupted run.
        RequestError: an interrupted run had other settings; an unknown value.
        MissingFileError, TableError, ModelError: see the message.
        WorkError: a file was changed while it was read.
    """
    started, output = time.monotonic(), as_path("output", output)
    check_request(
        model, vector_dtype, layout, update, overwrite, truncate_dim, pooling, long_texts, per_window, vector_column,
        batch_tokens,
    )  # fmt: skip
    check_machines(engine, workers, ray_address)
    run = RunFolder(output, "run", resume, overwrite, evidence=f"**/{PARTS}", update=update)
    run.check(inputs, model)
    corpus = Corpus.find(inputs, text_column, vector_column)
    stored = {
        "text_column": corpus.text_column, "vector_column": vector_column, "vector_dtype": vector_dtype,
        "truncate_dim": truncate_dim, "layout": layout, "windows": None,
    }  # fmt: skip
    kind, cut = LongTexts.parse(long_texts or "truncate"), None
    if per_window:
        cut, stored["windows"] = PerWindow(kind, corpus.text_column, len(corpus.files) > 1), kind.spec
    as_texts = kind.kind == "truncate" or (per_window and kind.kind == "windows")
    settings = {"template": template, "pooling": pooling, "long_texts": None if as_texts else kind.spec}
    load = partial(_load, model, batch_tokens, **settings, dtype=dtype, device=device)
    with run.lock(), one_warning_of_some():
        before = _updated_store(output) if update else None
        corpus.require_readable()
        corpus.require_texts()
        inputs_now = corpus.fingerprints()
        encoder = load()
        if before:
            _require_same(before, encoder, stored)
        try:
            vectors, first = _begin(run, corpus, inputs_now, encoder, before, stored, cut)
            model_facts = {
                "name": _name(encoder), "identity": encoder.identity, "role": ROLE,
                "loading": _loading(model, encoder, **settings),
            }  # fmt: skip
            manifest = {
                "format": FORMAT, "model": model_facts, **stored,
                "vectors": {"column": vector_column, **vectors.to_dict()}, "inputs": inputs_now,
            }  # fmt: skip
            # A window of late chunking has no vector of its own text.
            earlier = None if cut and cut.role == "window" else _earlier(run, before, manifest)
            unfinished = run.partial / UNFINISHED
            encode = ChunkEncoder(encoder, vectors, vector_column, first, earlier, cut, unfinished)
            shards = _shards(corpus, encode, _done(run), engine, load, workers, ray_address)
            parts = _run(corpus.count(), shards, run.partial)
        finally:
            if not run.interrupted:
                run.discard()
        counts = _counts(parts)
        run.finish(finished(run.partial, parts, manifest | {"rows": counts["rows"], "counts": counts}))
    _report(output, counts, vectors.dim)
    return EmbedResult(
        output, counts["rows"], counts["rejected"], counts["embedded"], counts["reused"], vectors.dim, vector_dtype,
        time.monotonic() - started,
    )  # fmt: skip


def _load(model: str | Path | TextEncoder, batch_tokens: int | None, **settings: str | None) -> TextEncoder:
    return with_batches(load_encoder(model, **settings), batch_tokens)


def _loading(
    model: str | Path | TextEncoder, encoder: TextEncoder, **settings: str | None
) -> dict[str, str | None] | None:
    """What loads the same model again on any machine; None for one that was passed as an object."""
    if not isinstance(model, str | Path):
        return None
    return {"model": str(model), **settings, "dtype": precision(encoder)}


def _name(encoder: TextEncoder) -> str:
    return getattr(encoder, "name", None) or encoder.identity


def check_request(
    model: str | Path | TextEncoder,
    vector_dtype: str,
    layout: str,
    update: bool,
    overwrite: bool,
    truncate_dim: int | None = None,
    pooling: str | None = None,
    long_texts: str | None = None,
    per_window: bool = False,
    vector_column: str = "vector",
    batch_tokens: int | None = None,
) -> None:
    """Refuse what cannot work, before anything is loaded.

    Raises:
        RequestError: see the message.
    """
    require_name("vector_column", vector_column)
    if batch_tokens is not None:
        whole_number("batch_tokens", batch_tokens, least=1)
    if vector_dtype not in VECTOR_DTYPES:
        raise RequestError(unknown_name("vector_dtype", vector_dtype, VECTOR_DTYPES))
    if layout not in LAYOUTS:
        raise RequestError(unknown_name("layout", layout, LAYOUTS))
    LAYOUTS[layout].require()
    if isinstance(model, str | Path):
        check_truncation(model, truncate_dim, pooling)
    if str(model).partition(":")[0] in LEXICAL:
        raise RequestError(
            f"model={str(model)!r} has a number for each token of the vocabulary, and a store is for dense vectors: "
            "use `SparseEncoder.encode_sparse` or `.weights` in Python, or embed with the decoder alone"
        )
    if str(model) == "tfidf":
        raise RequestError(
            "model='tfidf' reads all texts before it embeds one: give a decoder or sentence-transformers:NAME"
        )
    kind = LongTexts.parse(long_texts or "truncate").kind
    if per_window and kind == "truncate":
        raise RequestError("per_window=True needs windows: give long_texts='windows' or 'late' too")
    if kind != "truncate" and isinstance(model, str | Path) and "long_texts" not in settings_of(model):
        raise RequestError(f"long_texts={kind!r} needs a decoder, whose tokens are counted, not {model}")
    if update and per_window and kind == "late":
        raise RequestError(
            "update=True reuses vectors of equal texts, and a window of long_texts='late' depends on the text before "
            "it: use long_texts='windows', or embed all texts again"
        )
    if update and overwrite:
        raise RequestError("update=True keeps vectors that overwrite=True would discard: give one of them")


def check_machines(engine: str, workers: int | None, ray_address: str | None) -> None:
    """Refuse an unknown engine, one that is not installed, and settings of another engine.

    Raises:
        RequestError, MissingExtraError: see the message.
    """
    if engine not in ENGINES:
        raise RequestError(unknown_name("engine", engine, ENGINES))
    if engine == "ray":
        needed("ray", "ray", "engine='ray'")
        return
    for name, value in {"workers": workers, "ray_address": ray_address}.items():
        if value is not None:
            raise RequestError(f"{name}={value!r} is for engine='ray': give both, or leave it out")


def _updated_store(output: Path) -> Store | None:
    """The store that an update begins with; None without one."""
    if not output.exists():
        return None
    if not (output / MANIFEST).is_file():
        raise ExistingOutputError(f"{output} exists and is no store: choose another path for update=True")
    return Store.open(output)


def _require_same(store: Store, encoder: TextEncoder, stored: dict[str, Any]) -> None:
    """Refuse to mix vectors of two models, or of two formats, in one store."""
    store.require_model(encoder)
    for key, value in stored.items():
        if (before := store.manifest.get(key)) != value:
            raise ModelError(
                f"{store.folder} was made {_said(key, before)}, not {_said(key, value)}: pass the same for an update, "
                "or choose another path"
            )


def _said(key: str, value: Any) -> str:
    """What of the manifest was passed, in terms of arguments."""
    if value is None:
        return f"without {'per_window' if key == 'windows' else key}"
    return f"with long_texts={value!r} and per_window=True" if key == "windows" else f"with {key}={value!r}"


def _begin(
    run: RunFolder,
    corpus: Corpus,
    inputs: dict[str, str],
    encoder: TextEncoder,
    before: Store | None,
    stored: dict[str, Any],
    per_window: PerWindow | None,
) -> tuple[VectorFormat, Encoded | None]:
    """Make the run folder ready for these inputs and settings, and decide how vectors are stored."""
    settings = {
        "model": encoder.identity, "role": ROLE, **stored, "chunk": [corpus.chunk_rows, corpus.chunk_bytes],
        "update": fingerprint(before.folder / MANIFEST) if before else None,
    }  # fmt: skip
    _prepare(run, settings, inputs | {_READING: hash_of(corpus.reading)})
    path = run.partial / _FORMAT
    if path.exists():
        return VectorFormat.from_dict(json.loads(path.read_text(encoding="utf-8"))), None
    if before:
        vectors, first = before.vector_format, None
    else:
        dtype, dim = stored["vector_dtype"], stored["truncate_dim"]
        vectors, first = calibrate(corpus, encoder, dtype, dim, per_window, run.partial / UNFINISHED)
    write_json(path, vectors.to_dict())  # decided once for a run and all its updates
    return vectors, first


def _done(run: RunFolder) -> frozenset[int]:
    """Numbers of the shards that an interrupted run has made."""
    return frozenset(int(path.stem.removeprefix("part-")) for path in run.partial.glob(PARTS))


def _shards(
    corpus: Corpus,
    encode: ChunkEncoder,
    done: frozenset[int],
    engine: str,
    load: Callable[[], TextEncoder],
    workers: int | None,
    ray_address: str | None,
) -> Iterator[Shard]:
    """The shards that are not done, in their order, made in this process or by workers of Ray."""
    if engine == "local":
        return local_shards(corpus, encode, done)
    setup = WorkerSetup(
        load, encode.encoder.identity, encode.vectors, encode.column, encode.earlier, encode.per_window
    )
    return ray_shards(corpus, setup, done, workers, ray_address)


def _prepare(run: RunFolder, settings: dict[str, Any], inputs: dict[str, str]) -> None:
    """Make the run folder ready; parts of inputs that have changed since are put aside."""
    run.prepare(settings)
    if not (run.resume and run.interrupted):
        write_json(run.partial / INPUTS, inputs)
        return
    before = json.loads((run.partial / INPUTS).read_text(encoding="utf-8"))
    if before == inputs:
        return
    if not before.keys() & inputs.keys() - {_READING}:
        others = " …" if len(before) > 2 else ""
        raise RequestError(
            f"resume=True: the interrupted run of {run.output} embeds {next(iter(before))}{others}: give its inputs, "
            "or pass overwrite=True to start over"
        )
    aside = run.partial / _INTERRUPTED
    aside.mkdir(exist_ok=True)
    info("the files have changed since the interrupted run: vectors of texts that they still have are reused")
    for part in sorted(run.partial.glob(PARTS)):
        part.rename(part_path(aside, len(list(aside.iterdir()))))
    write_json(run.partial / INPUTS, inputs)


def _earlier(run: RunFolder, before: Store | None, like: dict[str, Any]) -> Earlier | None:
    """The vectors that are there already: of the store that is updated, and of a run with other inputs."""
    aside = run.partial / _INTERRUPTED
    parts = [(path.name, read_part(path).results) for path in sorted(aside.glob(PARTS))]
    stores = ([before] if before else []) + ([parts_as_store(aside, parts, like)] if parts else [])
    return Earlier(run.partial / f"index-{len(parts)}", stores) if stores else None


def _run(total: int, shards: Iterator[Shard], folder: Path) -> list[Part]:
    """Store every shard when it is made; returns all parts in order, those of the interrupted run included."""
    before = [read_part(path) for path in folder.glob(PARTS)]
    if before:
        info(f"resuming after {len(before):,} shards")
    with progress("embedding", total, CHUNK_ROWS, done=sum(part.rows for part in before)) as advance:
        for shard in shards:
            _write(part_path(folder, shard.number), shard)
            shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
            advance(shard.read)
    return [read_part(path) for path in sorted(folder.glob(PARTS))]


def _write(path: Path, shard: Shard) -> None:
    """Write a part; its rejected rows come first, since the part shows that both are there."""
    if shard.rejected:
        lines = [json_text(vars(rejected)) for rejected in shard.rejected]
        text = "".join(f"{line}\n" for line in lines)
        path.with_suffix(REJECTED_ENDING).write_text(text, encoding="utf-8")
    write_part(path, shard.table, shard.facts, shard.read, len(shard.rejected))


def _counts(parts: Sequence[Part]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for part in parts:
        rejected.update(part.facts["rejected"])
    sums = {key: sum(part.facts[key] for part in parts) for key in ("embedded", "reused", "clipped")}
    rows = sum(part.results for part in parts)
    return {
        "read": sum(part.rows for part in parts),
        "rows": rows,
        "rejected": dict(rejected.most_common()),
        **sums,
    }


def _report(output: Path, counts: dict[str, Any], dim: int) -> None:
    repeated = counts["rows"] - counts["embedded"] - counts["reused"]
    info(
        f"{output}: rows: {counts['rows']:,}; texts embedded: {counts['embedded']:,}; rows reused: {counts['reused']:,}"
        + (f"; rows that repeat a text: {repeated:,}" if repeated > 0 else "")
    )
    for reason, count in counts["rejected"].items():
        info(f"  rows without a vector ({reason}): {count:,}; see {output / REJECTED}")
    if counts["clipped"] > _CLIPPED * counts["rows"] * dim:
        warn(
            f"{counts['clipped'] / (counts['rows'] * dim):.1%} of the numbers are beyond the range of the first "
            f"{WINDOW:,} texts and clipped: mix the texts, or use vector_dtype='float16'"
        )
