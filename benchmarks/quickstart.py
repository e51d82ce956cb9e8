"""What the packaged search finds from the recommended settings, beside the published ones.

``python -m benchmarks.quickstart`` searches both spaces with every seed: 8 trials each, the same
trials otherwise. What each search found is kept in docs/results/quickstart.jsonl as it ends, so
that one that was stopped goes on; the page is made from that file alone (``--page`` makes it
without searching anything). Some eight minutes a search on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from lora2_search.config.presets import PRESETS
from lora2_search.search.study import load_study
from lora2_search.stats import paired
from lora2_search.verification.plan import BEGINNING

from .machine import today_here

RESULTS = Path(__file__).parent.parent / "docs" / "results"
RUNS, PAGE = RESULTS / "quickstart.jsonl", RESULTS / "quickstart.md"

# Seeds and a split that nothing else uses (docs/status.md).
SEEDS = range(90, 95)
SPLIT = 6

PUBLISHED, RECOMMENDED = "published", "recommended"

# Over quickstart.yaml: how each preset begins, and a rate in a range of the same width around what
# suits it. Both search k, target_rank and gamma in the same ranges.
RATES = {PUBLISHED: (5e-3, 1e-3, 2e-2), RECOMMENDED: (1e-3, 3e-4, 6e-3)}
SPACES: dict[str, dict[str, Any]] = {
    preset: {
        **{setting: PRESETS[preset][setting] for setting in BEGINNING},
        "training.lr": rate,
        "search.training.lr": {"type": "float", "low": low, "high": high, "log": True},
    }
    for preset, (rate, low, high) in RATES.items()
}

Row = dict[str, Any]


def search(space: str, seed: int, extra: Sequence[str] = ()) -> Row:
    """Run one search by the command that users run; what it found, and how long it took."""
    own = {"seed": seed, "sampler.seed": seed, "data.split_seed": SPLIT, **SPACES[space]}
    changes = [f"{key}={json.dumps(value)}" for key, value in own.items()]
    name = f"{space}-{seed}"
    with tempfile.TemporaryDirectory() as storage:
        command = [sys.executable, "-m", "lora2_search", "tune", "--space", "quickstart.yaml"]
        command += ["--name", name, "--storage", storage]
        command += ["--tracking-uri", f"sqlite:///{storage}/mlflow.db"]
        for change in (*changes, "references=null", *extra):
            command += ["--set", change]
        start = time.perf_counter()
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - start
        # Records are read when they are asked for, and the folder passes.
        return {
            "space": space,
            "seed": seed,
            "seconds": round(seconds, 1),
            **found_in(name, storage),
        }


def found_in(name: str, storage: str) -> Row:
    """What a search found: its winner's settings, scores and served weights."""
    study = load_study(name, Path(storage))
    winner = study.best
    assert winner is not None and winner.record is not None, f"no trial of {name} is complete"
    metric = study.space.objective.metric
    return {
        "trial": winner.number,
        "params": dict(winner.params),
        "validation": winner.record.scores[f"validation/{metric}"],
        "test": winner.record.scores[f"test/{metric}"],
        "compressed": winner.record.counts["compressed_adapter"],
        "made": today_here(),
    }


def rows() -> list[Row]:
    """What has been found so far."""
    lines = RUNS.read_text(encoding="utf-8").splitlines() if RUNS.exists() else []
    return [json.loads(line) for line in lines]


def run(seeds: Sequence[int], extra: Sequence[str] = ()) -> None:
    """Run the searches that are not there yet, both spaces of a seed in turn."""
    done = {(row["space"], row["seed"]) for row in rows()}
    for seed in seeds:
        # Whichever goes first may find the machine in another state.
        for space in (*SPACES,) if seed % 2 == 0 else (*reversed(SPACES),):
            if (space, seed) not in done:
                row = search(space, seed, extra)
                with RUNS.open("a", encoding="utf-8") as file:
                    print(json.dumps(row), file=file, flush=True)


def page() -> str:
    """Return the page, made from what has been found."""
    found = {(row["space"], row["seed"]): row for row in rows()}
    seeds = sorted({seed for _, seed in found if all((space, seed) in found for space in SPACES)})
    if not seeds:
        raise SystemExit("no seed has been searched in both spaces yet")
    pairs = [(found[RECOMMENDED, seed], found[PUBLISHED, seed]) for seed in seeds]
    test = paired([ours["test"] - theirs["test"] for ours, theirs in pairs])
    times = median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs)
    table = [
        f"| {seed} | {ours['test']:.4f} | {theirs['test']:.4f} | "
        f"{100 * (ours['test'] - theirs['test']):+.2f} | {ours['compressed']:,} | "
        f"{theirs['compressed']:,} | {ours['seconds']:.0f} | {theirs['seconds']:.0f} |"
        for seed, (ours, theirs) in zip(seeds, pairs, strict=True)
    ]
    made = "; ".join(sorted({row["made"] for row in rows()}))
    return "\n".join(
        [
            "# The packaged search, from the recommended and from the published settings",
            "",
            f"Written by `python -m benchmarks.quickstart`. Searches made {made}, no GPU.",
            f"`quickstart.yaml` with {len(seeds)} seeds ({seeds[0]} to {seeds[-1]}; sampler, data "
            f"order and initialisation) and `split_seed: {SPLIT}`, in both spaces: test accuracy",
            "of the winner of 8 trials, which validation sentences chose; the weights that it "
            "serves; seconds of the whole command, without the references.",
            "",
            "| seed | recommended | published | difference, points | weights, recommended | "
            "weights, published | s, recommended | s, published |",
            "| ---: |" + " ---: |" * 7,
            *table,
            "",
            _verdict(test),
            "",
            f"Wall time, recommended / published, median over seeds: {times:.3f}.",
            "",
        ]
    )


def _verdict(test: Any) -> str:
    if test.p is None:
        return f"One seed: mean difference {100 * test.estimate:+.2f} points; no test is possible."
    return (
        f"Recommended − published: {100 * test.estimate:+.2f} points "
        f"({100 * test.low:+.2f} to {100 * test.high:+.2f}, paired t, p = {test.p:.3g}, "
        f"n = {test.n} seeds). With so few seeds the exact test can reject nothing."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="write the page, search nothing")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="extra")
    given = parser.parse_args()
    if not given.page:
        run(SEEDS, given.extra)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
