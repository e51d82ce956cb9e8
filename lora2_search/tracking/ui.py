"""``ui``: MLflow in the browser, opened at the right view."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from ..home import home
from ..stored import Damaged
from . import uri as uris
from .cursor import cursor_path, load
from .server import start_server
from .spool import Identity, parent_path, read
from .views import address

DEFAULT_PORT = 5000


def address_of(folder: Path, uri: str, base: str) -> str | None:
    """Return the address of a study's or suite's prepared view on the server at ``base``.

    ``None`` while the store at ``uri`` has nothing of it. Imports no MLflow.
    """
    experiment_id = load(cursor_path(folder, uri)).experiment_id
    try:
        known = [r for r in read(parent_path(folder)).records if isinstance(r, Identity)]
    except Damaged:
        return None
    return address(base, experiment_id, known[-1].what) if experiment_id and known else None


def serve(
    uri: str,
    port: int = DEFAULT_PORT,
    *,
    folder: Path | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve MLflow until Ctrl-C or SIGTERM, then end all its processes.

    Where ``uri`` is a server already, only its address is told.

    Args:
        uri: The tracking store.
        port: Port on loopback.
        folder: A study or suite whose view is to be opened.
        announce: Takes lines for people; the last is the address to open, once it answers.

    Raises:
        UserError: The port is taken, or the server does not start.
    """
    if uris.is_server(uri):
        announce(_opening(folder, uri, uris.shown(uri)))
        return
    server = start_server(uri, port, home() / f"mlflow-ui-{port}.log")
    announce("starting MLflow; Ctrl-C ends it")
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        with suppress(KeyboardInterrupt):
            server.wait_until_ready()
            announce(_opening(folder, uri, server.base))
            server.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        server.stop()


def _opening(folder: Path | None, uri: str, base: str) -> str:
    known = address_of(folder, uri, base) if folder else None
    return known or f"{base}/#/experiments?workflowType=machine_learning"


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
