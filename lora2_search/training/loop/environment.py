"""Where and when a run was made."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...store import RunRecord


class Timer:
    """Adds the seconds spent inside to one of the record's timings."""

    def __init__(self, record: RunRecord, name: str) -> None:
        self._record, self._name = record, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        timings = self._record.timings
        timings[self._name] = timings.get(self._name, 0.0) + time.perf_counter() - self._start


class Clock:
    """Keeps the record's ``total``: the seconds that processes spent on the run, pauses left out.

    It starts when it is made.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record, self._counted_to = record, time.perf_counter()

    def note(self) -> None:
        """Add the seconds since the last note, or since the start."""
        now, timings = time.perf_counter(), self._record.timings
        timings["total"] = timings.get("total", 0.0) + now - self._counted_to
        self._counted_to = now


LIBRARIES = ("lora2_search", "torch", "transformers", "peft", "accelerate", "datasets")


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide a result."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def commit() -> tuple[str | None, bool | None]:
    """Return the git commit of this package and whether it has changes; ``None`` outside git."""
    folder = Path(__file__).parent
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head, bool(_git(folder, "status", "--porcelain", "--", str(folder.parent)))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def reset_peak_memory() -> None:
    """Begin a new peak, so that a warm worker does not report an earlier run's."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # not Linux, or not allowed: the peak is then that of the whole process


def peak_memory_mb(device: str) -> float:
    """Return the peak since the last reset in MiB: of a ``cuda`` device, else resident."""
    import torch

    if device == "cuda":
        return float(torch.cuda.max_memory_allocated() / 2**20)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_mb(device: str) -> float:
    """Return the memory in MiB that a run can take: of a ``cuda`` device, else of the machine.

    A container's limit counts where it is the smaller.
    """
    import torch

    if device == "cuda":
        return float(torch.cuda.get_device_properties().total_memory / 2**20)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        limit = machine
    return min(machine, limit) / 2**20


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
