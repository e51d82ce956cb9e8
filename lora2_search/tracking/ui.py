"""MLflow's own server and page."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from .. import signals
from ..errors import UserError
from ..store import PACKAGE, Damaged, home
from . import uri as uris
from .delivery.cursor import cursor_path, load
from .delivery.sync import sync_command
from .spool.spool import Identity, parent_path, read
from .views import address, comparison_address

HOST = "127.0.0.1"

_START_SECONDS = 120.0

_STOP_SECONDS = 5.0


class Server:
    """A running server.

    Attributes:
        base: Its address.
    """

    def __init__(self, process: subprocess.Popen[bytes], base: str, log: Path, uri: str) -> None:
        self.base = base
        self._process, self._log, self._uri = process, log, uri

    def wait_until_ready(self) -> None:
        """Return when the server answers.

        Raises:
            UserError: It ended, or did not answer within two minutes.
        """
        # Not by way of an `http_proxy`, where this machine's loopback is another one.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        last = time.monotonic() + _START_SECONDS
        while time.monotonic() < last:
            if self._process.poll() is not None:
                raise UserError(
                    f"the MLflow server did not start; its last output:\n{self._tail()}"
                )
            try:
                with direct.open(f"{self.base}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.stop()
        raise UserError(f"the MLflow server at {self.base} does not answer; see {self._log}")

    def wait(self) -> int:
        """Return the exit status when the server ends."""
        return self._process.wait()

    def stop(self) -> None:
        """End the server and all its processes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2 * _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _tail(self) -> str:
        last = self._log.read_text(errors="replace").splitlines()[-5:]
        return uris.redacted("\n".join(last), self._uri)


def start_server(uri: str, port: int, log: Path) -> Server:
    """Start a server over the database ``uri`` and return without waiting for it.

    Raises:
        UserError: The port is taken; the message names the next free one.
    """
    check_port(port)
    uris.prepare(uri)
    environment = {
        **os.environ,
        **uris.without_proxies(),
        # Not on the command line, where everyone on the machine could read a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    if folder := uris.artifact_folder(uri):
        environment["MLFLOW_ARTIFACTS_DESTINATION"] = str(folder)
    log.touch(mode=0o600)  # MLflow may write there how it was called
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=PACKAGE.parent,
            start_new_session=True,
        )
    return Server(process, f"http://{HOST}:{port}", log, uri)


def check_port(port: int) -> None:
    """Check that a server can listen on ``port``.

    Raises:
        UserError: It cannot; the message names the next free port.
    """
    if not 1 <= port <= 65535:
        raise UserError(f"--port must be between 1 and 65535, but got {port}")
    if _is_free(port):
        return
    free = next((other for other in range(port + 1, 65536) if _is_free(other)), None)
    remedy = f"; --port {free} is free" if free else ""
    raise UserError(f"port {port} is in use or not permitted{remedy}")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server does: an address that only waits for late packets is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def main() -> None:
    """Run MLflow's server and end its whole process group when stdin closes or SIGTERM comes.

    MLflow leaves workers behind when it is killed; this process leads their group and, holding
    only a pipe, learns of its starter's death whatever way that came.
    """
    signals.let_through()
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", sys.argv[1]]
        + ["--workers", "1"],
        stdin=subprocess.DEVNULL,
    )
    end = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        end.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    threading.Thread(target=_set_at_end_of_input, args=(end,), daemon=True).start()
    while not end.wait(0.2):
        if server.poll() is not None:
            break
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_STOP_SECONDS)
    # What is left of the group does not listen; this process is part of it, and done.
    os.killpg(0, signal.SIGKILL)


def _set_at_end_of_input(end: threading.Event) -> None:
    sys.stdin.buffer.read()
    end.set()


if __name__ == "__main__":
    main()


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


def address_of_several(folders: Sequence[Path], uri: str, base: str) -> str:
    """Return the address of the view that compares several studies or suites.

    Raises:
        UserError: The store at ``uri`` has nothing of one of them.
    """
    found = {folder: load(cursor_path(folder, uri)).experiment_id for folder in folders}
    for folder, experiment_id in found.items():
        if experiment_id is None:
            raise UserError(
                f"MLflow at {uris.display_uri(uri)} has nothing of {folder.name} to compare; "
                f"{sync_command(folder, uri)} delivers it"
            )
    return comparison_address(base, [str(item) for item in found.values()])


def serve(
    uri: str,
    port: int = DEFAULT_PORT,
    *,
    folders: Sequence[Path] = (),
    announce: Callable[[str], None] = print,
) -> None:
    """Serve MLflow until Ctrl-C or SIGTERM, then end all its processes.

    Where ``uri`` is a server already, only its address is printed.

    Args:
        uri: The tracking store.
        port: Port on loopback.
        folders: The study or suite whose view is to be opened, or several to be compared.
        announce: Takes lines for people; the last is the address to open, once it answers.

    Raises:
        UserError: The port is taken, the server does not start, or the store has nothing of one
            of several.
    """
    if len(folders) > 1:
        address_of_several(folders, uri, "")  # before a server starts
    if uris.is_server(uri):
        announce(_opening(folders, uri, uris.display_uri(uri)))
        return
    server = start_server(uri, port, home() / f"mlflow-ui-{port}.log")
    announce("starting MLflow; Ctrl-C ends it")
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        with suppress(KeyboardInterrupt):
            server.wait_until_ready()
            announce(_opening(folders, uri, server.base))
            server.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        server.stop()


def _opening(folders: Sequence[Path], uri: str, base: str) -> str:
    if len(folders) > 1:
        return address_of_several(folders, uri, base)
    known = address_of(folders[0], uri, base) if folders else None
    return known or f"{base}/#/experiments?workflowType=machine_learning"


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
