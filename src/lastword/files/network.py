"""Whether an address answers: the libraries that read from it would try for up to a minute."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from functools import cache

from lastword.errors import TableError

CONNECT_S = 3.0


def reachable(address: str, wait_s: float = CONNECT_S) -> bool:
    """Whether a server, or the proxy before it, answers a request within so many seconds, with any status."""
    answered = threading.Event()

    def request_head() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            # A new opener: the shared one keeps the proxies of its first use.
            urllib.request.build_opener().open(request, timeout=wait_s).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError as error:
            # The libraries may accept a certificate that Python does not.
            if not isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                return
        except (ValueError, http.client.HTTPException):
            return
        answered.set()

    # In a thread, since a DNS lookup has no timeout.
    thread = threading.Thread(target=request_head, daemon=True)
    thread.start()
    thread.join(wait_s)
    return answered.is_set()


def require_reachable(source: object, server: str) -> None:
    """Refuse to read from a server that does not answer; one that did is not asked again.

    Args:
        source: what is read, for the message.
        server: its address.

    Raises:
        TableError: see the message.
    """
    if not _answered(server):
        _answered.cache_clear()
        raise TableError(
            f"{source} cannot be read: no connection to {server}; check the network, or give a copy on this disk"
        )


@cache
def _answered(server: str) -> bool:
    return reachable(server)
