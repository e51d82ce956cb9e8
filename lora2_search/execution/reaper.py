"""A small process that ends what a driver left running of its Ray, whatever way the driver ended.

The kernel ends Ray's servers with their driver, but the agents that these started wait for a
minute, and Ray's files stay. ``python reaper.py FOLDER PID`` needs nothing but the standard
library: it is there before Ray is.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")

# What is killed may be starting a process at that moment, which is then found by the next look.
_LOOKS = 3

_PAUSE_SECONDS = 0.2


class Reaper:
    """The driver's end of one: it waits until this process is gone, or `leave` is called.

    Args:
        folder: The folder of Ray's files. Whoever writes into it is Ray's, but for this process.
    """

    def __init__(self, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, folder, str(os.getpid())],
            # The kernel closes the pipe whatever way this process ends, kill -9 included.
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def leave(self, seconds: float) -> None:
        """Let it do its work now, and wait for it; what takes longer goes on without us."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def dismiss(self) -> None:
        """Let it end and do nothing."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.stdin.close()
        self._process.wait()


def reap(folder: str, spared: int) -> None:
    """Kill every process but ``spared`` that writes into a folder, and delete the folder."""
    for _ in range(_LOOKS):
        while found := [pid for pid in _writers(folder) if pid not in (spared, os.getpid())]:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS / 10)
        time.sleep(_PAUSE_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _writers(folder: str) -> list[int]:
    pids = [entry.name for entry in _PROCESSES.iterdir() if entry.name.isdigit()]
    return [int(pid) for pid in pids if _writes(_PROCESSES / pid, folder)]


def _writes(process: Path, folder: str) -> bool:
    # Others' processes, and those that end meanwhile, cannot be read.
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):
                inside = os.readlink(entry).startswith(f"{folder}/")
                if inside and _for_writing((process / "fdinfo" / entry.name).read_text()):
                    return True
    return False


def _for_writing(information: str) -> bool:
    (flags,) = [line.split()[1] for line in information.splitlines() if line.startswith("flags:")]
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


if __name__ == "__main__":
    driver = int(sys.argv[2])
    sys.stdin.buffer.read()
    reap(sys.argv[1], driver)
