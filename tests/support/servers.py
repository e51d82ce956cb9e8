"""A real MLflow server that can be killed, and a proxy that loses replies."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path


def free_port() -> int:
    """Return a port that nothing listens on and that the system gives to nobody who asks for any.

    Ray and other tests take ports of the system's range while a server of ours still starts.
    """
    for port in random.SystemRandom().sample(range(20000, 30000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port of a hundred is free")


class MlflowServer:
    def __init__(self, folder: Path, port: int) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._folder, self._port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        store = f"sqlite:///{self._folder}/mlflow.db"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
            + ["--port", str(self._port), "--backend-store-uri", store]
            + ["--artifacts-destination", str(self._folder / "artifacts")],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: answers(self.uri), 120)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class LossyProxy:
    """Passes requests on; of the first ``losses`` to ``path`` the reply never comes back."""

    def __init__(self, target_port: int, path: bytes, losses: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target_port, self._path, self.losses = target_port, path, losses
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        # A server that is down, or goes down now, is what this proxy stands before.
        with suppress(OSError), client:
            with socket.create_connection(("127.0.0.1", self._target_port)) as server:
                while request := _message(client):
                    server.sendall(request)
                    reply = _message(server)
                    if self._path in request.partition(b"\r\n")[0] and self.losses:
                        self.losses -= 1
                        return
                    client.sendall(reply)


def _message(source: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := source.recv(65536)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    wanted = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < wanted:
        if not (more := source.recv(65536)):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


def answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=2):
            return True
    except OSError:
        return False


def wait_until(condition, seconds: float) -> None:
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, "waited in vain"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def group_members(group: int) -> list[int]:
    """Return the living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(int(entry.name))
    return found
