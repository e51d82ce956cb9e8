"""One run of a verification, with its probes."""

from __future__ import annotations

from collections.abc import Callable

from ..training import Diverged, prepare
from .measurements import Measurements
from .plan import Part, Plan
from .probes.agreement import AgreementProbe
from .probes.growth import GrowthProbe
from .probes.leave_one_out import TruthProbe
from .probes.merging import CompressProbe, MergeProbe
from .probes.planes import PlanesProbe
from .probes.score import ScoreProbe
from .probes.shadows import Shadows
from .probes.start import measure_start
from .probes.watch import Probe, ProbedMethod, Watch

_ALONE: dict[str, Callable[[Watch], Probe]] = {
    "planes": PlanesProbe,
    "score": ScoreProbe,
    "merge": MergeProbe,
    "compress": CompressProbe,
    "growth": GrowthProbe,
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
    trainer.progress.adaptive = ProbedMethod(trainer.progress.adaptive, list(probes.values()))
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
