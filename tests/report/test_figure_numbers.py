"""The numbers behind the figures, each against a computation of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.analysis.across_tasks import costs
from lora2_search.analysis.evidence import gather, read_tuning
from lora2_search.analysis.factorial import effects, interactions
from lora2_search.analysis.learning_curves import bands, geometry_keys
from lora2_search.analysis.ranks import mean_ranks
from lora2_search.analysis.records import read_suite
from lora2_search.config.run import RunConfig
from lora2_search.report.figures import paper
from lora2_search.report.figures.paper import write_figures
from lora2_search.report.figures.style import COLOURS
from lora2_search.report.tables.suite import equality_table, tuning_table
from lora2_search.report.words.provenance import compute_statement
from lora2_search.stats.aggregate import expected_best
from lora2_search.store.record import Point
from tests.support.designs import RATES, crossed_suite, write_crossed
from tests.support.suites import draws, record, suite, write_run, write_suite

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(SCORES)
def test_the_expected_best_rises_from_the_mean_towards_the_best_seen(scores: list[float]) -> None:
    curve = expected_best(scores)
    assert curve[0] == pytest.approx(np.mean(scores))
    assert all(b >= a - 1e-12 for a, b in zip(curve, curve[1:], strict=False))
    assert curve[-1] <= max(scores) + 1e-12


def test_the_expected_best_is_the_mean_maximum_of_draws_with_replacement() -> None:
    scores = [0.5, 0.9, 0.7, 0.7, 0.2]
    for n in (1, 2, 3):
        every = np.array(np.meshgrid(*[scores] * n)).reshape(n, -1)
        assert expected_best(scores)[n - 1] == pytest.approx(every.max(axis=0).mean(), abs=1e-12)
    assert expected_best([]) == []
    with pytest.raises(ValueError, match="finite"):
        expected_best([0.5, float("nan")])


def told(steps: list[int], values: list[float], key: str = "geometry/overlap") -> list[Point]:
    return [
        Point(step=s, time_ms=0, metrics={key: v, "validation/accuracy": v})
        for s, v in zip(steps, values, strict=True)
    ]


def test_bands_are_mean_and_range_of_complete_runs_at_the_steps_they_share(tmp_path: Path) -> None:
    histories: dict[tuple[str, int], dict[str, Any]] = {
        ("base", 0): {"history": told([2, 4, 6], [0.1, 0.2, 0.4])},
        ("base", 1): {"history": told([2, 6, 8], [0.3, 0.2, 0.9])},
        ("base", 2): {"history": told([2], [9.0]), "status": "failed", "error": "Diverged: x"},
        ("head-only", 0): {"history": told([2], [float("nan")])},
    }
    write_suite(tmp_path, suite(seeds=3), draws(RATES, 40), histories)
    runs = read_suite(tmp_path)
    assert geometry_keys(runs) == ["geometry/overlap"]
    (band,) = bands(runs, "geometry/overlap")
    assert (band.arm, band.runs) == ("base", 2)
    # The factory's own history of the third seed has no geometry.
    assert band.steps == (2, 6)
    assert band.mean == pytest.approx((0.2, 0.3))
    assert (band.low, band.high) == ((0.1, 0.2), (0.3, 0.4))


def test_an_arm_has_one_colour_in_all_panels_though_some_lack_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    history = told([2, 4], [0.1, 0.2], "geometry/orthogonality")
    histories = {
        (arm, seed): {"history": history + (told([2], [0.3]) if arm == "random-allocation" else [])}
        for arm in RATES
        for seed in (0, 1)
    }
    folder = write_suite(tmp_path, suite(seeds=2), draws(RATES, 40), histories)
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.append(self))
    write_figures(gather(folder), tmp_path, ["svg"])
    overlap, other = next(f for f in drawn if f.axes[0].get_ylabel() == "geometry overlap").axes
    (line,) = overlap.get_lines()
    same = next(item for item in other.get_lines() if item.get_label() == line.get_label())
    legend = {text.get_text(): handle for text, handle in _legend(other)}
    assert line.get_color() == same.get_color() == legend["random-allocation"].get_color()
    assert len(other.get_lines()) == len(legend) == len({h.get_color() for h in legend.values()})


def test_an_arm_has_its_place_in_the_suite_as_colour_in_every_figure_for_papers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the first arm no figure shows anything.
    lacks = {("base", seed): {"history": [], "counts": {}} for seed in (0, 1)}
    plan = suite(seeds=2)
    folder = write_suite(tmp_path, plan, draws(RATES, 40), lacks)
    monkeypatch.setattr(paper, "trials_of_arms", lambda item: {"random-allocation": [0.5, 0.6]})
    titles = {"learning-curves": 3, "score-against-parameters": 3, "expected-best-score": 1}
    figures = _printed(folder, tmp_path / "figures", monkeypatch)
    for title, arms in titles.items():
        (legend,) = figures[title].legends
        told = {text.get_text(): text for text in legend.get_texts()}
        assert len(told) == arms and "base" not in told
        (axis,) = figures[title].axes
        drawn = [*axis.get_lines(), *axis.containers]
        for one in drawn:
            if (arm := one.get_label()) in told:
                line = one[0] if isinstance(one, tuple) else one
                assert line.get_color() == COLOURS[list(plan.arms).index(arm)]


def test_printed_ranks_stand_at_their_own_module_where_arms_adapt_different_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = suite(seeds=2)
    query, dense = (f"encoder.layer.{{}}.{kind}" for kind in ("query", "dense"))
    patterns = {
        "base": {dense.format(1): 4, query.format(1): 3},
        "random-allocation": {query.format(0): 5, query.format(1): 6},
    }
    special = {
        (arm, seed): {"rank_pattern": patterns.get(arm, {})} for arm in plan.arms for seed in (0, 1)
    }
    folder = write_suite(tmp_path, plan, draws(RATES, 40), special)
    axis = _printed(folder, tmp_path / "figures", monkeypatch)["rank-patterns"].axes[0]
    (image,) = axis.get_images()
    shown = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    kinds = [text.get_text() for text in axis.get_xticklabels()]
    layers = [text.get_text() for text in axis.get_yticklabels()]
    columns, rows = (
        [int(tick) for tick in ticks] for ticks in (axis.get_xticks(), axis.get_yticks())
    )
    cells = {
        (place, layer, kind): shown[row, column]
        for row, layer in zip(rows, layers, strict=True)
        for place, (column, kind) in enumerate(zip(columns, kinds, strict=True))
    }
    known = {key: value for key, value in cells.items() if np.isfinite(value)}
    assert known == {
        (0, "1", "dense"): 4,
        (1, "1", "query"): 3,
        (3, "0", "query"): 5,
        (3, "1", "query"): 6,
    }


def _printed(folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the figures for papers by the names of their files."""
    from matplotlib.figure import Figure

    drawn: dict[str, Figure] = {}
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: drawn.update({path.stem: self}))
    write_figures(gather(folder), out, ["svg"])
    return drawn


def _legend(axis: Any) -> list[tuple[Any, Any]]:
    [found] = axis.figure.legends
    return list(zip(found.get_texts(), found.get_lines(), strict=True))


def test_interaction_cells_are_means_over_seeds_of_the_arms_in_them(tmp_path: Path) -> None:
    analysis = gather(write_crossed(tmp_path))[""].analysis
    (found,) = interactions(analysis)
    assert {found.first, found.second} == {"planes", "regularisation"}
    means = {arm.name: arm.mean for arm in analysis.arms}
    assert len(found.cells) == 4
    for (first, second), test in found.cells.items():
        levels = {found.first: first, found.second: second}
        arm = next(a for a, cell in analysis.suite.plan.cells["main"].items() if cell == levels)
        assert test.estimate == pytest.approx(means[arm])


def test_the_forest_has_every_comparison_contrast_and_claim_once(tmp_path: Path) -> None:
    analysis = gather(write_crossed(tmp_path))[""].analysis
    found = effects(analysis)
    names = [item.name for item in found]
    assert names == [*(item.name for item in analysis.family), "base − head-only"]
    margins = {item.name: item.margin for item in found if item.margin is not None}
    assert margins == {"one-plane − base": 0.05}
    assert found[-1].kind == "floor" and found[-1].differs
    assert [item.differs for item in found[:-1]] == [item.differs for item in analysis.family]


def test_a_suite_that_was_not_trained_enough_has_no_verdict_in_figure_or_table(
    tmp_path: Path,
) -> None:
    rates = {"unregularised": 0.6, "one-plane.unregularised": 0.6}
    answers = draws({"base": 0.8, "one-plane": 0.8, **rates, "head-only": 0.9}, 200)
    analysis = gather(write_suite(tmp_path, crossed_suite(), answers))[""].analysis
    assert analysis.trained is False and any(item.differs for item in analysis.family)
    assert not any(item.differs for item in effects(analysis) if item.kind != "floor")
    (row,) = equality_table(analysis).texts
    assert row["shown"] == row["shown_new_sentences"] == "–"


def test_a_claim_of_equality_alone_is_in_the_forest_but_never_differs(tmp_path: Path) -> None:
    folder = write_crossed(tmp_path, comparisons=[])
    item = next(e for e in effects(gather(folder)[""].analysis) if e.kind == "equality")
    assert (item.name, item.margin, item.differs) == ("one-plane − base", 0.05, False)


def test_costs_are_mean_scores_against_compressed_parameters(tmp_path: Path) -> None:
    analysis = gather(write_crossed(tmp_path))[""].analysis
    points = {item.arm: item for item in costs(analysis)}
    assert points["base"].parameters == 300
    assert points["base"].low is not None and points["base"].low < points["base"].mean


def test_mean_ranks_are_those_of_the_runs_that_have_ranks() -> None:
    config = RunConfig(task="sentiment")
    patterns = [{"a.0.q": 4, "a.1.q": 2}, {"a.0.q": 8, "a.1.q": 0}, {}]
    found = mean_ranks([record(config, rank_pattern=pattern) for pattern in patterns])
    assert found is not None and found.runs == 2
    assert found.ranks == ((6.0,), (1.0,))
    assert mean_ranks([]) is None


def test_tuning_tells_what_was_chosen_of_how_many_and_what_fewer_would_have_found(
    tmp_path: Path,
) -> None:
    grid = {"base": {"training.lr": [0.1, 0.2, 0.3, 0.4]}}
    plan = suite(seeds=2, tuning={"arms": grid, "seeds": 2})
    folder = write_suite(tmp_path, plan, draws(RATES, 40))
    scores = [0.5, 0.6, 0.8, 0.7]
    for run in plan.tuning_runs(folder):
        value = scores[run.trial] + 0.02 * (run.config.seed % 2)
        told = {"validation/accuracy": value}
        failed = run.trial == 3 and run.config.seed % 2
        write_run(run.folder, run.config, scores=told, status="failed" if failed else "completed")
    found = read_tuning(folder)
    assert len(found.records) == 8
    assert found.trial_scores("accuracy")["base"] == pytest.approx([0.51, 0.61, 0.81])
    (row,) = tuning_table(gather(folder)[""].analysis, found).texts
    assert (row["trials"], row["best"]) == ("3 of 4 complete", "81.00")
    assert row["expected_of_one"] == "64.33"


def test_the_compute_statement_adds_up_every_run_whatever_became_of_it() -> None:
    config = RunConfig(task="sentiment")
    records = [
        record(config),
        record(config, status="failed", timings={"total": 10.0}, reused_from="suites/a/runs/b"),
        record(config, status="failed", timings={}, device="cuda"),
    ]
    pruned = record(config, status="pruned", timings={"train": 4.0, "setup": 3.0})
    assert "42 seconds in all (1 without" in compute_statement([*records, pruned])
    text = compute_statement(records)
    assert text.startswith("3 runs (1 complete, 2 failed), 35 seconds in all (1 without")
    assert "cpu, 1 thread(s) a run; cuda" in text and "1 of the runs were taken over" in text
    assert compute_statement([]) == "No run was made."
