"""Texts from the Hub, and a quick answer where there is no network.

The libraries retry for minutes without a network. So one request is tried first, for seconds; without an answer
only their cache is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lastword.errors import first_line
from lastword.files import network
from lastword.files.network import CONNECT_S


class MissingDataError(Exception):
    """The texts of a task are not available; the reason in one line."""


class Hub:
    """The Hub; whether it is reachable is tried at most once."""

    def __init__(self) -> None:
        self._reachable: bool | None = None

    def load(self, task: Any) -> None:
        """Give a task its texts.

        Raises:
            MissingDataError: no network and nothing in the cache, a failed download, or texts that the task
                does not expect.
        """
        if self._reachable is None:
            self._reachable = reachable()
        if not self._reachable:
            with _offline(), missing_data("no network, and not in the cache of datasets"):
                task.load_data()
            return
        try:
            with missing_data("download from the Hub failed"):
                task.load_data()
        except MissingDataError:
            self._reachable = None  # the network may be down: the next task tries again
            raise


def where_from(task: Any) -> str:
    """The data set on the Hub: path@revision."""
    dataset = task.metadata.dataset
    return f"{dataset['path']}@{dataset['revision']}"


def reachable(wait_s: float = CONNECT_S) -> bool:
    """Whether the Hub answers a request within so many seconds."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and network.reachable(constants.ENDPOINT, wait_s)


@contextmanager
def _offline() -> Iterator[None]:
    """Keep datasets and huggingface_hub from trying the network."""
    import datasets
    from huggingface_hub import constants

    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before


@contextmanager
def missing_data(problem: str) -> Iterator[None]:
    """Whatever goes wrong with the texts of one task must not end a benchmark of 48: they are missing."""
    try:
        yield
    except Exception as error:
        raise MissingDataError(f"{problem} ({first_line(error)})") from error
