"""Texts from the Hub, and a quick answer where there is no network.

Left to themselves the libraries try for minutes before they believe that there is none. So one request
is tried first, for seconds; without an answer only what lies in their cache is read.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CONNECT_S = 3.0


class MissingDataError(Exception):
    """Why the texts of a task are not to be had, in one line."""


class Hub:
    """The Hub, asked at most once whether it is there."""

    def __init__(self) -> None:
        self._reachable: bool | None = None

    def load(self, task: Any) -> None:
        """Give a task its texts.

        Raises:
            MissingDataError: no network and nothing in the cache, or texts that do not come or are not what
                the task expects.
        """
        if self._reachable is None:
            self._reachable = reachable()
        if not self._reachable:
            with _offline():
                _load(task, "no network, and not in the cache of datasets")
            return
        try:
            _load(task, "the Hub did not give it")
        except MissingDataError:
            self._reachable = None  # the network may be gone: the next task asks again
            raise


def where_from(task: Any) -> str:
    """The data set on the Hub: path@revision."""
    facts = task.metadata.dataset
    return f"{facts['path']}@{facts['revision']}"


def reachable(wait_s: float = CONNECT_S) -> bool:
    """Whether the Hub, or the proxy before it, answers a request within so many seconds; any answer will do."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    answered = threading.Event()

    def ask() -> None:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        try:
            # An opener of its own: the shared one keeps the proxies of whoever used it first.
            urllib.request.build_opener().open(request, timeout=wait_s).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError as error:
            # Python may not know a certificate that huggingface_hub does.
            if not isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                return
        except (ValueError, http.client.HTTPException):
            return
        answered.set()

    # A thread, since looking up a name has no time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(wait_s)
    return answered.is_set()


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


def _load(task: Any, trouble: str) -> None:
    try:
        task.load_data()
    except Exception as error:
        # Whatever goes wrong with one data set must not end a benchmark of 48.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise MissingDataError(f"{trouble} ({reason})") from error
