"""Memory of a server at a number of requests, and how fast it answers them."""

from __future__ import annotations

from pathlib import Path

from lastword.console import duration, load_libraries
from lastword.errors import RequestError
from lastword.planning.embedding import Encoding
from lastword.planning.memory import GIB, Machine
from lastword.planning.result import Plan

_SERVER_BYTES = 60.0 * 2**20  # FastAPI, uvicorn and what they import
_REQUEST_BYTES = 100_000.0  # of a connection with its task
_TOKEN_BYTES = 60.0  # of a token that waits: its id in a list, and its characters in body and text
_NUMBER_BYTES = 60.0  # of a number of a vector that is answered: float, text, and the body
_WORD = "word "  # a token of nearly every tokenizer


def plan_serving(
    model: str | Path = "mini",
    *,
    requests: int = 100,
    tokens: int = 64,
    template: str | None = None,
    pooling: str | None = None,
    batch_tokens: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
    gpu_memory: float | None = None,
) -> Plan:
    """Forecast the memory of `serve` while so many requests wait, and the time until all are answered.

    Args:
        model, template, pooling, batch_tokens, dtype: as for `serve`; of several models, each has its own weights.
        requests: that arrive together, with one text each.
        tokens: of each text.
        device: of this machine; None is the best available.
        gpu_memory: bytes of a GPU that is planned for; its speed is not known.

    Raises:
        RequestError: it does not fit into memory; the message names what would.
        MissingFileError, ModelError: see the message.
    """
    if requests < 1 or tokens < 1:
        raise RequestError(f"requests={requests}, tokens={tokens}: give 1 or more")
    load_libraries("torch", "transformers.modeling_utils")
    machine = Machine.of(device, gpu_memory)
    encoding = Encoding.of(
        "serving", model, [_WORD * tokens] * 64, machine, data=_SERVER_BYTES, batch_tokens=batch_tokens, dtype=dtype,
        template=template, pooling=pooling,
    )  # fmt: skip
    waiting = requests * (_REQUEST_BYTES + tokens * _TOKEN_BYTES + encoding.dim * _NUMBER_BYTES)
    memory = encoding.memory(_SERVER_BYTES + waiting)
    if memory.peak > machine.available:
        fits = int(requests * (machine.available - memory.peak + waiting) / waiting)
        raise RequestError(
            f"requests={requests}: serving {model} needs {memory.peak / GIB:.1f} GiB, and "
            f"{machine.available / GIB:.1f} GiB are available; give requests={fits}"
        )
    seconds = encoding.seconds(requests)
    facts = {}
    if seconds:
        facts["speed"] = (
            f"{requests / seconds:,.0f} texts of {tokens} tokens in a second; one takes {duration(seconds / requests)}"
        )
    return encoding.plan(requests, memory, {"all requests at once": seconds}, 0.0, **facts)
