"""Measure one part: train its run with probes beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..training.loop import Diverged
from ..training.preparation import prepare
from .agreement import AgreementProbe
from .merging import CompressProbe, MergeProbe
from .part import Part
from .plan import Plan
from .planes import PlanesProbe
from .scores import ScoreProbe
from .shadows import Shadows
from .start import measure_start
from .truth import TruthProbe
from .watch import Probe, Watch, Watched

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


def measure(plan: Plan, part: Part) -> dict[str, Any]:
    """Return what the part's probes measured, by probe.

    A run whose loss is no longer finite gives ``diverged`` (why) and ``majority`` (the score of
    always giving the commonest answer) instead.

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
        return {"diverged": str(error), "majority": watch.prepared.data.majority}
    return {name: probe.result() for name, probe in probes.items()}


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
