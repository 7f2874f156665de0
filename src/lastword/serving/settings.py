"""Settings of the server, and what can be refused before anything is loaded: names, keys, the port.

This file imports nothing heavy.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import re
import socket
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastword.arguments import require_list, whole_number
from lastword.errors import MissingFileError, RequestError

_NAME = r"[A-Za-z0-9][\w.:/-]*"
_NAMED = re.compile(rf"({_NAME})=(.+)")
_LEAST_KEY = 16  # characters


@dataclass(frozen=True)
class ServerSettings:
    """Limits of the server.

    Attributes:
        batch_tokens: tokens in one pass of the model; None is the default of the device.
        max_wait_ms: longest time that an idle model waits for more texts to put into a batch.
        queue_tokens: tokens that may wait; further requests are answered with status 429.
        timeout_s: a request that takes longer, or is sent more slowly, is given up.
        max_inputs: texts in one request.
        max_body: bytes of the body of one request.
    """

    batch_tokens: int | None = None
    max_wait_ms: float = 5.0
    queue_tokens: int = 262_144
    timeout_s: float = 60.0
    max_inputs: int = 2048
    max_body: int = 8 * 2**20

    def __post_init__(self) -> None:
        """Refuse limits that nothing could keep.

        Raises:
            RequestError: a limit that is not above 0, or a number of things that is not whole.
        """
        for name in ("batch_tokens", "queue_tokens", "max_inputs", "max_body"):
            if not (name == "batch_tokens" and self.batch_tokens is None):
                whole_number(name, getattr(self, name), least=1)
        for name, least in (("max_wait_ms", 0), ("timeout_s", 1e-3)):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and value >= least):
                raise RequestError(f"{name}={value!r}: give a number above 0")


def served_models(models: Sequence[str]) -> dict[str, str]:
    """The names that models are served by.

    Args:
        models: names or folders of models; NAME=MODEL gives a model another name.

    Returns:
        name → model. The name of a folder is its last part.

    Raises:
        RequestError: no model, a name that is no name, or two models of one name.
    """
    require_list("models", models or [], strings=True)
    if not models:
        raise RequestError("no model to serve: give the name or folder of at least one")
    served: dict[str, str] = {}
    for model in models:
        named = None if Path(model).exists() else _NAMED.fullmatch(model)
        name, source = (named[1], named[2]) if named else (_name_of(model), model)
        if not re.fullmatch(_NAME, name):
            raise RequestError(f"{model!r} makes no name for a model: give it one, such as tickets={model}")
        if name in served:
            raise RequestError(
                f"two models are named {name!r}, {served[name]} and {source}: give one another name, such as "
                f"{name}-2={source}"
            )
        if source == "tfidf":
            raise RequestError(
                "tfidf has no vectors of its own for single texts: serve a decoder, or a static model"
            )
        served[name] = source
    return served


def _name_of(model: str) -> str:
    path = model.removeprefix("sentence-transformers:")
    return Path(path).resolve().name if Path(path).exists() else path


class Keys:
    """The API keys of a file; only their hashes are kept.

    Args:
        file: one key on each line.

    Raises:
        MissingFileError: there is no such file.
        RequestError: others may read the file, or it has no key, or a short one.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise MissingFileError(
                f"no file {file}: write an API key of {_LEAST_KEY} characters or more to it"
            )
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            raise RequestError(f"others can use {file} (mode {mode:o}): chmod 600 {file}")
        try:
            keys = file.read_text(encoding="ascii").split()
        except UnicodeDecodeError as error:
            raise RequestError(f"{file} has characters that no header can have: use ASCII") from error
        if not keys or min(map(len, keys)) < _LEAST_KEY:
            problem = "a short key" if keys else "no key"
            raise RequestError(
                f"{file} has {problem}: write one of {_LEAST_KEY} characters or more on each line"
            )
        self._hashes = [_digest(key) for key in keys]

    def allow(self, authorization: str) -> bool:
        """Whether the header of a request has one of the keys; takes as long for every key of the same length."""
        scheme, _, key = authorization.partition(" ")
        given = _digest(key.strip())
        matches = [hmac.compare_digest(given, known) for known in self._hashes]
        return scheme.lower() == "bearer" and any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def bound_socket(host: str, port: int, timeout_s: float) -> socket.socket:
    """A socket that holds the port, but does not listen yet: clients are refused until the models are loaded.

    Args:
        host: address, or "localhost".
        port: of TCP; 0 is any that is free.
        timeout_s: the system gives up a client that reads nothing for so long, where it can.

    Raises:
        RequestError: the port is in use or may not be used, or the host is no address of this machine.
    """
    address = _address(host)
    bound = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * timeout_s))
        bound.bind((str(address), port))
    except OSError as error:
        bound.close()
        raise _no_port(host, port, error) from error
    return bound


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return _address(host).is_loopback


def listen(bound: socket.socket) -> None:
    """Begin to accept connections.

    Raises:
        RequestError: another process took the port meanwhile.
    """
    try:
        bound.listen(2048)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _no_port(host, port, error) from error


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise RequestError(f"host={host!r} is no address: use 127.0.0.1, or 0.0.0.0 for all") from error


def _no_port(host: str, port: int, error: OSError) -> RequestError:
    if error.errno == errno.EADDRNOTAVAIL:
        return RequestError(f"host={host!r} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all")
    reason = "in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return RequestError(
        f"port={port} of {host} cannot be used: {reason}; stop what uses it, or give another port"
    )
