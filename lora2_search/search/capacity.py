"""How many runs fit at once, and what one asks for that no node has."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError, Problem
from .space import Resources

Node = tuple[float, float]


def at_once(resources: Resources, nodes: Sequence[Node]) -> int:
    """Return how many runs at once fit on the nodes, at most ``resources.concurrent``.

    Args:
        resources: Those of one run, ``settled``.
        nodes: CPUs and GPUs of each.

    Raises:
        ConfigError: One run needs more than any node has: Ray would wait for ever.
    """
    fit = sum(resources.fit(cpus, gpus) for cpus, gpus in nodes)
    if fit == 0:
        raise ConfigError(_lacking(resources, nodes))
    return min(fit, resources.concurrent or fit)


def _lacking(resources: Resources, nodes: Sequence[Node]) -> list[Problem]:
    cpus, gpus = resources.cpus_per_trial, resources.gpus_per_trial or 0.0
    most_cpus, most_gpus = (max((node[index] for node in nodes), default=0) for index in (0, 1))
    problems = [
        Problem(
            f"resources.{key}",
            f"a run asks for {asked:g} {what}, but no node has more than {most:g}; ask for less",
        )
        for key, asked, most, what in (
            ("cpus_per_trial", cpus, most_cpus, "CPUs"),
            ("gpus_per_trial", gpus, most_gpus, "GPUs"),
        )
        if asked > most
    ]
    message = f"no one node has {gpus:g} GPUs and {cpus:g} CPUs (cpus_per_trial); ask for less"
    return problems or [Problem("resources.gpus_per_trial", message)]
