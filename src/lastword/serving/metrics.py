"""What the server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class Metrics:
    """Counters of one server; several servers in one process do not share them.

    Attributes:
        registry: what `/metrics` shows.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lastword_requests", "Requests by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "lastword_request_seconds",
            "Time to answer a request",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.texts = Counter("lastword_texts", "Texts embedded", ["model"], registry=registry)
        self.tokens = Counter(
            "lastword_tokens", "Tokens embedded, template included", ["model"], registry=registry
        )
        self.truncated = Counter(
            "lastword_truncated_texts", "Texts longer than the model takes", ["model"], registry=registry
        )
        self.batch_texts = Histogram(
            "lastword_batch_texts", "Texts in a batch", registry=registry, buckets=_SIZES
        )
        self.batch_seconds = Histogram(
            "lastword_batch_seconds", "Time of a batch in the model", registry=registry, buckets=_SECONDS
        )
        self.queued_tokens = Gauge(
            "lastword_queued_tokens", "Tokens that wait for the model", registry=registry
        )
        self.open_requests = Gauge("lastword_open_requests", "Requests being answered", registry=registry)
