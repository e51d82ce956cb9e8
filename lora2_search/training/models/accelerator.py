"""The device, precision and processes of a run."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from ...config import TrainingConfig
from ...errors import UserError

# torchrun, and `accelerate launch` through it, set these for every process that they start.
_LAUNCHED, _STORE = "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE"

_PROBE_SECONDS = 2.0

_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")

# What torch and Accelerate read: each makes them wait for processes that nobody started.
_READ = (
    *_SIZES,
    *("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK"),
    *("MASTER_ADDR", "MASTER_PORT"),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    *("PMI_RANK", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    *("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
)

# Nobody waits so long: whoever started the processes ends all of them when one is gone, while an
# evaluation, for which the others wait, may take hours.
_PATIENCE = timedelta(days=30)

# Whether this process is one of several that `loop/launch.py` started for a run.
_joined = False


def join_processes(rank: int, count: int, meeting_point: Path, training: TrainingConfig) -> None:
    """Make this process one of those that train a run together, on one machine.

    Args:
        rank: Its number, from 0; on GPUs it takes the one of that number.
        count: How many there are.
        meeting_point: A file that is not there yet, in a folder that all of them see.
        training: Says whether GPUs are used, if there are any.
    """
    global _joined
    import torch

    on_gpus = torch.cuda.is_available() and training.device != "cpu"
    if not on_gpus or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        on_gpus, os.environ["ACCELERATE_USE_CPU"] = False, "true"
    torch.distributed.init_process_group(
        "nccl" if on_gpus else "gloo",
        init_method=f"file://{meeting_point}",
        rank=rank,
        world_size=count,
        timeout=_PATIENCE,
    )
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in names.items()}  # Accelerate reads them
    _joined = True


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what a launcher told the process that has it."""
    told = (*_READ, _LAUNCHED, _STORE)
    return {name: value for name, value in environment.items() if name not in told}


def processes_of_launcher() -> tuple[int, int]:
    """Return this process's rank and how many a launcher started here, and forget the launcher.

    The first one can then start as many of its own, which end together and have one record, and
    the others have nothing to do.

    Returns:
        0 and 1 where no launcher started this process.

    Raises:
        UserError: Some of them are on other machines.
    """
    if not _is_launched():
        return 0, 1
    rank, count = (
        int(os.environ.get(name, start)) for name, start in (("RANK", 0), (_SIZES[0], 1))
    )
    here = int(os.environ.get("LOCAL_WORLD_SIZE", count))
    if here != count:
        raise UserError(
            f"the processes of a run are on one machine, but {here} of {count} were launched here; "
            "launch them on one"
        )
    for name in (*_READ, _LAUNCHED, _STORE):
        os.environ.pop(name, None)
    return rank, count


def check_launch(say: Callable[[str], None]) -> None:
    """Check that one process was started, and say which variables of a launcher are ignored.

    Raises:
        UserError: A launcher started several.
    """
    if _is_launched():
        several = {name: value for name in _SIZES if (value := os.environ.get(name, "1")) != "1"}
        for name, value in several.items():
            raise UserError(
                f"a run uses one process, but {value} were launched ({name}={value}); start it "
                "with python -m lora2_search"
            )
        return
    left = [f"{name}={os.environ[name]}" for name in _READ if name in os.environ]
    if left:
        say(f"ignoring {', '.join(left)}: left by a launcher or a job script; a run is one process")


def _is_launched() -> bool:
    if _LAUNCHED not in os.environ:
        return False
    if os.environ.get(_STORE) != "True":
        return True
    # The launcher itself answers there, as long as it lives.
    address = os.environ.get("MASTER_ADDR", ""), os.environ.get("MASTER_PORT", "")
    try:
        socket.create_connection(address, _PROBE_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def without_launcher_env() -> Iterator[None]:
    """Hide the variables that a launcher left behind; those of a real one stay, and ours."""
    if _joined or _is_launched():
        yield
        return
    left = {name: os.environ.pop(name) for name in _READ if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(left)


def new_accelerator(training: TrainingConfig) -> Any:
    """Return an Accelerator with the run's precision and device.

    Accelerate keeps its state for the whole process and refuses another precision later. A warm
    worker runs trial after trial, so that state is dropped first; Accelerate offers no public
    way, which is why this is the only place that does it.

    Raises:
        UserError: The precision is not supported on this device, or several processes were
            launched for one run.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

    if not _joined:
        check_launch(lambda line: None)
    AcceleratorState._reset_state()
    GradientState._reset_state()
    if PartialState._shared_state and not PartialState().use_distributed:
        PartialState._reset_state()
    try:
        with without_launcher_env():
            accelerator = Accelerator(
                mixed_precision=training.mixed_precision, cpu=training.device == "cpu"
            )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"training.mixed_precision: {training.mixed_precision} is not supported on this "
            f"device: {error}"
        ) from None
    if accelerator.num_processes > 1 and not _joined:
        raise UserError(
            f"a run uses one process, but {accelerator.num_processes} were launched; "
            "start it with python -m lora2_search"
        )
    return accelerator


def possible_precision(training: TrainingConfig) -> Any:
    """Return an Accelerator for a finished run, where need be in full precision: no CPU has fp16.

    Raises:
        UserError: As `new_accelerator`.
    """
    import torch

    if training.mixed_precision == "fp16" and not torch.cuda.is_available():
        training = training.model_copy(update={"mixed_precision": "no"})
    return new_accelerator(training)
