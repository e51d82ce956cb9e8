"""What keeps a suite from being trained enough to tell, and the command that comes next."""

from __future__ import annotations

import shlex

from ..home import home
from .comparison import BASE, Analysis
from .power import reach
from .records import RUNS_FOLDER, SUITE_FILE, SuiteRuns
from .tables import signed

# More seeds than this are no remedy: a base that learns is told from its head by far fewer.
_MOST_SEEDS = 20


def next_step(analysis: Analysis) -> str:
    """Return whether training or seeds are short where no verdict is told, and what to call next.

    Seeds, where the base scores above the head alone and at most 20 seeds would show a difference
    as large as the one seen in 80 % of suites; else training.
    """
    suite = analysis.suite
    decisive = [arm for arm in analysis.arms if arm.name in (BASE, suite.floor)]
    if any(arm.unfinished or arm.failed for arm in decisive):
        return f"Runs of it are missing or failed: go on{_resumed(suite)}."
    if (missing := _missing_seeds(analysis)) is not None:
        why, count = missing
        return f"Too few seeds, it seems: {why}. Add them{_resumed(suite, '--add-seeds', count)}."
    return f"Too little training, it seems: {_why(analysis)}. Train longer{_longer(suite)}."


def _missing_seeds(analysis: Analysis) -> tuple[str, int] | None:
    """Return why seeds are what is missing, and how many; ``None`` where they are not."""
    if analysis.floor is None or BASE in analysis.unlearnt:
        return None
    test = analysis.floor.paired
    found = reach(test, 1)
    if found is None or found.seeds is None or (test.mean or 0.0) <= 0:
        return None
    if not test.n < found.seeds <= _MOST_SEEDS:
        return None
    seen = signed(test.mean, analysis.suite.metric)
    why = f"to show a difference of {seen} in 80 % of suites takes {found.seeds}, there are"
    return f"{why} {test.n}", found.seeds - test.n


def _why(analysis: Analysis) -> str:
    if BASE in analysis.unlearnt:
        return "the base does no better than the constant answer"
    test = analysis.floor.paired if analysis.floor else None
    if test is None or (test.mean or 0.0) <= 0:
        return "the base scores no higher than its head alone"
    return f"to show {signed(test.mean, analysis.suite.metric)} would take more than 20 seeds"


def _resumed(suite: SuiteRuns, *options: object) -> str:
    words = ["lora2-search", "ablate", "--resume", suite.name]
    if suite.folder.parent.parent != home():
        words += ["--storage", str(suite.folder.parent.parent)]
    return _by(suite, [*words, *map(str, options)])


def _longer(suite: SuiteRuns) -> str:
    training = suite.plan.get("training") or {}
    steps = training.get("steps")
    length = f"training.steps={2 * steps}" if steps else _epochs(training)
    words = ["lora2-search", "ablate", "--suite", str(suite.folder / SUITE_FILE)]
    return _by(suite, [*words, "--set", f"name={suite.name}-longer", "--set", length])


def _epochs(training: dict[str, float]) -> str:
    return f"training.epochs={2 * training.get('epochs', 1.0):g}"


def _by(suite: SuiteRuns, words: list[str]) -> str:
    # An archive has no runs that a command could go on with.
    if not (suite.folder / RUNS_FOLDER).is_dir():
        return ""
    return f" by `{shlex.join(words)}`"
