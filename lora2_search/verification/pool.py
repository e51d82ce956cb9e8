"""The processes that measure."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from .. import signals
from ..errors import Argument, RequestError
from .measurements import Measurements
from .measuring import measure
from .plan import Part, Plan


def measure_parts(
    plan: Plan, folder: Path, workers: int, say: Callable[[str], None] = lambda line: None
) -> None:
    """Measure every part of a plan that ``folder`` does not hold yet, and keep each as it ends.

    A part depends on nothing but its plan, so results are the same whatever the number of
    workers; one that is interrupted is begun anew by the next call.

    Args:
        plan: What is measured.
        folder: Where parts are kept.
        workers: Processes.
        say: Takes a line for every part that has ended.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The hub cannot be reached, or a process was killed.
    """
    parts = plan.parts()
    missing = [part for part in parts if part.read(folder) is None]
    if len(missing) < len(parts):
        say(f"{len(parts) - len(missing)} of {len(parts)} parts were measured earlier")
    if missing:
        _measure(plan, missing, folder, min(workers, len(missing)), say)


def _measure(
    plan: Plan, missing: Sequence[Part], folder: Path, workers: int, say: Callable[[str], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_begin)
    begun = time.perf_counter()
    try:
        futures = {executor.submit(_measured, plan, part): part for part in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            results, seconds = future.result()
            part = futures[future]
            part.write(folder, results)
            spent = (time.perf_counter() - begun) / 60
            diverged = f", diverged: {results.diverged}" if results.diverged else ""
            say(
                f"{done} of {len(missing)}: {part.name}: {seconds:.0f} s{diverged} "
                f"({spent:.1f} min so far)"
            )
    except BrokenProcessPool:
        raise RequestError(
            "a worker was killed, perhaps because memory ran out; finished parts are kept: run the "
            "same command again with ",
            *(Argument("workers"), " 1"),
        ) from None
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a worker: one thread, Ctrl-C left to the parent, no life without it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.let_through()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # peft 0.21 asks transformers 5.23 for a name that is on its way out.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
    import torch

    torch.set_num_threads(1)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _measured(plan: Plan, part: Part) -> tuple[Measurements, float]:
    begun = time.perf_counter()
    return measure(plan, part), time.perf_counter() - begun
