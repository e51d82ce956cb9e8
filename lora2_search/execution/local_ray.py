"""Ray on this machine alone: on loopback, in a private folder, and deaf to its driver's signals."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import ray
from ray._private import ray_constants

from .. import signals
from ..errors import UserError, first_line
from .reaper import Reaper

TOKEN_FILE = Path("~/.ray/auth_token")

_OBJECT_STORE = 128 * 1024 * 1024  # only plain values travel

# Without it, a process that was given no GPU sees them all.
_HIDE_ON_ZERO = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"

# The address of a Unix socket has 107 bytes; Ray needs 64 of them, our own folder 17.
_LONGEST = 107 - 64 - 17

_REAPER_SECONDS = 5.0


@contextmanager
def local_ray(say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Run Ray on this machine while the block runs.

    Nothing of it listens outside 127.0.0.1. A signal to the whole process group, or to all
    processes of a job, ends the driver alone, which then ends Ray; when the driver is killed,
    the kernel and a `Reaper` end Ray with it.

    Args:
        say: Takes a line for people where Ray's files are in another folder than was asked for.

    Raises:
        UserError: It does not start, or its token or temporary files cannot be written.
    """
    _private_token()
    # Ray opens its own folder to everybody, so it is inside one that is not.
    folder = tempfile.mkdtemp(prefix="lora2-", dir=_short_folder(say))
    with signals.blocked():
        reaper = Reaper(folder)
    try:
        _start(f"{folder}/r")
    except UserError:
        reaper.dismiss()  # it would take Ray's own words away
        raise
    try:
        yield
    finally:
        _stop()
        shutil.rmtree(folder, ignore_errors=True)
        reaper.leave(signals.patience(_REAPER_SECONDS))


def _start(folder: str) -> None:
    # Its processes have the environment of this moment.
    before = os.environ.get(_HIDE_ON_ZERO)
    os.environ[_HIDE_ON_ZERO] = "1"
    # What Ray does on Windows and macOS; an address given to it would be resolved to the network's.
    many, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        with signals.preserve_handlers(), signals.blocked():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                object_store_memory=_OBJECT_STORE,
                _temp_dir=folder,
            )
    except Exception as error:
        _end_half_started(folder)
        raise UserError(
            f"Ray does not start on this machine ({first_line(error)}); if the machine is just "
            f"busy, try again; Ray's own logs are in {folder}/session_latest/logs"
        ) from None
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = many
        if before is None:
            del os.environ[_HIDE_ON_ZERO]
        else:
            os.environ[_HIDE_ON_ZERO] = before


def _stop() -> None:
    """End Ray, and make sure that nothing of it goes on.

    `ray.shutdown` asks each process by SIGTERM, to which all are deaf, and waits a second before
    it kills. What must end after its connection waits so; the others are killed before.
    """
    node = ray._private.worker._global_node
    started = dict(node.live_processes()) if node else {}
    everything = [process for child in started.values() for process in _family(child.pid)]
    for kind, process in started.items():
        if kind not in (ray_constants.PROCESS_TYPE_RAYLET, ray_constants.PROCESS_TYPE_GCS_SERVER):
            process.kill()
    ray.shutdown()
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _end_half_started(folder: str) -> None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(folder in word for word in process.cmdline()):
                process.kill()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _private_token() -> None:
    """Write the token that Ray would write itself, but for nobody else to read."""
    path = TOKEN_FILE.expanduser()
    given = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if path.is_file() or any(os.environ.get(name) for name in given):
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        return  # another process was quicker
    except OSError as error:
        raise UserError(
            f"cannot write Ray's token to {path} ({error.strerror}); make it writable, or set a "
            "token in the environment variable RAY_AUTH_TOKEN"
        ) from None


def _short_folder(say: Callable[[str], None]) -> str:
    """Return the first folder that fits Ray's sockets; say why, where it is not the one asked for.

    Raises:
        UserError: None does.
    """
    named = (os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp")
    passed: list[str] = []
    for name in dict.fromkeys(filter(None, named)):
        if not (why := _unfit(name)):
            if passed:
                say(f"Ray's temporary files are in {name}, because {' and '.join(passed)}")
            return name
        passed.append(f"{name} {why}")
    raise UserError(
        f"Ray has no folder for its sockets: {', '.join(passed)}; name another one in the "
        "environment variable RAY_TMPDIR"
    )


def _unfit(folder: str) -> str:
    """Return why Ray cannot have its sockets in a folder; nothing where it can."""
    if (size := len(os.fsencode(folder))) > _LONGEST:
        return f"has a name of {size} bytes but Ray's sockets leave room for {_LONGEST}"
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        return "is not a writable folder"
    return ""
