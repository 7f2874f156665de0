"""Requests → batches: one thread runs the models; rows of many requests for one model go through it together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastword.console import logger
from lastword.embedding.pipeline import BATCH_TOKENS
from lastword.errors import LastwordError, first_line
from lastword.serving.messages import RefusedError
from lastword.serving.metrics import Metrics
from lastword.serving.models import Row, Served
from lastword.serving.settings import ServerSettings

_MOST_ROWS = 4096  # of a batch, however short they are
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


@dataclass(eq=False)
class Job:
    """The rows of one request for one model, or a function to be called when no model runs.

    Attributes:
        model: what embeds the rows; None for a function.
        rows: the inputs.
        answer: set to the vectors or to an error, in the loop of the request.
        function: what to call, for a job without rows.
        since: when it began to wait, by the monotonic clock.
        taken: number of rows that went into a batch.
        computed: number of rows that have a vector.
        vectors: (n, dim) float32, filled batch by batch.
    """

    model: Served | None
    rows: Sequence[Row]
    answer: asyncio.Future[Any]
    function: Callable[[], Any] | None = None
    since: float = field(default_factory=time.monotonic)
    taken: int = 0
    computed: int = 0
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Make room for the vectors."""
        self.vectors = np.empty((len(self.rows), self.model.dim if self.model else 0), np.float32)

    @property
    def waiting_tokens(self) -> int:
        """Tokens of the rows that no batch has taken."""
        return sum(row.tokens for row in self.rows[self.taken :])


Part = tuple[Job, int, int]
"""Rows start … end of a job."""


class Batcher:
    """Takes jobs from the event loop and computes them in a thread of its own, in fair turns.

    A batch has rows of one model only. Requests take turns: one that is too large for a batch waits for its next turn
    behind the others. An idle model waits for more rows only if its last batch had several requests, and at most
    `max_wait_ms`.

    Args:
        settings: limits.
        metrics: counts batches.
        device: type of the models' device, for the default size of a batch.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics, device: str) -> None:
        self._settings, self._metrics = settings, metrics
        self.batch_tokens = settings.batch_tokens or BATCH_TOKENS[device]
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._queued, self._stopped = 0, False
        self._expected = 1  # requests in the last batch
        self._speed = 10_000.0  # tokens in a second, lately
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether jobs are computed."""
        return self._thread.is_alive()

    @property
    def queued_tokens(self) -> int:
        """Tokens that wait."""
        return self._queued

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    def stop(self) -> None:
        """Compute what was taken, refuse what comes later, and wait for the end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    async def vectors(self, model: Served, rows: Sequence[Row]) -> np.ndarray:
        """Vectors of rows, (n, dim) float32, finite, not shortened.

        Raises:
            RefusedError: 429, too many tokens wait; 500 or 503, the model failed.
        """
        result: np.ndarray = await self._submit(Job(model, rows, asyncio.get_running_loop().create_future()))
        return result

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call a function while no model runs.

        Raises:
            RefusedError: as for `vectors`.
        """
        return await self._submit(Job(None, (), asyncio.get_running_loop().create_future(), function))

    async def _submit(self, job: Job) -> Any:
        tokens = job.waiting_tokens
        with self._changed:
            if self._stopped:
                raise RefusedError(503, "the server is stopping", retry_after_s=5)
            if self._queued and self._queued + tokens > self._settings.queue_tokens:
                wait_s = min(60, 1 + round(self._queued / self._speed))
                message = f"{self._queued:,} tokens are waiting: try again in {wait_s} s"
                raise RefusedError(429, message, code="queue_full", retry_after_s=wait_s)
            self._jobs.append(job)
            self._count(tokens)
            self._changed.notify()
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._forget(job)
            raise

    def _forget(self, job: Job) -> None:
        """Take a job out of the queue; rows that are in a batch now are computed for nothing."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._count(-job.waiting_tokens)

    def _count(self, tokens: int) -> None:
        self._queued += tokens
        self._metrics.queued_tokens.set(self._queued)

    def _run(self) -> None:
        while parts := self._next():
            try:
                self._answer(parts)
            except Exception as error:  # such as no memory for the answer itself: the thread must go on
                failure = _failure(error)
                self._deliver([(job, failure) for job, _, _ in parts])

    def _answer(self, parts: Sequence[Part]) -> None:
        """Compute a batch, and answer the requests that are complete with it."""
        job = parts[0][0]
        if job.function is not None:
            self._call(job, job.function)
            return
        began = time.perf_counter()
        failures: dict[Job, RefusedError] = {}
        self._compute(parts, failures)
        self._observe(parts, time.perf_counter() - began)
        done = [job for job, _, _ in parts if job.computed == len(job.rows) and job not in failures]
        self._deliver([*((job, job.vectors) for job in done), *failures.items()])

    def _next(self) -> list[Part]:
        """Wait for jobs and take a batch of them; empty when the batcher was stopped and nothing is left."""
        with self._changed:
            while True:
                if not self._jobs:
                    if self._stopped:
                        return []
                    self._changed.wait()
                    continue
                left_s = self._jobs[0].since + self._settings.max_wait_ms / 1000 - time.monotonic()
                full = self._queued >= self.batch_tokens or len(self._jobs) >= self._expected
                if full or left_s <= 0 or self._stopped:
                    return self._take()
                self._changed.wait(left_s)

    def _take(self) -> list[Part]:
        first = self._jobs[0]
        if first.function is not None:
            return [(self._jobs.popleft(), 0, 0)]
        parts: list[Part] = []
        tokens = rows = 0
        for job in [job for job in self._jobs if job.model is first.model]:
            start = job.taken
            while job.taken < len(job.rows) and rows < _MOST_ROWS:
                row = job.rows[job.taken]
                if rows and tokens + row.tokens > self.batch_tokens:
                    break
                tokens, rows, job.taken = tokens + row.tokens, rows + 1, job.taken + 1
            if job.taken == start:
                break
            parts.append((job, start, job.taken))
            self._jobs.remove(job)
            if job.taken < len(job.rows):
                job.since = time.monotonic()
                self._jobs.append(job)
        self._count(-tokens)
        self._expected = len(parts)
        return parts

    def _compute(self, parts: Sequence[Part], failures: dict[Job, RefusedError]) -> None:
        """Compute parts of jobs; where that fails, their halves, so that only a job with the cause fails."""
        parts = [part for part in parts if part[0] not in failures and not part[0].answer.cancelled()]
        if not parts:
            return
        model = parts[0][0].model
        assert model is not None
        rows = [row for job, start, end in parts for row in job.rows[start:end]]
        try:
            vectors = model.vectors(rows, self.batch_tokens)
        except Exception as error:
            if len(rows) > 1:
                for half in _halves(parts):
                    self._compute(half, failures)
            else:
                failures[parts[0][0]] = _failure(error)
            return
        place = 0
        for job, start, end in parts:
            own = vectors[place : place + end - start]
            place += end - start
            if not np.isfinite(own).all():
                failures[job] = RefusedError(500, "the model gives no finite vector for one of these texts")
            job.vectors[start:end] = own
            job.computed += end - start

    def _observe(self, parts: Sequence[Part], seconds: float) -> None:
        tokens = sum(row.tokens for job, start, end in parts for row in job.rows[start:end])
        self._speed += 0.1 * (tokens / max(seconds, 1e-6) - self._speed)
        self._metrics.batch_texts.observe(sum(end - start for _, start, end in parts))
        self._metrics.batch_seconds.observe(seconds)

    def _call(self, job: Job, function: Callable[[], Any]) -> None:
        try:
            answer = function()
        except LastwordError as error:
            answer = error
        except Exception as error:
            answer = _failure(error)
        self._deliver([(job, answer)])

    def _deliver(self, answers: Iterable[tuple[Job, Any]]) -> None:
        """Answer the requests, in their own loops."""
        failed = []
        for job, answer in answers:
            if isinstance(answer, RefusedError):
                failed.append(job)
            job.answer.get_loop().call_soon_threadsafe(_set, job.answer, answer)
        for job in failed:
            self._forget(job)


def _set(answer: asyncio.Future[Any], value: Any) -> None:
    if answer.done():  # the client has gone
        return
    if isinstance(value, Exception):
        answer.set_exception(value)
    else:
        answer.set_result(value)


def _halves(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts in two lists; a single part is divided."""
    if len(parts) > 1:
        middle = len(parts) // 2
        return [list(parts[:middle]), list(parts[middle:])]
    ((job, start, end),) = parts
    middle = (start + end) // 2
    return [[(job, start, middle)], [(job, middle, end)]]


def _failure(error: Exception) -> RefusedError:
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in _NO_MEMORY):
        return RefusedError(
            503, "the server is short of memory: send shorter texts, or try later", retry_after_s=10
        )
    logger.error(f"a model failed: {first_line(error)}", exc_info=error)
    return RefusedError(500, "the model failed; the log of the server says why")
