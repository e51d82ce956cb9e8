"""A search space: a run configuration, plus which of its settings are searched, and how."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ...errors import ConfigError, Problem
from ...store import MEASURES, SPACE_FILE, write_text
from ..messages import NAME_PATTERN
from ..presets import with_presets
from ..run import Config, RunConfig, other_kind, validate, with_settings
from ..schema import Section
from ..settings import Settings, is_setting
from ..yaml import Data, Source, merge, named_source
from .checks import Parts, semantic_problems
from .distribution import METHOD, Distribution, Value, in_order, is_searched
from .given import TryFirst
from .halving import REFUSED_SCHEDULERS, By, at_share, runs_above, shares
from .objectives import Bounds, Objective, Pick
from .references import HEAD_ONLY, References
from .rules import Rule, parse_rule
from .samplers import Sampler, Search
from .seeds import MOST_SEEDS, is_raced, trial_seeds
from .winner import Confirm, FreshSeeds, fresh_seeds

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

# A task and a file, so that one wrong part of a run does not hide what is wrong in the others.
_WHATEVER: Data = {"task": "sentiment", "data": {"path": "-"}}

# What every run of a study sets that may not see the test split.
UNTESTED: Settings = {"training.score_test": False}

# The keys of each scheduler.
_ASHA, _HALVING = ("reduction_factor", "grace"), ("factor", "rungs", "by")

# With these every method can run.
_ANY_METHOD: Data = {"adapter": {"target_rank": 1}}


def _known_scheduler(name: Any) -> Any:
    if isinstance(name, str) and (why := REFUSED_SCHEDULERS.get(name.lower())):
        raise ValueError(f"{name!r} is not offered: {why}")
    return name


class Scheduler(Section):
    """How weak trials are told early.

    ``asha`` stops them while they run; see `early_stopping` for what it may not stop. ``halving``
    runs each trial shortened, and the best few anew, less and less shortened.
    """

    name: Annotated[Literal["asha", "halving", "none"], BeforeValidator(_known_scheduler)] = "asha"
    reduction_factor: int = Field(
        3, ge=2, description="with asha, one in so many continues from each rung"
    )
    grace: int | None = Field(
        None, ge=1, description="with asha, evaluations that every trial may do"
    )
    factor: int = Field(
        3, ge=2, le=100, description="with halving, one in so many begins anew at the next rung"
    )
    rungs: int = Field(
        3, ge=2, le=10, description="with halving, how many: the last one has whole runs"
    )
    by: By = Field("steps", description="with halving, what a shortened run has less of")

    @model_validator(mode="after")
    def _of_its_own(self) -> Scheduler:
        owner, others = ("asha", _ASHA) if self.name == "halving" else ("halving", _HALVING)
        for name in others:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"`{name}` is for {owner}, but the name is {self.name}")
        return self


class Resources(Section):
    """What one run takes, and how many run at once."""

    cpus_per_trial: float = Field(1.0, gt=0, description="of each of its devices")
    gpus_per_trial: float | None = Field(
        None, ge=0, description="the same; default: one where a node has one, else none"
    )
    devices_per_trial: int = Field(
        1,
        ge=1,
        description="processes that train one run together, on one node; each takes its part of "
        "every batch",
    )
    concurrent: int | None = Field(None, ge=1, description="default: as many as fit")
    interval_minutes: float | None = Field(
        None, gt=0, description="fail a run whose evaluation interval takes longer (it hangs)"
    )

    max_disk_gb: float | None = Field(
        None,
        gt=0,
        description="begin no run that would take the folder of the study or suite beyond so many "
        "GB (10⁹ bytes), judged by the largest run so far; those under way end",
    )

    @model_validator(mode="after")
    def _whole_devices(self) -> Resources:
        if self.devices_per_trial > 1 and self.gpus_per_trial not in (None, 0, 1):
            raise ValueError(
                "each of several devices is one whole GPU, or none: gpus_per_trial must be 1 or 0, "
                f"but got gpus_per_trial={self.gpus_per_trial:g}, "
                f"devices_per_trial={self.devices_per_trial}"
            )
        return self

    @property
    def cpus(self) -> float:
        """CPUs of one run, on all its devices."""
        return self.cpus_per_trial * self.devices_per_trial

    @property
    def gpus(self) -> float:
        """GPUs of one run, on all its devices; none where that is open."""
        return (self.gpus_per_trial or 0.0) * self.devices_per_trial

    def with_gpus(self, device: str, has_gpu: bool) -> Resources:
        """Return the same with the GPUs of a run decided, where they were left open.

        Args:
            device: ``training.device`` of the runs: those that ask for the CPU take no GPU.
            has_gpu: Whether there is one anywhere.
        """
        if self.gpus_per_trial is not None:
            return self
        gpus = float(has_gpu and device != "cpu")
        return self.model_copy(update={"gpus_per_trial": gpus})

    def fit(self, cpus: float, gpus: float) -> int:
        """Return how many runs at once fit on a node of so many; GPUs that are open count none."""
        by_cpu = math.floor(cpus / self.cpus)
        return min(by_cpu, math.floor(gpus / self.gpus)) if self.gpus else by_cpu


class _Compared(Section):
    references: References = {}


class _Ruled(Section):
    rules: list[str] = []


class _Tried(Section):
    try_first: TryFirst = []


class _Seeded(Section):
    seeds: int = Field(1, ge=1, le=MOST_SEEDS)
    race: bool | None = None


class _Aims(Section):
    objectives: list[Objective] = []
    pick: Pick | None = None


class Space(RunConfig):
    """A run configuration whose ``search`` says which settings vary.

    ``trials`` and ``hours`` bound the study; with both, the first one reached ends it.
    ``references`` are run once, outside the search, to compare the winner with: by name, what each
    one sets over the space's own settings.

    With several ``objectives`` the first one is ``objective`` too: it decides early stopping, and
    is the score that is shown. ``pick`` says which trial of their front wins. Trials whose results
    break ``constraints`` cannot win; settings that break ``rules`` are never run. ``try_first``
    are the settings of the first trials, before the sampler proposes any.

    With ``winner`` the best few trials run again on fresh seeds when the search is over, and one of
    them is chosen there. It and the references run on other seeds, which alone are reported: no
    trial scores the test split.

    With ``seeds`` a trial is that many runs, and its score is their mean; ``race`` ends a trial
    early that is behind the best one on the same seeds.
    """

    name: str = Field(pattern=NAME_PATTERN)
    search: dict[str, Distribution]
    references: References = {}
    objective: Objective = Objective()
    objectives: list[Objective] = Field([], description="several; the first one is a score")
    pick: Pick | None = Field(None, description="which trial of the front of `objectives` wins")
    constraints: dict[str, Bounds] = Field({}, description="by result: its least, its greatest")
    rules: list[str] = Field([], description="between settings: `adapter.target_rank <= adapter.r`")
    try_first: TryFirst = Field(
        [], description="settings of the first trials; what an entry leaves out is proposed"
    )
    winner: Confirm | None = Field(
        None, description="confirm the winner on fresh seeds after the search"
    )
    seeds: int = Field(
        1,
        ge=1,
        le=MOST_SEEDS,
        description="runs of each trial, on `seed` and those after it; its score is their mean",
    )
    race: bool | None = Field(
        None,
        description="with `seeds`, end a trial before its last seed when it is behind the best one "
        "on the same seeds; default: with one objective, but not with gp and cmaes",
    )
    sampler: Sampler = Sampler()
    scheduler: Scheduler = Scheduler()
    trials: int | None = Field(None, ge=1)
    hours: float | None = Field(None, gt=0)
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _first_objective(cls, data: Any) -> Any:
        several = data.get("objectives") if isinstance(data, dict) else None
        if "objective" in (data or {}) or not isinstance(several, list) or not several:
            return data
        first = several[0].get("metric") if isinstance(several[0], dict) else None
        return {**data, "objective": {"metric": first}} if isinstance(first, str) else data

    @property
    def goals(self) -> tuple[Objective, ...]:
        """Everything that is optimised, the score first."""
        return tuple(self.objectives) or (self.objective,)

    @property
    def search_task(self) -> Search:
        """What decides which samplers can search it."""
        return Search(
            settings=self.search,
            base=self.as_run_config(),
            rules=self.rules,
            objectives=len(self.goals),
            is_constrained=bool(self.constraints),
            is_pruned=self.scheduler.name == "asha" or self.is_raced,
            trials=self.trials,
        )

    @property
    def judged_by(self) -> dict[str, str | None]:
        """The metrics that decide, by the key that names them; sizes and costs are none."""
        named = {f"objectives.{i}.metric": item.metric for i, item in enumerate(self.objectives)}
        metrics = named or {"objective.metric": self.objective.metric}
        metrics |= {f"constraints.{name}": name for name in self.constraints}
        return {key: metric for key, metric in metrics.items() if metric not in MEASURES}

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What counts beside the score: the other objectives and the constraints, by name."""
        named = [*(str(goal.metric) for goal in self.goals[1:]), *self.constraints]
        return tuple(dict.fromkeys(named))

    @property
    def parsed_rules(self) -> tuple[Rule, ...]:
        """The rules between settings."""
        return tuple(map(parse_rule, self.rules))

    @property
    def outside(self) -> list[str]:
        """The runs outside the search by name: the head alone, then those of ``references``."""
        head_only = [] if self.method == self.floor_method else [HEAD_ONLY]
        return [*head_only, *self.references]

    @property
    def runs(self) -> int | None:
        """How many runs there will be at most; ``None`` where hours alone bound the study."""
        if self.trials is None:
            return None
        beside = len(self.outside) if self.winner is None else self.fresh_runs
        above = sum(runs_above(self.trials, self.scheduler)) if self.is_halved else 0
        return self.trials * self.seeds + above + beside

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        """The seeds that each trial runs on, in their order."""
        return trial_seeds(self.seed, self.seeds)

    @property
    def is_raced(self) -> bool:
        """Whether trials may end before all their seeds have run."""
        return is_raced(self.seeds, self.race, len(self.goals), self.sampler.name)

    @property
    def is_halved(self) -> bool:
        """Whether its trials are shortened runs, the best of which begin anew."""
        return self.scheduler.name == "halving"

    @property
    def whole_runs(self) -> float | None:
        """As many whole runs as all its runs together take; ``None`` where hours alone bound it."""
        if self.runs is None or self.trials is None or not self.is_halved:
            return self.runs
        counts = [self.trials, *runs_above(self.trials, self.scheduler)]
        parts = zip(counts, shares(self.scheduler), strict=True)
        return self.runs - sum(counts) + float(sum(count * share for count, share in parts))

    @property
    def fresh_seeds(self) -> FreshSeeds | None:
        """The seeds on which the winner is confirmed; ``None`` without `winner`."""
        return None if self.winner is None else fresh_seeds(self.winner, self.trial_seeds)

    @property
    def fresh_runs(self) -> int:
        """How many runs confirm the winner, at most: fewer trials than `top` may be complete."""
        if self.winner is None:
            return 0
        choosing = self.winner.top if self.winner.top > 1 else 0
        return self.winner.seeds * (choosing + 1 + len(self.outside))

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the searched settings as Optuna distributions, conditional ones included."""
        return {name: item.to_optuna() for name, item in in_order(self.search)}

    def suggest(self, trial: BaseTrial) -> dict[str, Value]:
        """Let an Optuna trial choose every setting that it searches; see ``is_searched``."""
        params: dict[str, Value] = {}
        for name, item in in_order(self.search):
            if is_searched(name, item, params):
                params[name] = item.suggest(trial, name)
        return params

    def run_config(self, params: Mapping[str, Value] | None = None) -> RunConfig:
        """Return the run that these settings describe.

        Raises:
            ConfigError: The settings do not go together.
        """
        return with_settings(self.as_run_config(), dict(params or {}))

    def trial_config(self, params: Mapping[str, Value]) -> RunConfig:
        """Return the run of a trial: with `winner` it does not score the test split.

        With halving it is that of the first rung.

        Raises:
            ConfigError: The settings do not go together.
        """
        if self.is_halved:
            return self.rung_config(params, 1)
        config = self.run_config(params)
        return config if self.winner is None else with_settings(config, dict(UNTESTED))

    def rung_config(self, params: Mapping[str, Value], rung: int) -> RunConfig:
        """Return the run of a rung, from 1: only the last one scores the test split.

        With `winner` none of them does.

        Raises:
            ConfigError: The settings do not go together, or not in so short a run.
        """
        share = shares(self.scheduler)[rung - 1]
        config = at_share(self.run_config(params), share, self.scheduler.by)
        is_tested = share == 1 and self.winner is None
        return config if is_tested else with_settings(config, dict(UNTESTED))

    def other_models(self) -> list[tuple[str, RunConfig]]:
        """Return runs for every searched model and what must fit one, for `check_inputs`."""
        runs = []
        if self.is_halved:  # by data it takes as many steps
            first = at_share(self.run_config(), shares(self.scheduler)[0], "steps")
            runs.append(("scheduler.rungs", first))
        for name, item in self.search.items():
            with_it = {METHOD: "peft"} if name.startswith("peft.") and METHOD in self.search else {}
            if name.startswith(("model.", "adapter.", "peft.", "language.")) or name in (
                METHOD,
                "data.max_length",
            ):
                for value in item.endpoints():
                    try:
                        runs.append(("search", self.run_config({name: value, **with_it})))
                    except ConfigError:
                        continue  # only with other values of what else is searched
        return runs

    def write(self, folder: Path) -> Path:
        """Write ``space.yaml`` with every key spelled out, and return its path."""
        path = folder / SPACE_FILE
        write_text(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))
        return path


def load_space(name: str, overrides: Sequence[str] = ()) -> Space:
    """Read a space by path, by file name or by the bare name of a shipped one.

    Args:
        name: ``rte.yaml``, ``rte``, or a path.
        overrides: ``key=value`` assignments; a searched setting that is assigned becomes fixed.

    Raises:
        UserError: No such file.
        ConfigError: Everything that is wrong with it, each with its place.
    """
    return validate_space(space_source(name, overrides))


def space_source(name: str, overrides: Sequence[str] = ()) -> Source:
    """Read a space as ``load_space`` does, but do not check it.

    Raises:
        UserError: No such file.
        ConfigError: The file or an assignment is no YAML.
    """
    return named_source(name, "search_spaces", overrides)


def validate_space(source: Source) -> Space:
    """Turn a source into a space that can run.

    Raises:
        ConfigError: Every mistake: keys and types, then distributions that no setting can take,
            settings that do not go together, and early stopping that would mislead.
    """
    source.check_size()
    source = with_presets(source)
    space, problems = _typed(source)
    problems += semantic_problems(_parts(source.data), source)
    if problems or space is None:
        raise source.error(problems)
    return space


def typed_space(source: Source) -> Space:
    """Turn a source that was checked before (a study's own file) into a space: by its types alone.

    Raises:
        ConfigError: Wrong keys and types.
    """
    source.check_size()
    space, problems = _typed(source)
    if space is None:
        raise source.error(problems)
    return space


def _typed(source: Source) -> tuple[Space | None, list[Problem]]:
    # A fixed value that the search never uses must not clash with a searched one, so a second
    # try puts the lowest searched values in its place.
    try:
        return validate(source, Space), []
    except ConfigError as error:
        problems = error.problems
    try:
        return validate(Source(_with_lowest(source.data), source.where, source.name), Space), []
    except ConfigError:
        return None, problems


def _parts(data: Data) -> Parts:
    """Return what is right in a source, so that one mistake does not hide the others."""
    search, good = data.get("search"), {}
    for name, item in search.items() if isinstance(search, dict) else ():
        parsed = _tolerant(item, Distribution)
        if parsed is not None:
            good[str(name)] = parsed
    names = [str(name) for name in search] if isinstance(search, dict) else []
    filled = _with_lowest(data)
    base: Data = {}
    for key in RunConfig.model_fields:
        if key in filled and _tolerant({**_WHATEVER, **_ANY_METHOD, key: filled[key]}, RunConfig):
            base[key] = filled[key]
    run = _tolerant(base, RunConfig)
    if run is not None and other_kind(run):  # reported already
        run = run.model_copy(update={"data": run.data.model_copy(update={"kind": None})})
    objective = _tolerant(data.get("objective", {}), Objective)
    task_known = run is not None and ("task" in base or "task" not in filled)
    aims = {key: data[key] for key in ("objectives", "pick") if key in data}
    bounds = data.get("constraints")
    constraints = {
        str(name): accepted
        for name, item in (bounds.items() if isinstance(bounds, dict) and task_known else ())
        if (accepted := _tolerant(item, Bounds)) is not None
    }
    ruled = _tolerant({"rules": data.get("rules", [])}, _Ruled)
    tried = _tolerant({"try_first": data.get("try_first", [])}, _Tried)
    seeded = _tolerant({k: data[k] for k in ("seeds", "race") if k in data}, _Seeded) or _Seeded()
    compared = _tolerant({"references": data.get("references", {})}, _Compared)
    return Parts(
        names=names,
        search=good,
        base=run or _tolerant({**base, **_WHATEVER}, RunConfig),
        references=compared.references if compared else {},
        metric=objective.metric if objective and task_known else None,
        direction=objective.direction if objective else None,
        aims=(_tolerant(aims, _Aims) if task_known else None) or _Aims(),
        constraints=constraints,
        rules=ruled.rules if ruled else [],
        try_first=tried.try_first if tried else [],
        scheduler=_tolerant(data.get("scheduler", {}), Scheduler),
        sampler=_tolerant(data.get("sampler", {}), Sampler),
        trials=data["trials"] if isinstance(data.get("trials"), int) else None,
        winner=_tolerant(data["winner"], Confirm) if data.get("winner") is not None else None,
        seeds=seeded.seeds,
        race=seeded.race,
        bounded=data.get("trials") is not None or data.get("hours") is not None,
        resources=_tolerant(data.get("resources", {}), Resources),
    )


def _tolerant(data: Any, kind: type[Config]) -> Config | None:
    try:
        return kind.model_validate(data)
    except ValidationError:
        return None


def _with_lowest(data: Data) -> Data:
    search = data.get("search")
    for name, item in search.items() if isinstance(search, dict) else ():
        parsed = _tolerant(item, Distribution)
        if parsed is None or parsed.when is not None or not is_setting(name):
            continue
        value: Any = parsed.endpoints()[0]
        for part in reversed(name.split(".")):
            value = {part: value}
        data = merge(data, value)
    return data
