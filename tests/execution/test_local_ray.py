from __future__ import annotations

import ipaddress
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from lora2_search import signals
from lora2_search.config.space.schema import Resources
from lora2_search.errors import UserError
from lora2_search.execution import local_ray
from lora2_search.execution.engine import execute
from lora2_search.execution.session import run_session
from tests.execution.test_engine import RunList, runs
from tests.support.stand_in import StandIn

LOOPBACK = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}


class Eavesdropper:
    """An observer that notes where this process and all below it listen, while a run is trained."""

    def __init__(self) -> None:
        self.sockets: dict[str, set[Any]] = {}

    def started(self, run):
        pass

    def reported(self, run, report):
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            # Ray ends idle workers whenever it likes, so also between two looks.
            with suppress(psutil.NoSuchProcess):
                self._note(process)

    def _note(self, process: psutil.Process) -> None:
        found = self.sockets.setdefault(process.name(), set())
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                address = ipaddress.ip_address(connection.laddr.ip)
                found.add(getattr(address, "ipv4_mapped", None) or address)

    def ended(self, run, state, record, reason):
        pass


def test_a_run_on_this_machine_listens_on_loopback_alone(tmp_path: Path, ray_here: None) -> None:
    seen = Eavesdropper()
    resources = Resources(concurrent=1)
    with run_session(tmp_path, resources, device="auto", resume=True, address=None) as terms:
        listed = RunList(runs(tmp_path, [1]))
        execute(listed, tmp_path, terms, observers=[seen], trainable=StandIn)
    assert set().union(*seen.sockets.values()) <= LOOPBACK
    # Else it would have looked at nothing.
    assert {name for name, found in seen.sockets.items() if found} >= {"raylet", "gcs_server"}


def test_all_of_ray_is_deaf_to_the_signals_that_end_a_driver(ray_here: None) -> None:
    here = psutil.Process()
    wanted = sum(1 << (number - 1) for number in signals.EXIT_CODES)
    blocked = {}
    for process in here.children(recursive=True):
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            blocked[process.pid, process.name()] = _blocked(process.pid)
    assert {"raylet", "gcs_server"} <= {name for _, name in blocked}
    assert {who: mask for who, mask in blocked.items() if mask & wanted != wanted} == {}
    assert _blocked(here.pid) & wanted == 0


def test_rays_files_are_for_their_owner_alone(ray_here: None) -> None:
    folder = Path(ray._private.worker._global_node.get_temp_dir_path())
    assert folder.is_dir()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_the_token_is_made_once_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    local_ray._private_token()
    path = tmp_path / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    local_ray._private_token()
    assert path.read_text() == token


def test_a_token_of_ones_own_leaves_the_home_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)
    local_ray._private_token()
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(UserError, match="cannot write Ray's token to .*RAY_AUTH_TOKEN"):
        local_ray._private_token()


def test_a_temporary_folder_whose_name_is_too_long_for_a_socket_is_passed_over_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    said: list[str] = []
    assert local_ray._short_folder(said.append) == "/tmp"
    (line,) = said
    assert line.startswith(f"Ray's temporary files are in /tmp, because {deep} has a name of ")


def test_a_named_folder_that_is_not_there_is_passed_over_aloud(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/no/such")
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    said: list[str] = []
    assert local_ray._short_folder(said.append) == "/tmp"
    assert said == ["Ray's temporary files are in /tmp, because /no/such is not a writable folder"]


def test_of_the_folder_that_was_asked_for_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    # Never looked at: too long, but not asked for.
    monkeypatch.setattr("tempfile.tempdir", "/" + "d" * 60)
    said: list[str] = []
    assert local_ray._short_folder(said.append) == "/tmp"
    assert said == []


def test_where_no_folder_fits_each_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/no/such")
    monkeypatch.setattr("tempfile.tempdir", "/" + "d" * 60)
    monkeypatch.setattr(local_ray, "_LONGEST", 3)
    words = (
        "/no/such has a name of 8 .*, /ddd.* has a name of .*, /tmp has a name of 4 .*RAY_TMPDIR"
    )
    with pytest.raises(UserError, match=words):
        local_ray._short_folder(print)


def _blocked(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigBlk")]
    return int(mask, 16)
