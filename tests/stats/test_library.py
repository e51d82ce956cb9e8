"""The room as a library of its own: what it needs, what it returns, whom it cites."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lora2_search import stats
from lora2_search.stats.equivalence import tost, tost_crossed, tost_draws
from lora2_search.stats.result import TestResult
from lora2_search.stats.significance import crossed, mean_interval, paired, pigeonhole

ALONE = """
import sys
from lora2_search import stats
for name in stats.__all__:
    getattr(stats, name)
stats.crossed([[0.1, 0.2], [0.0, 0.4]]), stats.tost([0.1, 0.2, 0.1], 0.3)
stats.reach(stats.paired([1.0, 2.0]), 1)
tops = {name.partition(".")[0] for name in sys.modules if not name.startswith("_")}
print(*sorted(tops - set(sys.stdlib_module_names)))
print(*sorted(name for name in sys.modules if name.startswith("lora2_search.")))
"""


def test_it_loads_numpy_and_scipy_and_no_other_room() -> None:
    told = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{ALONE}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    of_numpy = {"cython_runtime", "charset_normalizer"}
    assert set(told[0].split()) <= {"lazy_loader", "lora2_search", "numpy", "scipy", *of_numpy}
    assert all(name.startswith("lora2_search.stats") for name in told[1].split())


D = np.array([[0.1, 0.3, 0.2], [0.0, 0.2, 0.1], [0.4, 0.1, 0.3]])
MEANS = D.mean(axis=1)


@pytest.mark.parametrize(
    "result",
    [
        mean_interval(MEANS, 0.05),
        paired(MEANS),
        crossed(D),
        pigeonhole(lambda rows, columns: float(D[np.ix_(rows, columns)].mean()), 3, 3),
        tost(list(MEANS), 0.5),
        tost_crossed(crossed(D), 0.5),
        tost_draws(MEANS, 3, 0.5),
        stats.mean_correlation([0.1, 0.2, 0.4]),
        stats.interquartile_mean([MEANS, MEANS]),
        stats.interquartile_difference([MEANS], [MEANS]),
        stats.probability_of_improvement([MEANS], [MEANS]),
    ],
    ids=lambda result: result.method,
)
def test_every_test_and_interval_is_a_test_result_that_names_its_method(result: Any) -> None:
    assert isinstance(result, TestResult)
    assert result.n == 3 and result.method
    assert result.low is not None and result.high is not None and result.low <= result.high
    assert all(type(end) is float for end in (result.low, result.high))


@pytest.mark.parametrize(
    "function",
    [
        mean_interval, paired, crossed, pigeonhole, tost, stats.holm, stats.repeated_p,
        stats.mean_correlation, stats.spearman, stats.spearman_brown, stats.interquartile_mean,
        stats.probability_of_improvement, stats.expected_best, stats.paired_power,
    ],
    ids=lambda function: function.__name__,
)  # fmt: skip
def test_a_method_names_its_source_by_author_year_and_place(function: Callable[..., Any]) -> None:
    assert re.search(
        r"([A-Z][a-z]+|et al\.) \(?(19|20)\d\d, .*\d", function.__doc__ or "", re.DOTALL
    )
