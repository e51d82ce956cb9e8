"""How far the best learning rate moves with k, r and P: ``python -m benchmarks.learning_rate``.

Every shape of adapter is trained at every rate with every seed, under the published
parametrisation and under ours; validation loss decides, no pruning. Finished runs are kept in
docs/results/learning_rate.jsonl, so a study that was stopped goes on; the page and the figure are
made from that file alone (``--page`` makes them without running anything).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from .machine import today_here

os.environ.setdefault("HF_HUB_OFFLINE", "1")

RESULTS = Path(__file__).parent.parent / "docs" / "results"
RUNS, PAGE, FIGURE = (RESULTS / f"learning_rate.{end}" for end in ("jsonl", "md", "svg"))

SHAPES: dict[str, dict[str, Any]] = {
    "P = 1, r = 8": {"adapter.k": []},
    "k = 1, r = 8": {"adapter.k": 1},
    "k = 8, r = 8": {"adapter.k": 8},
    "k = 32, r = 8": {"adapter.k": 32},
    "P = 3, k = 8, 8, r = 8": {"adapter.k": [8, 8]},
    "k = 8, r = 32": {"adapter.k": 8, "adapter.r": 32},
}
FORMS: dict[str, dict[str, Any]] = {
    "published": {},
    "balanced": {"adapter.scaling": "balanced", "adapter.init": "orthonormal"},
}
RATES = [round(2e-3 * 1.7**step, 5) for step in range(6)]
BASE = {
    "data.train_size": 1000,
    "data.validation_size": 400,
    "data.test_size": 2,
    "data.max_length": 32,
    "data.split_seed": 2,
    "adapter.r": 8,
    "training.batch_size": 8,
    "training.epochs": 1.0,
    "training.head_lr": 1e-3,
    "training.device": "cpu",
}
# What a loss counts as at most, or a run that diverged: chance costs ln 2 = 0.69, and how far above
# that a run ended says nothing of the best rate.
WORST = 0.75

Key = tuple[str, str, float, int]
# Which seeds, by place; some twice where they are drawn anew.
Rows = np.ndarray | slice
EVERY = slice(None)


def loss(key: Key) -> tuple[Key, float | None]:
    """Train one run; its validation cross-entropy, None where it diverged."""
    import torch

    from lora2_search.config.run import RunConfig, with_settings
    from lora2_search.errors import UserError
    from lora2_search.training.loop.prepare import prepare

    torch.set_num_threads(1)
    form, shape, rate, seed = key
    settings = {**BASE, **FORMS[form], **SHAPES[shape], "training.lr": rate, "seed": seed}
    prepared = prepare(with_settings(RunConfig(task="sentiment"), settings))
    trainer = prepared.trainer
    try:
        for _ in trainer.advance(0, trainer.plan.total):
            pass
    except UserError:
        return key, None
    found = prepared.predict("validation")
    labels = torch.tensor(found.labels).long()
    value = float(torch.nn.functional.cross_entropy(torch.tensor(found.logits), labels))
    return key, value if math.isfinite(value) else None


def rows() -> list[dict[str, Any]]:
    """The runs there are, as they were kept."""
    lines = RUNS.read_text(encoding="utf-8").splitlines() if RUNS.exists() else []
    return [json.loads(line) for line in lines]


def measured() -> dict[Key, float]:
    """Losses of the runs there are, by key."""
    return {
        (row["form"], row["shape"], row["rate"], row["seed"]): min(
            WORST, WORST if row["loss"] is None else row["loss"]
        )
        for row in rows()
    }


def run(seeds: Sequence[int], workers: int) -> None:
    """Train what is not there yet, seed by seed, and keep each run as it ends."""
    done = measured()
    wanted = itertools.product(seeds, RATES, SHAPES, FORMS)
    missing = [(f, s, rate, seed) for seed, rate, s, f in wanted if (f, s, rate, seed) not in done]
    made = today_here()
    RESULTS.mkdir(exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool, RUNS.open("a") as file:
        for count, (key, value) in enumerate(pool.map(loss, missing), 1):
            row = dict(zip(("form", "shape", "rate", "seed"), key, strict=True))
            row |= {"loss": value, "made": made}
            print(json.dumps(row), file=file, flush=True)
            print(f"{count} of {len(missing)}: {row}", flush=True)


def best_rate(losses: Sequence[float]) -> float:
    """The vertex of the parabola through the least loss and its neighbours, over log rates.

    The grid's own end where the least loss lies there: then the best rate lies there or beyond.
    """
    least = int(np.argmin(losses))
    if least in (0, len(RATES) - 1):
        return RATES[least]
    near = slice(least - 1, least + 2)
    curve, slope, _ = np.polyfit(np.log(RATES[near]), losses[near], 2)
    return math.exp(-slope / (2 * curve))


class Curve:
    """The losses of one shape under one parametrisation, ``[seeds, rates]``."""

    def __init__(self, found: dict[Key, float], form: str, shape: str, seeds: list[int]) -> None:
        self.losses = np.array([[found[form, shape, r, seed] for r in RATES] for seed in seeds])

    def best(self, rows: Rows = EVERY) -> float:
        """Best rate of the mean over some seeds."""
        return best_rate(list(self.losses[rows].mean(axis=0)))

    def lost_at(self, rate: float) -> float:
        """Mean loss at the grid's rate nearest to one, above the least on the grid."""
        mean = self.losses.mean(axis=0)
        nearest = int(np.argmin(np.abs(np.log(RATES) - math.log(rate))))
        return float(mean[nearest] - mean.min())


def spread(curves: Sequence[Curve], rows: Rows = EVERY) -> float:
    """Largest best rate over the smallest, over shapes."""
    best = [curve.best(rows) for curve in curves]
    return max(best) / min(best)


def interval(curves: Sequence[Curve], repeats: int = 2000) -> tuple[float, float]:
    """95 % percentile interval of ``spread``, seeds drawn anew; too narrow with few seeds."""
    seeds = len(curves[0].losses)
    draws = np.random.default_rng(0).integers(seeds, size=(repeats, seeds))
    low, high = np.quantile([spread(curves, rows) for rows in draws], [0.025, 0.975])
    return float(low), float(high)


def page() -> None:
    """Write the figure and the page from the runs there are."""
    found = measured()
    every = {key[3] for key in found}
    full = len(FORMS) * len(SHAPES) * len(RATES)
    seeds = sorted(s for s in every if sum(key[3] == s for key in found) == full)
    if not seeds:
        raise SystemExit("no seed has been run at every rate yet")
    curves = {form: {shape: Curve(found, form, shape, seeds) for shape in SHAPES} for form in FORMS}
    when = sorted({row["made"] for row in rows()})
    draw(curves)
    PAGE.write_text("\n".join(lines(curves, seeds, when)) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def lines(curves: dict[str, dict[str, Curve]], seeds: list[int], when: list[str]) -> list[str]:
    spreads = {form: spread(list(shapes.values())) for form, shapes in curves.items()}
    ends = {form: interval(list(shapes.values())) for form, shapes in curves.items()}
    middle = {form: median(c.best() for c in shapes.values()) for form, shapes in curves.items()}
    table = [
        f"| {shape} | "
        + " | ".join(cells(curves[form][shape], middle[form]) for form in FORMS)
        + " |"
        for shape in SHAPES
    ]
    heads = "".join(f" {form}: best rate | its loss | lost at one rate for all |" for form in FORMS)
    return [
        "# How far the best learning rate moves with k, r and P",
        "",
        f"Written by `python -m benchmarks.learning_rate`. Runs made {'; '.join(when)}, no GPU.",
        f"{len(seeds)} seeds ({seeds[0]} to {seeds[-1]}), rates {RATES[0]:g} to {RATES[-1]:g} in "
        "steps of 1.7; MiniLM 6 × 384 on 1,000 packaged sentences, 125 steps of 8, no pruning,",
        "validation cross-entropy on 400 sentences (least loss is best; ln 2 = 0.69 is chance). "
        f"A loss above {WORST:g}, or a run that diverged, counts as {WORST:g}.",
        "",
        "`published`: scale α / r, Gaussian start of std 0.02. `balanced`: `scaling: balanced`, "
        "`init: orthonormal`.",
        "",
        "![Validation loss against learning rate](learning_rate.svg)",
        "",
        f"| shape |{heads}",
        "| --- |" + " ---: |" * (3 * len(FORMS)),
        *table,
        "",
        *(
            f"* {form}: the largest best rate is **{spreads[form]:.2f} ×** the smallest "
            f"(95 % over seeds: {ends[form][0]:.2f} to {ends[form][1]:.2f}; a bootstrap of "
            f"{len(seeds)} seeds, so too narrow)."
            for form in FORMS
        ),
        "",
        "*Lost at one rate for all*: mean loss at the grid's rate nearest to the median of that "
        "column's best rates, above the least mean loss on the grid.",
        "A best rate is the vertex of the parabola through the least mean loss and its neighbours.",
    ]


def cells(curve: Curve, rate: float) -> str:
    """What the table says of one curve: best rate, its loss, what is lost at another rate."""
    least = curve.losses.mean(axis=0).min()
    return f"{curve.best():.2e} | {least:.4f} | {curve.lost_at(rate):.4f}"


def draw(curves: dict[str, dict[str, Curve]]) -> None:
    """Write the figure: one panel a parametrisation, one line a shape."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "learning_rate"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(curves), sharey=True, figsize=(10, 4.2))
    for axis, (form, shapes) in zip(axes, curves.items(), strict=True):
        for marker, (shape, curve) in zip("osD^vP", shapes.items(), strict=True):
            mean = curve.losses.mean(axis=0)
            axis.plot(RATES, mean, marker=marker, markersize=4, label=shape)
            axis.axvline(curve.best(), color=axis.lines[-1].get_color(), alpha=0.35, linewidth=1)
        axis.set(xscale="log", xlabel="learning rate", title=form, ylim=(None, 0.75))
        axis.set_xticks(RATES, [f"{rate:.1e}" for rate in RATES], fontsize=8)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("validation cross-entropy, mean over seeds")
    axes[-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 40 on")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--page", action="store_true", help="from the runs there are")
    given = parser.parse_args()
    if not given.page:
        run(range(40, 40 + given.seeds), given.workers)
    page()
