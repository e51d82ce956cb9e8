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
from ..training import Diverged, prepare
from .measurements import Measurements
from .plan import Part, Plan
from .probes.agreement import AgreementProbe
from .probes.leave_one_out import TruthProbe
from .probes.merging import CompressProbe, MergeProbe
from .probes.planes import PlanesProbe
from .probes.shadows import ScoreProbe, Shadows
from .probes.start import measure_start
from .probes.watch import Probe, Watch, Watched

_ALONE: dict[str, Callable[[Watch], Probe]] = {
    "planes": PlanesProbe,
    "score": ScoreProbe,
    "merge": MergeProbe,
    "compress": CompressProbe,
}


_WITH_SHADOWS: dict[str, Callable[[Watch, Shadows], Probe]] = {
    "agreement": AgreementProbe,
    "truth": TruthProbe,
}


def measure(plan: Plan, part: Part) -> Measurements:
    """Return what the part's probes measured, or that its run diverged.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The hub cannot be reached.
    """
    config = plan.run_config(part.arm, part.seed)
    if part.arm == "start":
        return measure_start(config)
    watch = Watch(plan, part.seed, prepare(config))
    trainer = watch.prepared.trainer
    probes = _probes(watch, part)
    trainer.progress.adaptive = Watched(trainer.progress.adaptive, list(probes.values()))
    for probe in probes.values():
        probe.step(0)
    try:
        for _ in trainer.advance(0, watch.total):
            pass
    except Diverged as error:
        return Measurements(diverged=str(error), majority=watch.prepared.data.majority)
    found = Measurements()
    for probe in probes.values():
        found = found.updated(probe.result())
    return found


def _probes(watch: Watch, part: Part) -> dict[str, Probe]:
    probes: dict[str, Probe] = {}
    # Truth takes minutes: beside it a step's time would be no step's time.
    names = sorted(part.probes, key=lambda name: name == "truth")
    shadows = Shadows(watch) if set(names) & _WITH_SHADOWS.keys() else None
    for name in names:
        if shadows is not None and name in _WITH_SHADOWS:
            probes[name] = _WITH_SHADOWS[name](watch, shadows)
        else:
            probes[name] = _ALONE[name](watch)
    return probes


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
