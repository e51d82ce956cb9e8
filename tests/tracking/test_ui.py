from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.tracking.ui import Server, check_port, serve
from tests.support.servers import alive, answers, free_port, group_members, wait_until


def test_a_port_in_use_is_told_with_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} is in use.*--port \d+ is free") as error:
            serve("sqlite:////nowhere/mlflow.db", port)
    free = int(str(error.value).split("--port ")[1].split()[0])
    check_port(free)


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_an_impossible_port_is_told(port: int) -> None:
    with pytest.raises(UserError, match="between 1 and 65535"):
        check_port(port)


def test_a_server_that_somebody_else_runs_is_only_named() -> None:
    told: list[str] = []
    serve("http://mlflow.example:5000", announce=told.append)
    assert told == ["http://mlflow.example:5000/#/experiments?workflowType=machine_learning"]


def start(tmp_path: Path, port: int) -> tuple[subprocess.Popen[str], int]:
    """Start ``serve`` in a process; return it and its server's process group."""
    code = (
        f"from lora2_search.tracking.ui import serve;"
        f"serve('sqlite:///{tmp_path}/mlflow.db', {port}, announce=lambda a: print(a, flush=True))"
    )
    user = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert user.stdout is not None
    assert user.stdout.readline() == "starting MLflow; Ctrl-C ends it\n"
    assert user.stdout.readline().startswith(f"http://127.0.0.1:{port}/#/experiments")
    children = Path(f"/proc/{user.pid}/task/{user.pid}/children").read_text().split()
    (group,) = [int(pid) for pid in children if os.getpgid(int(pid)) == int(pid)]
    assert len(group_members(group)) >= 3
    return user, group


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_server_ends_with_whoever_started_it(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    user, group = start(tmp_path, port)
    user.send_signal(number)
    user.wait(20)
    wait_until(lambda: not group_members(group), 20)
    assert not answers(f"http://127.0.0.1:{port}")
    assert not alive(user.pid)
    if number != signal.SIGKILL:
        assert user.returncode == 0


@pytest.mark.slow
def test_a_server_that_cannot_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database" * 100)
    with pytest.raises(UserError, match="did not start"):
        serve(f"sqlite:///{tmp_path}/mlflow.db", free_port())


def test_the_address_of_somebodys_server_is_told_without_its_password() -> None:
    told: list[str] = []
    serve("http://ann:s3cr3t@mlflow.example:5000", announce=told.append)
    assert told[0].startswith("http://ann:***@mlflow.example:5000/#/")


def test_a_proxy_has_no_part_in_asking_our_own_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    port = free_port()
    code = (
        "import sys\nfrom http.server import BaseHTTPRequestHandler, HTTPServer\n"
        "class Answer(BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        f"HTTPServer(('127.0.0.1', {port}), Answer).handle_request()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    server = Server(process, f"http://127.0.0.1:{port}", tmp_path / "log", "sqlite:////x/mlflow.db")
    server.wait_until_ready()
    assert process.wait(20) == 0


def test_what_is_not_in_the_store_cannot_be_compared_and_the_command_that_delivers_it_is_told(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / "studies" / name for name in ("one", "two")]
    with pytest.raises(UserError, match="has nothing of one to compare.*runs sync one"):
        serve("http://mlflow.example:5000", folders=folders)
