"""What a verification measures, and how far it has come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import (
    PACKAGED_TASKS,
    PRESETS,
    RunConfig,
    Settings,
    Source,
    merge,
    validate,
    with_overrides,
    with_settings,
)
from ..errors import Argument, ConfigError, Problem, RequestError, UserError, did_you_mean
from ..store import Damaged, reading, set_aside, stored_json, write_json
from .measurements import Measurements, from_json, to_json

PARTS_FOLDER = "parts"


@dataclass(frozen=True)
class Part:
    """A run and the probes beside it.

    Attributes:
        arm: Which settings it has.
        seed: Its seed.
        probes: What is measured beside it.
    """

    arm: str
    seed: int
    probes: tuple[str, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.arm}, seed {self.seed}"

    def path(self, folder: Path) -> Path:
        """Return the file of its results in a verification's folder."""
        return folder / PARTS_FOLDER / f"{self.arm}-seed{self.seed}.json"

    def read(self, folder: Path) -> Measurements | None:
        """Return what its probes measured; ``None`` where they have not all measured yet.

        A damaged file counts as not measured: `damage` says so.
        """
        try:
            found = self._stored(folder)
        except Damaged:
            return None
        return found if found is not None and found.holds(self.probes) else None

    def write(self, folder: Path, found: Measurements) -> None:
        """Keep what was measured, beside what other probes measured in an earlier run of it."""
        path = self.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            earlier = self._stored(folder) or Measurements()
        except Damaged:
            set_aside(path)
            earlier = Measurements()
        write_json(path, to_json(earlier.updated(found)))

    def damage(self, folder: Path) -> str | None:
        """Return what is wrong with the file of its results, ``None`` where nothing is."""
        try:
            self._stored(folder)
        except Damaged as damage:
            return str(damage)
        return None

    def _stored(self, folder: Path) -> Measurements | None:
        path, remedy = self.path(folder), "the same `verify` command measures it again"
        values = stored_json(path, remedy)
        with reading(path, remedy):
            return None if values is None else from_json(values)


# The learning rate is that of the suite `quick`, chosen on other seeds and another split; trials
# while this was written used seeds 100 to 105. So neither had a part in what is measured.
FIRST_SEED = 200

DEFAULTS: dict[str, dict[str, float]] = {
    "data": {"split_seed": 2, "train_size": 1000, "max_length": 32},
    "adapter": {"k": 8, "r": 8, "target_rank": 4, "gamma": 0.1},
    "training": {"epochs": 1.0, "batch_size": 16, "lr": 2e-2, "head_lr": 1e-3, "evaluations": 1},
}

# The packaged sentences are many; a file of one's own is cut by fractions, as in every run.
PACKAGED_SIZES: dict[str, dict[str, float]] = {"data": {"validation_size": 200, "test_size": 1000}}

QUICK: dict[str, dict[str, float]] = {
    "data": {"train_size": 256},
    "training": {"steps": 16},
}

PACKAGED_QUICK: dict[str, dict[str, float]] = {"data": {"validation_size": 100, "test_size": 200}}

# How the recommended adapter begins; its shape and ranks stay those of the run.
BEGINNING = ("adapter.init", "adapter.penalty", "adapter.lora_alpha", "adapter.t_init")

# The rate is the one that was tuned for it (docs/results/start), on other seeds too.
RECOMMENDED: Settings = {
    **{setting: PRESETS["recommended"][setting] for setting in BEGINNING},
    "training.lr": 1e-3,
}

ARMS: dict[str, Settings] = {
    "start": {},
    "pruned": {},
    "recommended": RECOMMENDED,
    "unpruned": {"adapter.scoring": "none"},
    "head-only": {"method": "head-only"},
    "no-regulariser": {"adapter.scoring": "none", "adapter.gamma": 0.0},
    "cross": {"adapter.scoring": "none", "adapter.gamma_cross": 1.0},
}

# Which probe each check needs, beside a run of which arm.
CHECKS: dict[str, list[tuple[str, str]]] = {
    "start": [("start", "start")],
    "learning": [
        *(("pruned", probe) for probe in ("growth", "score")),
        *(("recommended", probe) for probe in ("growth", "score")),
    ],
    "planes": [("unpruned", "planes"), ("no-regulariser", "planes"), ("cross", "planes")],
    "pruning": [("pruned", "score"), ("unpruned", "score"), ("head-only", "score")],
    "scoring": [("pruned", "agreement"), ("unpruned", "agreement")],
    "truth": [("unpruned", "truth")],
    "ranking": [("pruned", "agreement"), ("unpruned", "agreement")],
    "merge": [("pruned", "merge")],
    "compress": [("pruned", "compress")],
}


@dataclass(frozen=True)
class Plan:
    """What a verification measures; equal plans give equal numbers.

    Attributes:
        config: The run that all arms vary: LoRA², pruned.
        seeds: One run of every arm each.
        checks: Names of ``CHECKS``, in their order.
        margin: Scores that differ by less count as no difference (TOST), in units of the metric.
        quick: Too few seeds and steps for any claim that needs statistics.
        points: How often the planes and rankings are looked at.
        truth_points: At how many steps every λᵢ is zeroed in turn, the last one at the final mask.
        truth_sentences: Validation sentences whose loss is measured then.
    """

    config: RunConfig
    seeds: tuple[int, ...]
    checks: tuple[str, ...] = tuple(CHECKS)
    margin: float = 0.02
    quick: bool = False
    points: int = 12
    truth_points: int = 2
    # Half of a verification's time goes with their number, and its intervals hardly change
    # with it (docs/verify.md); a step less widens them.
    truth_sentences: int = 24

    def fingerprint(self) -> str:
        """Return 16 hex digits that change with whatever changes a number; checks do not."""
        settings = asdict(self) | {"config": self.config.identifying_settings()}
        settings = {key: value for key, value in settings.items() if key not in ("checks", "seeds")}
        text = json.dumps(settings, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Name of its folder: equal settings resume the same one."""
        quick = "-quick" if self.quick else ""
        return f"{self.config.task}{quick}-{self.fingerprint()[:8]}"

    def run_config(self, arm: str, seed: int) -> RunConfig:
        """Return the settings of one run."""
        return with_settings(self.config, {**ARMS[arm], "seed": seed})

    def parts(self) -> list[Part]:
        """Return every run to make, with what is looked at beside it; the longest first."""
        return parts_of(self.checks, self.seeds)


def parts_of(checks: Sequence[str], seeds: Sequence[int]) -> list[Part]:
    """Return the runs that some checks need with each seed; those with most probes first."""
    probes: dict[str, list[str]] = {}
    for check in checks:
        for arm, probe in CHECKS[check]:
            wanted = probes.setdefault(arm, [])
            if probe not in wanted:
                wanted.append(probe)
    arms = sorted(probes, key=lambda arm: (-len(probes[arm]), list(ARMS).index(arm)))
    return [Part(arm, seed, tuple(probes[arm])) for arm in arms for seed in seeds]


def make_plan(
    *,
    model: str | None = None,
    data: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    only: Sequence[str] = (),
    overrides: Sequence[str] = (),
    quick: bool = False,
    margin: float = 0.02,
) -> Plan:
    """Return the plan that a request means.

    Args:
        model: Hub id, folder, or the packaged ``minilm``.
        data: A file of one's own; its columns by ``overrides``.
        task: A GLUE task or a packaged one; by default ``sentiment``.
        seeds: How many; by default 6, or 2 when quick.
        only: Checks to make; by default all.
        overrides: ``key=value`` settings of the base run.
        quick: Fewer seeds, steps and sentences.
        margin: Margin of the equivalence test, in units of the metric.

    Raises:
        ConfigError: Everything that is wrong with the settings.
        UserError: An unknown check, no seed, or a margin that is none.
    """
    checks = _checks(only)
    count = seeds if seeds is not None else (2 if quick else 6)
    if count < 1:
        raise RequestError(Argument("seeds"), f" must be at least 1, but got {count}")
    if not margin > 0:
        raise RequestError(Argument("margin"), f" must be greater than 0, but got {margin}")
    if data is not None and task is not None:
        raise RequestError(
            *(Argument("data"), " and ", Argument("task"), " exclude each other: "),
            "a file of your own is task custom",
        )
    base = _base(model, data, task, quick)
    config = validate(with_overrides(base, overrides), RunConfig)
    _check(config, checks)
    first = config.seed
    plan = Plan(config, tuple(range(first, first + count)), checks, margin, quick)
    if not quick:
        return plan
    return Plan(
        config, plan.seeds, checks, margin, quick, points=4, truth_points=1, truth_sentences=8
    )


def _base(model: str | None, data: str | None, task: str | None, quick: bool) -> Source:
    named = task or ("custom" if data else "sentiment")
    settings = merge({"task": named, "seed": FIRST_SEED}, DEFAULTS)
    if named in PACKAGED_TASKS:
        settings = merge(settings, PACKAGED_QUICK if quick else PACKAGED_SIZES)
    if quick:
        settings = merge(settings, QUICK)
    if data is not None:
        settings = merge(settings, {"data": {"path": data}})
    if model is not None:
        settings["model"] = {"name_or_path": model}
    return Source(settings)


def _checks(only: Sequence[str]) -> tuple[str, ...]:
    for name in only:
        if name not in CHECKS:
            raise UserError(f"no check named {name!r}; {did_you_mean(name, CHECKS)}")
    return tuple(name for name in CHECKS if not only or name in only)


def _check(config: RunConfig, checks: Sequence[str]) -> None:
    adapter = config.adapter
    problems = []
    if config.method != "lora2":
        message = f"must be lora2, whose claims are checked, but got {config.method}"
        problems.append(Problem("method", message))
    if not adapter.prunes and set(checks) - {"start", "planes"}:
        message = (
            f"must be below r={adapter.r}, and `scoring` must not be none, so that there is "
            f"something to prune, but got {adapter.target_rank}"
        )
        problems.append(Problem("adapter.target_rank", message))
    if adapter.score_loss != "total" and set(checks) & {"scoring", "truth", "ranking"}:
        message = (
            "must be total for the checks scoring, truth and ranking, whose scorings all use the "
            f"gradients of the whole loss, but got {adapter.score_loss}; choose other checks"
        )
        problems.append(Problem("adapter.score_loss", message))
    if adapter.planes < 2 and set(checks) & {"planes", "ranking", "scoring"}:
        message = (
            "must give two planes or more for the checks planes, scoring and ranking: a single "
            "plane has no neighbour, and its full scoring is its reduced scoring; choose other "
            "checks"
        )
        problems.append(Problem("adapter.k", message))
    if problems:
        raise ConfigError(problems)


PLAN_FILE = "verification.json"

_REMEDY = "measure again in another folder"


def parts_done(folder: Path) -> tuple[int, int]:
    """Return how many of its parts are measured, and how many it has.

    Raises:
        UserError: Its ``verification.json`` is broken.
    """
    parts = _parts(folder)
    return sum(part.read(folder) is not None for part in parts), len(parts)


def damaged_parts(folder: Path) -> list[str]:
    """Return which files of parts are damaged, one sentence each."""
    return [damage for part in _parts(folder) if (damage := part.damage(folder))]


def _parts(folder: Path) -> list[Part]:
    path = folder / PLAN_FILE
    stored = stored_json(path, _REMEDY)
    if stored is None:
        raise Damaged(path, "it is missing", _REMEDY)
    with reading(path, _REMEDY):
        return list(parts_of(stored["checks"], stored["seeds"]))
