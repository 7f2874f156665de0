"""The verb: models → a server on a port, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lastword.console import info, warn
from lastword.embedding.template import Template
from lastword.errors import RequestError
from lastword.extras import needed, require_installed
from lastword.serving.settings import Keys, ServerSettings, bound_socket, is_loopback, listen, served_models


def check_server(
    models: Sequence[str], api_key_file: Path | None = None, template: str | None = None
) -> None:
    """Refuse what cannot be served, before anything is loaded.

    Raises:
        MissingExtraError, MissingFileError, RequestError, TemplateError: see the message.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        require_installed(module, "serve", "lastword serve")
    served_models(models)
    if template is not None and Template.parse(template).averaged:
        raise RequestError(f"template={template!r} is an average: serve with one template")
    if api_key_file is not None:
        Keys(api_key_file)


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_key_file: str | Path | None = None,
    template: str | None = None,
    pooling: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    settings: ServerSettings | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve models by OpenAI's API for embeddings, until SIGTERM or SIGINT; what was taken is finished first.

    Being stopped is no failure, so it returns also if that happens while the models are loaded.

    Args:
        models: names or folders of models; NAME=MODEL gives one another name.
        host: address to listen on.
        port: TCP port; 0 is any that is free.
        api_key_file: a file that only its owner can read, with one key on each line; None needs no key.
        template, pooling: of base models.
        dtype, device: of all models.
        settings: limits; None is the defaults.
        ready: called with the port when requests are accepted.

    Raises:
        MissingExtraError, MissingFileError, RequestError, ModelError: see the message.
    """
    key_file = None if api_key_file is None else Path(api_key_file)
    check_server(models, key_file, template)
    keys = None if key_file is None else Keys(key_file)
    settings = settings or ServerSettings()
    named = served_models(models)
    with bound_socket(host, port, settings.timeout_s) as bound:
        try:
            app = _load(named, settings, keys, template=template, pooling=pooling, dtype=dtype, device=device)
        except KeyboardInterrupt:
            info("stopped before the models were loaded")
            return
        if keys is None and not is_loopback(host):
            warn(f"everyone who reaches {host} can use the server: give api_key_file=… to require a key")
        listen(bound)
        address = bound.getsockname()
        where = f"[{address[0]}]" if ":" in address[0] else address[0]
        info(f"serving {', '.join(named)} on http://{where}:{address[1]}")
        if ready:
            ready(address[1])
        _run(app, bound, settings)
    info("stopped")


def _load(named: dict[str, str], settings: ServerSettings, keys: Keys | None, **loading: str | None) -> Any:
    """The application with its models."""
    from lastword.embedding.loading import file_states
    from lastword.serving.app import Service, create_app
    from lastword.serving.models import load_models
    from lastword.serving.pages import add_page

    loaded = load_models(named, **loading)
    before = {name: file_states(model) for name, model in named.items()}

    def changed() -> list[str]:
        return [name for name, model in named.items() if file_states(model) != before[name]]

    devices = [str(model.device) for model in loaded.values()]
    service = Service(loaded, settings, keys, changed, devices[0].partition(":")[0])
    app = create_app(service)
    add_page(app, service, named)
    return app


def _run(app: Any, bound: Any, settings: ServerSettings) -> None:
    uvicorn: Any = needed("uvicorn", "serve", "lastword serve")
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="on",
        server_header=False,
        timeout_graceful_shutdown=round(settings.timeout_s) + 5,
    )
    server = uvicorn.Server(config)
    # uvicorn stops on these signals, and raises them again when it has stopped: that is no failure
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=[bound]))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
