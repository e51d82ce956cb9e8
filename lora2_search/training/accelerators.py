"""One Accelerator per run, in a process that may have had others."""

from __future__ import annotations

from typing import Any

from ..config import TrainingConfig
from ..errors import UserError
from .launch import check_launch, unlaunched


def new_accelerator(training: TrainingConfig) -> Any:
    """Return an Accelerator with the run's precision and device.

    Accelerate keeps its state for the whole process and refuses another precision later. A warm
    worker runs trial after trial, so that state is dropped first; Accelerate offers no public
    way, which is why this is the only place that does it.

    Raises:
        UserError: The precision is not to be had on this device, or several processes were
            launched for one run.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

    check_launch(lambda line: None)
    AcceleratorState._reset_state()
    GradientState._reset_state()
    if PartialState._shared_state and not PartialState().use_distributed:
        PartialState._reset_state()
    try:
        with unlaunched():
            accelerator = Accelerator(
                mixed_precision=training.mixed_precision, cpu=training.device == "cpu"
            )
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"training.mixed_precision: {training.mixed_precision} cannot be had here: {error}"
        ) from None
    if accelerator.num_processes > 1:
        raise UserError(
            f"one run takes one process, but {accelerator.num_processes} were launched; "
            "start it with python -m lora2_search"
        )
    return accelerator
