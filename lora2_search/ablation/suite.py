"""A suite: a run configuration, arms that each change something of it, and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from ..config import RunConfig, validate, with_settings
from ..errors import ConfigError, Problem
from ..home import find_file
from ..mistakes import NAME_PATTERN
from ..observer import RunInfo
from ..search.space import Resources
from ..source import Source, read_yaml, with_overrides
from ..training.record import write_text
from .consistency import BASE, Parts, semantic_problems

SUITE_FILE = "suite.yaml"
RUNS_FOLDER = "runs"
FLOOR = "head-only"


def _some_seeds(seeds: int | list[int]) -> int | list[int]:
    if isinstance(seeds, int):
        if seeds < 1:
            raise ValueError(f"must be a count (1, 2 ...) or a list of seeds, got {seeds}")
    elif not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"must list different seeds of 0 or more, at least one, got {seeds}")
    return seeds


def _a_pair(pair: list[str]) -> list[str]:
    if len(pair) != 2:
        raise ValueError(f"must be a pair [arm, reference], got {pair}")
    return pair


class Suite(RunConfig):
    """Arms × seeds of one run configuration, the base.

    Attributes:
        name: Names its folder.
        arms: What each arm changes, as dotted settings; ``base`` changes nothing.
        seeds: How many, counted from ``seed``, or a list.
        metric: What is compared, on the test split; ``None`` is the task's own.
        comparisons: ``[arm, reference]`` pairs; ``None`` is every arm but the floor against base.
        floor: The head-only arm that tells whether the base was trained; ``None`` does without.
        resources: What one run takes.
    """

    name: str = Field(pattern=NAME_PATTERN)
    arms: dict[str, dict[str, Any]]
    seeds: Annotated[int | list[int], AfterValidator(_some_seeds)] = 6
    metric: str | None = None
    comparisons: list[Annotated[list[str], AfterValidator(_a_pair)]] | None = None
    floor: str | None = FLOOR
    resources: Resources = Resources()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        return _normalised(data) if isinstance(data, dict) else data

    @property
    def seed_list(self) -> list[int]:
        """The seeds one by one."""
        if isinstance(self.seeds, int):
            return list(range(self.seed, self.seed + self.seeds))
        return self.seeds

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The (arm, reference) comparisons: the family that is corrected together."""
        if self.comparisons is None:
            return [(arm, BASE) for arm in self.arms if arm not in (BASE, self.floor)]
        return [(arm, reference) for arm, reference in self.comparisons]

    def run_config(self, arm: str, seed: int) -> RunConfig:
        """Return the run of an arm with a seed.

        Raises:
            ConfigError: What the arm changes does not go with the base.
        """
        base = RunConfig(**{name: getattr(self, name) for name in RunConfig.model_fields})
        return with_settings(base, {**self.arms[arm], "seed": seed})

    def runs(self, folder: Path) -> list[RunInfo]:
        """Return all runs, seed by seed, so that every arm has its first seed early."""
        return [
            RunInfo(
                key=f"{arm}-seed{seed}",
                name=f"{arm}, seed {seed}",
                config=self.run_config(arm, seed),
                settings=self.arms[arm],
                folder=folder / RUNS_FOLDER / f"{arm}-seed{seed}",
                tags={"arm": arm},
            )
            for seed in self.seed_list
            for arm in self.arms
        ]

    def spelled_out(self) -> dict[str, Any]:
        """Return the suite as plain values, every default, seed and comparison written out."""
        data = self.model_dump(mode="json", exclude={"seed"})
        return data | {"seeds": self.seed_list, "comparisons": [list(pair) for pair in self.pairs]}

    def write(self, folder: Path) -> Path:
        """Write ``suite.yaml`` as ``spelled_out``, and return its path."""
        path = folder / SUITE_FILE
        write_text(path, yaml.safe_dump(self.spelled_out(), sort_keys=False))
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
    path = find_file(name, "ablations")
    source = read_yaml(path)
    source.data.setdefault("name", path.stem)
    return with_overrides(source, overrides)


def validate_suite(source: Source) -> Suite:
    """Turn a source into a suite that can run.

    Raises:
        ConfigError: Every mistake: keys and types, then arms that name unknown settings, cannot
            run or repeat another, comparisons of arms that do not exist, and too few seeds.
    """
    problems: list[Problem] = []
    suite = None
    try:
        suite = validate(source, Suite)
    except ConfigError as error:
        problems += error.problems
    problems += semantic_problems(_parts(source), source)
    if problems or suite is None:
        raise ConfigError(list(dict.fromkeys(problems)))
    return suite


def _parts(source: Source) -> Parts:
    """Return what is right in a source, so that one mistake does not hide the others."""
    data = _normalised(source.data)
    arms, pairs = data.get("arms"), data.get("comparisons")
    arms = arms if isinstance(arms, dict) else {}
    pairs = pairs if isinstance(pairs, list) else []
    settings = {key: data[key] for key in RunConfig.model_fields if key in data}
    try:
        base = validate(Source(settings), RunConfig)
    except ConfigError:
        base = None
    return Parts(
        base=base,
        names=list(arms),
        arms={name: value for name, value in arms.items() if isinstance(value, dict)},
        pairs={index: pair for index, pair in enumerate(pairs) if _is_pair(pair)},
        tests=data.get("comparisons") != [],
        seeds=_read(data, "seeds"),
        floor=_read(data, "floor"),
        metric=_read(data, "metric"),
        seed_given="seed" in data,
    )


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)
    )


def _read(data: dict[str, Any], key: str) -> Any:
    field = Suite.model_fields[key]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        return TypeAdapter(kind).validate_python(data.get(key, field.default), strict=True)
    except ValidationError:
        return field.default


def _normalised(data: dict[str, Any]) -> dict[str, Any]:
    """Add the base arm, and write nested settings of an arm as dotted ones."""
    arms = data.get("arms", {})
    if not isinstance(arms, dict):
        return data
    flat = {
        str(name): _dotted(settings) if isinstance(settings, dict) else settings
        for name, settings in arms.items()
    }
    base = flat.pop(BASE, None)
    return {**data, "arms": {BASE: {} if base is None else base, **flat}}


def _dotted(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        result |= _dotted(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return result
