"""The schema of an ablation suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, model_validator

from ...errors import ConfigError, Problem, UserError, did_you_mean
from ...store import RUNS_FOLDER, SUITE_FILE, TUNING_FOLDER, write_text
from ..messages import NAME_PATTERN
from ..presets import with_presets
from ..run import RunConfig, misplaced, mistyped, validate, with_settings
from ..run_info import RunInfo
from ..settings import Settings, dotted
from ..space import Resources
from ..yaml import Data, KeyPath, Source, named_source
from .canonical import Difference, difference
from .checks import semantic_problems
from .design import KEYS, expand
from .partial import base_of, parts_of
from .terms import BASE, FLOOR, Equivalence, Seeds, Sequential, Tuning, listed

_STORED = {"cells", "tuned", "open_ends", "until_decided", "added_seeds"}


def _a_pair(pair: list[str]) -> list[str]:
    if len(pair) != 2:
        raise ValueError(f"must be a pair [arm, reference], got {pair}")
    return pair


class Suite(RunConfig):
    """Arms × tasks × seeds of one run configuration, the base.

    A file may also hold ``design`` and ``factors``, or ``designs``: they are expanded to ``arms``,
    ``cells``, ``contrasts`` and ``comparisons`` before a suite is made of it (``design.expand``).

    Attributes:
        name: Names its folder.
        arms: What each arm changes, as dotted settings; ``base`` changes nothing.
        cells: The level of every factor by block and arm, where a design made the arms.
        seeds: How many, counted from ``seed``, or a list.
        tasks: What each task changes; every arm runs every seed under each. ``{}`` is one task,
            the base's own.
        metric: What is compared, on the test split; ``None`` is the task's own.
        comparisons: ``[arm, reference]`` pairs; ``None`` is every arm but the floor against base.
        contrasts: Weights over arms, by name; each sums to 0.
        equivalence: Pairs that may prove to be the same.
        floor: The head-only arm that tells whether the base was trained; ``None`` does without.
        sequential: When to look while seeds are added until all is decided.
        tuning: Grids that arms are tuned over before they are compared.
        tuned: What tuning chose, by arm; ``None`` while it has not.
        open_ends: The settings that tuning chose at an end of their grid that counts, by arm.
        until_decided: Seeds are added by the plan ``sequential``, not fixed before the run.
        added_seeds: Those of ``seeds`` that were asked for after the others had been run.
        resources: What one run takes.
    """

    name: str = Field(pattern=NAME_PATTERN)
    arms: dict[str, Settings]
    cells: dict[str, dict[str, dict[str, str]]] = {}
    seeds: Seeds = 6
    tasks: dict[str, Settings] = {}
    metric: str | None = None
    comparisons: list[Annotated[list[str], AfterValidator(_a_pair)]] | None = None
    contrasts: dict[str, dict[str, float]] = {}
    equivalence: list[Equivalence] = []
    floor: str | None = FLOOR
    sequential: Sequential = Sequential()
    tuning: Tuning | None = None
    tuned: dict[str, Settings] | None = None
    open_ends: dict[str, list[str]] = {}
    until_decided: bool = False
    added_seeds: list[int] = []
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return _normalised(data) if isinstance(data, dict) else data

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        return listed(self.seeds, self.seed)

    @property
    def base(self) -> RunConfig:
        """The run that every arm starts from."""
        return self.as_run_config()

    @property
    def task_names(self) -> list[str]:
        """The tasks by name; ``[""]`` where there is only the base's own."""
        return list(self.tasks) or [""]

    def on_task(self, task: str) -> Suite:
        """Return the suite with the settings of one of its ``task_names``, not checked again.

        Those of a section that this version lacks are left out, as in ``stored_plan``.
        """
        suite = self
        for key, value in (self.tasks[task] if task else {}).items():
            section, _, name = key.rpartition(".")
            if section and section not in type(suite).model_fields:
                continue
            if section:
                value = getattr(suite, section).model_copy(update={name: value})
            suite = suite.model_copy(update={section or name: value})
        return suite

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (arm, reference) comparisons: the family that is corrected together."""
        if self.comparisons is None:
            return [(arm, BASE) for arm in self.arms if arm not in (BASE, self.floor)]
        return [(arm, reference) for arm, reference in self.comparisons]

    def run_config(self, arm: str, seed: int, task: str = "") -> RunConfig:
        """Return the run of an arm with a seed, on a task of ``task_names``.

        Raises:
            ConfigError: What the arm changes does not go with the base.
        """
        changed = self.tasks[task] if task else {}
        return with_settings(self.base, {**changed, **self.arms[arm], "seed": seed})

    def differences(self) -> dict[str, Difference]:
        """Return what each arm changes in the end: setting, value in the base and in the arm."""
        return {arm: difference(self.base, self.run_config(arm, self.seed)) for arm in self.arms}

    def levels(self, arm: str) -> dict[str, str]:
        """Return the level of every factor, as the first block says that has the arm."""
        return next((cells[arm] for cells in self.cells.values() if arm in cells), {})

    def runs(self, folder: Path) -> list[RunInfo]:
        """Return all runs, seed by seed, so that every arm has its first seed early."""
        return [
            self._run(folder, arm, seed, task)
            for seed in self.seed_list
            for task in self.task_names
            for arm in self.arms
        ]

    def _run(self, folder: Path, arm: str, seed: int, task: str) -> RunInfo:
        key = f"{task}.{arm}-seed{seed}" if task else f"{arm}-seed{seed}"
        return RunInfo(
            key=key,
            name=f"{task}: {arm}, seed {seed}" if task else f"{arm}, seed {seed}",
            config=self.run_config(arm, seed, task),
            settings=self.arms[arm],
            folder=folder / RUNS_FOLDER / key,
            arm=arm,
            task=task,
            factors=self.levels(arm),
            metric=self.metric,
            split="test",
        )

    def tuning_runs(self, folder: Path) -> list[RunInfo]:
        """Return the runs that tune arms, trial by trial of every arm; none once it is done."""
        if self.tuning is None or self.tuned is not None:
            return []
        tuning = self.tuning
        return [
            self._tuning_run(folder, arm, number, trial, seed)
            for seed in tuning.seed_list
            for arm in tuning.arms
            for number, trial in enumerate(tuning.trials(arm))
        ]

    def _tuning_run(
        self, folder: Path, arm: str, number: int, trial: Settings, seed: int
    ) -> RunInfo:
        key = f"tuning.{arm}-{number}-seed{seed}"
        return RunInfo(
            key=key,
            name=f"tuning {arm}, trial {number}, seed {seed}",
            # What is chosen on validation scores need not have touched the test split.
            config=with_settings(
                self.run_config(arm, seed), {**trial, "training.score_test": False}
            ),
            settings={**self.arms[arm], **trial},
            folder=folder / TUNING_FOLDER / key.removeprefix("tuning."),
            arm=arm,
            trial=number,
            metric=self.metric,
        )

    def with_tuned(
        self,
        chosen: Mapping[str, Settings],
        open_ends: Mapping[str, Sequence[str]] | None = None,
    ) -> Suite:
        """Return the suite whose arms have the settings that tuning chose.

        Those of ``base`` become the suite's own, so arms that are not tuned share them.

        Args:
            chosen: The best trial of every tuned arm, as dotted settings.
            open_ends: The settings whose grids a wider one might beat, by arm, for the report.

        Raises:
            ConfigError: Two arms have become one run.
        """
        assert self.tuning is not None and set(chosen) == set(self.tuning.arms)
        data = self.spelled_out() | {"tuned": {arm: dict(trial) for arm, trial in chosen.items()}}
        data["open_ends"] = {arm: list(keys) for arm, keys in (open_ends or {}).items() if keys}
        own = with_settings(self.base, dict(chosen.get(BASE, {}))).model_dump(mode="json")
        data |= {key: value for key, value in own.items() if key != "seed"}
        data["arms"] = {
            arm: {**settings, **(chosen.get(arm, {}) if arm != BASE else {})}
            for arm, settings in self.arms.items()
        }
        return validate_suite(Source(data, name=self.name))

    def spelled_out(self) -> Data:
        """Return the suite as plain values, every default, seed and comparison written out."""
        data = self.model_dump(mode="json", exclude={"seed"})
        return data | {"seeds": self.seed_list, "comparisons": [list(pair) for pair in self.pairs]}

    def write(self, folder: Path) -> Path:
        """Write ``suite.yaml`` as ``spelled_out``, and return its path."""
        path = folder / SUITE_FILE
        write_text(path, yaml.safe_dump(self.spelled_out(), sort_keys=False, allow_unicode=True))
        return path


def load_suite(name: str, overrides: Sequence[str] = ()) -> Suite:
    """Read a suite by path, by file name or by the bare name of a shipped one.

    Args:
        name: ``quick.yaml``, ``quick``, or a path.
        overrides: ``key=value`` assignments, of the base or of an arm
            (``arms.random-allocation.adapter.r=4``).

    Raises:
        UserError: No such file.
        ConfigError: Everything that is wrong with it, each with its place.
    """
    return validate_suite(suite_source(name, overrides))


def suite_source(name: str, overrides: Sequence[str] = ()) -> Source:
    """Read a suite as ``load_suite`` does, but do not check it.

    Raises:
        UserError: No such file.
        ConfigError: The file or an assignment is no YAML.
    """
    return named_source(name, "ablations", overrides)


def validate_suite(source: Source) -> Suite:
    """Turn a source, its designs not expanded yet or expanded, into a suite that can run.

    Raises:
        ConfigError: Every mistake: keys and types, then designs that cannot be expanded, arms that
            name unknown settings, cannot run or repeat another, tests of arms that do not exist,
            and too few seeds.
    """
    source.check_size()
    source = with_presets(source)
    marked = any(key in source.data for key in ("arms", *KEYS))
    if not marked and (other := misplaced(source, "arms")) is not None:
        raise ConfigError([other])
    data = _normalised(source.data)
    base = base_of(data)
    expanded, problems = expand(Source(data, source.where, source.name), base)
    # Arms that a mistake keeps from being known must not be missed a second time.
    complete = not problems and not any(mistyped(source.data, key) for key in ("arms", *KEYS))
    complete &= base is not None or expanded.data is data
    suite = None
    try:
        suite = validate(expanded, Suite)
    except ConfigError as error:
        problems += [_meant(problem) for problem in error.problems]
    problems += semantic_problems(parts_of(expanded.data, Suite, complete=complete), expanded)
    if problems or suite is None:
        raise expanded.error(problems)
    return suite


def typed_suite(source: Source) -> Suite:
    """Turn a source that was checked before (a suite's own file) into a suite: by its types alone.

    Raises:
        ConfigError: Wrong keys and types.
    """
    source.check_size()
    return validate(source, Suite)


def _meant(problem: Problem) -> Problem:
    """Let the hint of an unknown key name what people write, not what only a stored suite has."""
    if not problem.message.startswith("unknown key") or "." in problem.key:
        return problem
    written = (Suite.model_fields.keys() - _STORED) | set(KEYS)
    return replace(problem, message=f"unknown key; {did_you_mean(problem.key, written)}")


def _normalised(data: Data) -> Data:
    """Add the base arm, and write nested settings of arms and tasks as dotted ones."""
    flat = {key: _flat(data[key]) for key in ("arms", "tasks") if isinstance(data.get(key), dict)}
    if "arms" in flat or "arms" not in data:
        arms = flat.get("arms", {})
        base = arms.pop(BASE, None)
        flat["arms"] = {BASE: {} if base is None else base, **arms}
    return {**data, **flat}


def _flat(named: Data) -> Data:
    return {
        str(name): dotted(settings) if isinstance(settings, dict) else settings
        for name, settings in named.items()
    }


def with_more_seeds(suite: Suite, count: int) -> Suite:
    """Return ``suite`` with ``count`` more seeds: those after the largest that it has.

    Raises:
        UserError: ``count`` is less than 1.
    """
    if count < 1:
        raise UserError(f"the number of seeds to add must be 1 or more, but got {count}")
    seeds = suite.seed_list
    first = max(seeds) + 1
    return suite.model_copy(update={"seeds": [*seeds, *range(first, first + count)]})


def as_grown(suite: Suite, stored: Suite) -> Suite:
    """Return ``suite``, which goes on with ``stored``, with the seeds that are new noted as added.

    Those of a suite that runs until it is decided are no addition: its plan foresees them.

    Raises:
        UserError: Seeds were taken away.
    """
    before, after = stored.seed_list, suite.seed_list
    if after[: len(before)] != before:
        raise UserError(
            f"a resume may add seeds but must keep those of the suite {suite.name}, {before}, "
            f"but got {after}"
        )
    added = [] if suite.until_decided else after[len(before) :]
    return suite.model_copy(update={"added_seeds": [*stored.added_seeds, *added]})


# Of each, what a file would have to say instead, as far as there is such a thing.
_WRITTEN: dict[KeyPath, str] = {
    ("tuning", "extended"): "`extend` says how often a grid may move on",
    ("tuned",): "settings that are known belong to the arms",
    ("open_ends",): "",
    ("added_seeds",): "`seeds` lists them all",
}

# What only a suite that runs writes of itself, dotted.
WRITTEN_KEYS = frozenset(_STORED | {".".join(path) for path in _WRITTEN})

# A stored plan spells out both; nobody writes them by hand.
_OF_STORED = {"cells", "tuned"}


def refuse_written(source: Source) -> None:
    """Make sure that a file does not hold what only a suite that runs writes of itself.

    The copy of a suite that ran may: it begins anew (``without_history``).

    Raises:
        ConfigError: It does; each such key with its place.
    """
    if source.data.keys() >= _OF_STORED:
        return
    problems = [
        Problem(".".join(path), _refusal(remedy), source.place(path))
        for path, remedy in _WRITTEN.items()
        if _value(source.data, path)
    ]
    if problems:
        raise source.error(problems)


def without_history(suite: Suite) -> Suite:
    """Return a suite as before its first run: what happened to the one it copies has not to it."""
    changes: Data = {"tuned": None, "added_seeds": [], "open_ends": {}}
    if suite.tuning is not None:
        changes["tuning"] = suite.tuning.model_copy(update={"extended": {}})
    return suite.model_copy(update=changes)


def _refusal(remedy: str) -> str:
    advice = f"; {remedy}" if remedy else ""
    return f"is written by the suite itself while it runs; leave it out{advice}"


def _value(data: Any, path: KeyPath) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data
