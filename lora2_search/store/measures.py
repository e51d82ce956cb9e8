"""What a record holds of a run beside its scores, by the name that a space gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .record import ADAPTER_FOLDER, RunRecord

_WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Measure:
    """A size or a cost of a run; lower is better for all.

    Attributes:
        words: What it is, for the documentation.
        read: Takes a completed run's record and folder; ``None`` where the run has no such number.
        varies: Whether equal runs differ in it: it is a time, or depends on the machine.
    """

    words: str
    read: Callable[[RunRecord, Path], float | None]
    varies: bool = False


def _count(key: str) -> Callable[[RunRecord, Path], float | None]:
    return lambda record, folder: record.counts.get(key)


def _file_bytes(record: RunRecord, folder: Path) -> float | None:
    files = [path for glob in _WEIGHTS for path in (folder / ADAPTER_FOLDER).glob(glob)]
    return float(sum(path.stat().st_size for path in files)) if files else None


def _step_seconds(record: RunRecord, folder: Path) -> float | None:
    seconds = record.timings.get("train")
    return seconds / record.total_steps if seconds and record.total_steps else None


MEASURES: dict[str, Measure] = {
    "trained_parameters": Measure(
        "parameters of the adapter that are trained", _count("trained_adapter")
    ),
    "kept_parameters": Measure(
        "parameters of the adapter that pruning has left", _count("kept_adapter")
    ),
    "compressed_parameters": Measure(
        "parameters of the adapter as a plain LoRA", _count("compressed_adapter")
    ),
    "kept_rank": Measure(
        "singular values left in all matrices (lora2 and adalora)",
        lambda record, folder: record.kept_rank,
    ),
    "file_bytes": Measure("size of the saved adapter's weights, in bytes", _file_bytes),
    "forgetting": Measure(
        "loss on plain text (`language.forgetting`) after training, minus that before",
        lambda record, folder: record.forgetting,
    ),
    "seconds": Measure("time of the run, pauses left out", lambda r, folder: r.seconds, True),
    "step_seconds": Measure("training time of a step", _step_seconds, True),
    "peak_memory_mb": Measure(
        "peak memory in MiB: of the device, or of the process on a CPU",
        lambda record, folder: record.peak_memory_mb,
        True,
    ),
}


def outcome_value(name: str, record: RunRecord, folder: Path) -> float | None:
    """Return what a completed run came to by one name, ``None`` where it has no such number.

    Args:
        name: A key of ``MEASURES``, or a metric: its value on the validation split.
        record: The run's record.
        folder: Its folder, where the adapter is saved.
    """
    if name in MEASURES:
        value = MEASURES[name].read(record, folder)
        return None if value is None else float(value)
    return record.score("validation", name)
