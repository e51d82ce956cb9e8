"""What a report costs, and what its page weighs: `python -m benchmarks.report`.

Suites and studies of many runs are made from the stored records of docs/results/components: every
run is one of those, under another seed or as another trial. Each report is written by the command
itself, in a process of its own, whose processor time (user and system) is told.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from lora2_search.report.archive.archive import unpack_archive

from .__main__ import PAGE, REPORTS, target
from .machine import today_here

SUITE = PAGE.parent / "results" / "components"
PREDICTIONS, RECORD = "predictions.parquet", "record.json"

# Seconds of processor time and megabytes of the page, by what is reported and how much of it.
TARGETS: dict[tuple[str, int], tuple[float | None, float]] = {
    ("suite", 200): (None, 2.0),
    ("suite", 400): (8.0, 5.0),
    ("suite", 2000): (60.0, 8.0),
    ("study", 100): (None, 2.0),
    ("study", 2000): (20.0, 5.0),
}


def write_suite(archive: Path, folder: Path, runs: int) -> Path:
    """Write a suite of at least so many runs, and return its folder."""
    plan = yaml.safe_load((archive / "suite.yaml").read_text(encoding="utf-8"))
    stored, arms = list(plan["seeds"]), list(plan["arms"])
    seeds = [1000 + place for place in range(math.ceil(runs / len(arms)))]
    folder.mkdir(parents=True)
    whole = {**plan, "name": folder.name, "seeds": seeds, "added_seeds": []}
    (folder / "suite.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    for arm in arms:
        for place, seed in enumerate(seeds):
            source = archive / "runs" / f"{arm}-seed{stored[place % len(stored)]}"
            _copy(source, folder / "runs" / f"{arm}-seed{seed}", {"seed": seed})
    return folder


def _copy(source: Path, run: Path, settings: dict[str, Any], **told: Any) -> None:
    """Copy a run, with these settings (dotted) and what else its record tells."""
    run.mkdir(parents=True)
    record = json.loads((source / RECORD).read_text(encoding="utf-8"))
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        (record["config"][section] if section else record["config"])[key] = value
    (run / RECORD).write_text(json.dumps({**record, **told}), encoding="utf-8")
    if (source / PREDICTIONS).exists():
        shutil.copy(source / PREDICTIONS, run / PREDICTIONS)


SEARCH: dict[str, dict[str, Any]] = {
    "training.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "adapter.k": {"type": "int", "low": 1, "high": 16},
    "adapter.gamma": {"type": "float", "low": 0.0, "high": 1.0},
    "adapter.scoring": {"type": "categorical", "choices": ["full", "reduced"]},
}


def write_study(archive: Path, folder: Path, trials: int) -> Path:
    """Write a study of so many trials, of which every fifth was pruned, and return its folder."""
    import optuna
    from scipy.stats import qmc

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first = yaml.safe_load((archive / "suite.yaml").read_text(encoding="utf-8"))["seeds"][0]
    source = archive / "runs" / f"base-seed{first}"
    record = json.loads((source / RECORD).read_text(encoding="utf-8"))
    folder.mkdir(parents=True)
    space = {**record["config"], "name": folder.name, "search": SEARCH, "trials": trials}
    (folder / "space.yaml").write_text(yaml.safe_dump(space, sort_keys=False), encoding="utf-8")
    storage = f"sqlite:///{folder / 'study.db'}"
    study = optuna.create_study(storage=storage, study_name=folder.name, direction="maximize")
    points = qmc.Halton(len(SEARCH), seed=0).random(trials)
    study.add_trials(
        [_trial(source, folder, number, list(point)) for number, point in enumerate(points)]
    )
    return folder


def _trial(source: Path, folder: Path, number: int, point: list[float]) -> Any:
    """Write the run of a trial, and return the trial as Optuna has it."""
    from optuna.trial import TrialState, create_trial

    params = {
        name: _value(item, at) for (name, item), at in zip(SEARCH.items(), point, strict=True)
    }
    off = abs(math.log10(params["training.lr"]) + 2.5)
    score, pruned = 0.6 + 0.2 * math.exp(-off) + number % 7 / 99, number % 5 == 3
    values = {at: score - 0.05 * (5 - at) for at in range(1, 3 if pruned else 6)}
    scores = {"validation/accuracy": score, "test/accuracy": score - 0.02}
    history = [
        {"step": 12 * at, "time_ms": 1000 * at, "metrics": {"validation/accuracy": value}}
        for at, value in values.items()
    ]
    times = {"started_ms": 1 + 20_000 * number, "ended_ms": 39_000 + 20_000 * number}
    told = {"history": history, **times, "scores": {} if pruned else scores}
    told["status"] = "pruned" if pruned else "completed"
    _copy(source, folder / "trials" / f"{number:05d}", params, **told)
    return create_trial(
        state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
        value=score,
        params=params,
        distributions={name: _distribution(item) for name, item in SEARCH.items()},
        intermediate_values=values,
        user_attrs={"reason": "weaker than others at the same step"} if pruned else {},
    )


def _value(item: dict[str, Any], at: float) -> Any:
    """Return what stands at a share of a range."""
    if item["type"] == "categorical":
        return item["choices"][int(at * len(item["choices"]))]
    low, high = item["low"], item["high"]
    if item.get("log"):
        return low * (high / low) ** at
    return low + int(at * (high - low + 1)) if item["type"] == "int" else low + at * (high - low)


def _distribution(item: dict[str, Any]) -> Any:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if item["type"] == "categorical":
        return CategoricalDistribution(item["choices"])
    if item["type"] == "int":
        return IntDistribution(item["low"], item["high"])
    return FloatDistribution(item["low"], item["high"], log=item.get("log", False))


def reported(folder: Path) -> tuple[float, float]:
    """Write a report; return seconds of processor time, and megabytes of its page."""
    storage, before = folder.parent.parent, _spent()
    command = [sys.executable, "-m", "lora2_search", "report", folder.name]
    subprocess.run([*command, "--storage", storage], check=True, stdout=subprocess.DEVNULL)
    return _spent() - before, (folder / "report.html").stat().st_size / 1e6


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(what: str, many: int) -> list[tuple[str, str, str]]:
    """Return the rows of one report."""
    seconds, megabytes = TARGETS[what, many]
    with tempfile.TemporaryDirectory() as scratch, unpack_archive(SUITE) as archive:
        if what == "suite":
            folder = write_suite(archive, Path(scratch) / "suites" / f"of{many}", many)
            of = f"{sum(1 for _ in (folder / 'runs').iterdir()):,} runs"
        else:
            folder = write_study(archive, Path(scratch) / "studies" / f"of{many}", many)
            of = f"{many:,} trials"
        spent, weight = reported(folder)
    bound = f"<= {seconds:g} s" if seconds else ""
    return [
        (f"`report` of a {what} of {of}, processor time", f"{spent:.1f} s", bound),
        ("its page", f"{weight:.2f} MB", f"<= {megabytes:g} MB"),
    ]


def write(table: list[tuple[str, str, str]]) -> None:
    """Write the section of reports, behind the other benchmarks."""
    others = PAGE.read_text(encoding="utf-8").partition(REPORTS)[0].rstrip()
    lines = [
        others,
        "",
        REPORTS,
        "",
        "Written by `python -m benchmarks.report`: suites and studies made from stored records,",
        "each report by the command itself; processor time is user and system.",
        "",
        f"{today_here()} that other work shared "
        f"(load {os.getloadavg()[0]:.1f}), Python {platform.python_version()}.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {name} | {value} | {target(value, wanted)} |" for name, value, wanted in table),
        "",
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("suite", "study"), help="of one kind; prints its rows")
    parser.add_argument("--many", type=int, help="of one size alone; prints its rows")
    given = parser.parse_args()
    chosen = [
        (what, many)
        for what, many in TARGETS
        if given.only in (None, what) and given.many in (None, many)
    ]
    table = []
    for what, many in chosen:
        table += measure(what, many)
        print(*table[-2:], sep="\n", flush=True)
    if len(chosen) == len(TARGETS):
        write(table)
