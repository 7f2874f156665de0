"""Chunks → shards on many machines, by Ray Data: one reader, any number of workers, the order of the rows."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lastword.console import info
from lastword.corpus.encode import ChunkEncoder, Shard
from lastword.corpus.reuse import Earlier
from lastword.corpus.texts import Corpus
from lastword.corpus.vectors import VectorFormat
from lastword.corpus.windows import PerWindow
from lastword.encoder import TextEncoder
from lastword.errors import LastwordError, ModelError, WorkError, first_line
from lastword.extras import needed

_CHUNK, _SHARD = "chunk", "shard"  # columns of one pickled value a row
_LEAST_CPUS = 4  # with fewer the reader and two workers wait for each other
_WORKERS = 2


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to be a `ChunkEncoder`.

    Attributes:
        load: loads the model.
        identity: of the model here, which that of the worker must have.
        vectors: how vectors are stored.
        column: name of their column.
        earlier: texts that have a vector, in files that the worker can read.
        per_window: as for `ChunkEncoder`.
    """

    load: Callable[[], TextEncoder]
    identity: str
    vectors: VectorFormat
    column: str
    earlier: Earlier | None
    per_window: PerWindow | None = None

    def build(self) -> ChunkEncoder:
        """Load the model.

        Raises:
            ModelError: it is another one than here, or has another precision.
        """
        encoder = self.load()
        if encoder.identity != self.identity:
            raise ModelError(
                f"a worker's model has identity {encoder.identity[:12]}, here it has {self.identity[:12]}: give "
                "dtype=… and the same files on all machines"
            )
        return ChunkEncoder(
            encoder, self.vectors, self.column, earlier=self.earlier, per_window=self.per_window
        )


class _Worker:
    """One process with the model."""

    def __init__(self, setup: WorkerSetup) -> None:
        self.encode = setup.build()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        shards = [pickle.dumps(self.encode(pickle.loads(chunk))) for chunk in batch[_CHUNK]]
        return {_SHARD: shards}


def ray_shards(
    corpus: Corpus, setup: WorkerSetup, done: frozenset[int], workers: int | None, address: str | None
) -> Iterator[Shard]:
    """Encode the chunks that are not done, and yield the shards in order.

    A worker that dies is replaced, and its chunk encoded again.

    Args:
        corpus: read by one process on this machine.
        setup: of each worker.
        done: numbers of chunks that are left out.
        workers: processes with the model; None is the GPUs of the cluster, or two.
        address: of a cluster, such as "auto"; None starts workers on this machine.

    Raises:
        LastwordError: what a worker or the reader raised.
        WorkError: a worker failed again and again.
    """
    ray = needed("ray.data", "ray", "engine='ray'") and needed("ray", "ray", "engine='ray'")
    _connect(ray, workers, address)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    workers = workers or gpus or _WORKERS
    info(f"embedding on Ray with {workers} workers, {'one GPU each' if gpus else 'on CPUs'}")
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.target_max_block_size = context.target_min_block_size = (
        1  # each chunk is a block, for a worker of its own
    )
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    chunks = ray.data.read_datasource(
        _source(ray, corpus, done), override_num_blocks=1, ray_remote_args={"scheduling_strategy": here}
    )
    shards = chunks.map_batches(
        _Worker, fn_constructor_args=(setup,), batch_size=1, num_cpus=1, num_gpus=1 if gpus else 0,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )  # fmt: skip
    try:
        for row in shards.iter_rows():
            yield pickle.loads(row[_SHARD])
    except Exception as error:
        raise _own_error(error) from error


def _connect(ray: Any, workers: int | None, address: str | None) -> None:
    if ray.is_initialized():
        return
    if address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else a token is written to the home folder
        cpus = max(_LEAST_CPUS, (workers or _WORKERS) + 2)
        ray.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False, configure_logging=False)
        return
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise WorkError(f"no Ray cluster at {address}: {first_line(error)}") from error


def _source(ray: Any, corpus: Corpus, done: frozenset[int]) -> Any:
    """A source of Ray Data with one reader, since where a chunk begins depends on all rows before it."""

    def read() -> Iterator[pa.Table]:
        for rows in corpus.chunks():
            if rows.number not in done:
                yield pa.table({_CHUNK: pa.array([pickle.dumps(rows)], pa.large_binary())})

    class Source(ray.data.Datasource):  # type: ignore[misc]
        def get_name(self) -> str:
            return "corpus"

        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(self, parallelism: int, *args: Any, **settings: Any) -> list[Any]:
            unknown = ray.data.block.BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [ray.data.ReadTask(read, unknown)]

    return Source()


def _own_error(error: BaseException) -> BaseException:
    """What lastword raised in another process, from inside what Ray makes of it."""
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "cause", None) or inner.__cause__
        if isinstance(inner, LastwordError) and type(inner).__module__ == LastwordError.__module__:
            return inner
        inner = cause
    return WorkError(
        f"the work on Ray failed ({first_line(error)}); finished shards are kept: resume=True continues"
    )
