"""Run every benchmark and write docs/benchmarks.md: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch

from . import method, search
from .machine import today_here

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

# Sentences of a trial so short that what is around it shows.
SHORT = 64

# What others write on the same page, below: by hand, and last what `benchmarks.report` writes.
START = "## Start of a search"
REPORTS = "## Reports"


def help_seconds(repeats: int = 9) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        command = [sys.executable, "-m", "lora2_search", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def rows(steps: int, sentences: int) -> list[tuple[str, str, str]]:
    load = os.getloadavg()[0]
    print(f"load at the start: {load:.2f}", flush=True)
    taken = method.measure(steps)
    print(taken, flush=True)
    found = search.measure(sentences)
    print(found, flush=True)
    short = search.measure(SHORT)
    print(short, flush=True)
    return [
        *taken,
        (
            f"Two bare warm processes / study, 16 trials of {sentences} sentences",
            f"{found['efficiency']:.3f} ({found['bare']:.1f} / {found['span']:.1f} s)",
            ">= 0.98",
        ),
        (
            f"the same, {SHORT} sentences",
            f"{short['efficiency']:.3f} ({short['bare']:.1f} / {short['span']:.1f} s)",
            ">= 0.93",
        ),
        (
            "Start-up of a study, to the first trial's start",
            f"{median([found['start-up'], short['start-up']]):.1f} s",
            "<= 10 s",
        ),
        (
            "Gap between two trials on a worker, median (largest)",
            f"{found['gap']:.2f} s ({found['largest gap']:.2f} s)",
            "<= 0.2 s",
        ),
        ("Driver's time in tracking / wall", f"{found['tracking']:.2%}", "<= 1 %"),
        ("`python -m lora2_search --help`, median of 9", f"{help_seconds():.2f} s", "<= 0.5 s"),
        ("Machine load at the start", f"{load:.2f}", ""),
    ]


def target(value: str, wanted: str) -> str:
    """Return a target as the table shows it: whether it was missed, by the value's first number."""
    if not wanted:
        return ""
    measured, bound = (float(re.findall(r"[\d.]+", text)[0]) for text in (value, wanted))
    missed = measured > bound if wanted.startswith("<=") else measured < bound
    return f"{wanted}: **missed**" if missed else wanted


def write(table: list[tuple[str, str, str]]) -> None:
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m benchmarks`. Ratios are taken within one run; the other numbers",
        "depend on how quiet the machine was. A target that was not reached is marked *missed*.",
        "",
        f"{today_here()}, no GPU, Python {platform.python_version()}, torch {torch.__version__}.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {name} | {value} | {target(value, wanted)} |" for name, value, wanted in table),
        "",
    ]
    _, title, others = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text("\n".join([*lines, f"{title}{others}".rstrip()]) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="steps of each method")
    parser.add_argument("--sentences", type=int, default=320, help="training sentences of a trial")
    given = parser.parse_args()
    write(rows(given.steps, given.sentences))
