"""Which trial fresh seeds choose, and what they say of it: real records, no training."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from scipy import stats

from lora2_search.analysis.winner import Confirmation
from lora2_search.config.run_info import RunInfo
from lora2_search.experiments.progress import study_progress
from lora2_search.report.words.winner import winner_lines
from lora2_search.search.study import Study
from lora2_search.store.record import RunRecord
from tests.support.spaces import refusals, space_of
from tests.support.trials import confirm, drive, finished, seeded

LORA = {"method": "lora", "training.lr": 1e-3}


def asked(**changes: Any) -> Any:
    given = {"winner": {"top": 3, "seeds": 4}, "trials": 6, "sampler": {"name": "random"}}
    return space_of(**{**given, **changes})


def lucky(run: RunInfo) -> RunRecord:
    """Trial 0 is the luckiest of the search; on other seeds it is what it is."""
    record = seeded(run)
    if run.key == "00000":
        record.scores["validation/accuracy"] = 0.99
        record.write(run.folder)
    return record


def confirmed(folder: Path, space: Any, made: Any = seeded, searched: Any = seeded) -> Confirmation:
    trials = drive(folder, space, made=searched)
    confirm(folder, space, made)
    found = Study("tiny", folder, space, trials).winner
    assert found is not None
    return found


def scores(folder: Path, name: str | int, seeds: range, split: str = "validation") -> list[float]:
    return [
        RunRecord.model_validate_json(
            (folder / "winner" / f"{name}-seed{seed}" / "record.json").read_text()
        ).scores[f"{split}/accuracy"]
        for seed in seeds
    ]


def test_the_best_mean_on_the_seeds_to_choose_on_wins_and_others_are_reported(
    tmp_path: Path,
) -> None:
    found = confirmed(tmp_path, asked(references={"lora": LORA}), searched=lucky)
    means = {
        item.trial: fmean(scores(tmp_path, item.trial, range(1, 5))) for item in found.candidates
    }
    assert found.trial == max(means, key=lambda number: means[number])
    assert [item.score for item in found.candidates] == sorted(
        (item.score for item in found.candidates), reverse=True
    )
    assert found.candidates[0].trial == 0 != found.trial
    assert found.chosen is not None and found.reported is not None
    ours = scores(tmp_path, found.trial, range(5, 9), "test")
    assert found.reported.test.estimate == pytest.approx(fmean(ours))
    reach = stats.t.ppf(0.975, 3) * stats.sem(ours)
    assert found.reported.test.low == pytest.approx(fmean(ours) - reach)
    theirs = scores(tmp_path, "lora", range(5, 9), "test")
    gap = next(item for item in found.baselines if item.name == "lora").gap
    assert gap.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    mean = fmean(scores(tmp_path, found.trial, range(5, 9)))
    assert found.optimism is not None
    assert found.optimism.estimate == pytest.approx(found.chosen.score - mean)


def test_the_runner_up_is_compared_on_the_same_seeds_over_all_pairs(tmp_path: Path) -> None:
    found = confirmed(tmp_path, asked())
    second = found.runner_up
    assert second is not None and found.trial is not None
    runs = [scores(tmp_path, n, range(1, 5)) for n in (found.trial, second.trial)]
    assert second.gap.p == pytest.approx(stats.ttest_rel(*runs).pvalue)
    assert second.pairs == 3
    assert second.p is not None and second.gap.p <= second.p <= 3 * second.gap.p
    (line,) = [line for line in winner_lines(found, "accuracy") if "runner-up" in line]
    assert ("not told apart" in line) != second.is_told_apart


def test_no_run_is_made_twice_and_no_score_changes_after_an_interruption_at_any_run(
    tmp_path: Path,
) -> None:
    space = asked(winner={"top": 2, "seeds": 1}, trials=3)
    whole = confirmed(tmp_path / "whole", space)
    trials = drive(tmp_path / "broken", space, made=seeded)
    keys: list[str] = []
    while study_progress_of(tmp_path / "broken", space) != "complete":
        assert study_progress_of(tmp_path / "broken", space) == "stopped"
        keys += confirm(tmp_path / "broken", space, most=1)
    assert len(keys) == len(set(keys)) == 2 + 2
    broken = Study("tiny", tmp_path / "broken", space, trials).winner
    assert broken is not None
    assert broken.trial == whole.trial
    assert broken.optimism == whole.optimism


def study_progress_of(folder: Path, space: Any) -> str:
    named = folder.with_name(space.name)
    folder.rename(named)
    try:
        return study_progress(named).state
    finally:
        named.rename(folder)


def test_a_candidate_that_fails_on_a_fresh_seed_cannot_win_and_is_named(tmp_path: Path) -> None:
    space = asked()
    best = confirmed(tmp_path / "sound", space).trial

    def failing(run: RunInfo) -> RunRecord:
        record = seeded(run)
        if run.key == f"{best}-seed3":
            record.status, record.error, record.scores = "failed", "Diverged: no number", {}
            record.write(run.folder)
        return record

    found = confirmed(tmp_path / "failing", space, failing)
    assert found.trial not in (None, best)
    told = winner_lines(found, "accuracy")
    assert f"Trial {best}, seed 3, failed and does not count: Diverged: no number" in told


def test_without_a_candidate_that_ran_on_every_seed_there_is_no_winner(tmp_path: Path) -> None:
    space = asked()

    def failing(run: RunInfo) -> RunRecord:
        record = finished(run)
        record.status, record.error, record.scores = "failed", "no memory", {}
        record.write(run.folder)
        return record

    found = confirmed(tmp_path, space, failing)
    assert found.trial is None and found.is_complete and found.reported is None
    assert winner_lines(found, "accuracy")[0].startswith("There is no winner: trials ")
    study = Study("tiny", tmp_path, space, drive(tmp_path, space, made=seeded))
    assert study.best is None


def test_with_several_objectives_the_rule_of_the_front_ranks_and_chooses(tmp_path: Path) -> None:
    space = asked(
        objectives=[{"metric": "accuracy"}, {"metric": "compressed_parameters"}],
        pick={"max_drop": 0.2},
        constraints={"compressed_parameters": {"max": 14_000}},
        trials=10,
    )
    trials = drive(tmp_path, space, made=seeded)
    by_rule = Study("tiny", tmp_path, space, trials).best
    confirm(tmp_path, space)
    found = Study("tiny", tmp_path, space, trials).winner
    assert found is not None and found.trial is not None and by_rule is not None
    assert found.candidates[0].trial == by_rule.number
    means = {
        item.trial: (
            fmean(scores(tmp_path, item.trial, range(1, 5))),
            1000 * item.settings["adapter.k"],
        )
        for item in found.candidates
    }
    best = max(mean for mean, _ in means.values())
    near = {n: size for n, (mean, size) in means.items() if best - mean <= 0.2}
    assert near[found.trial] == min(near.values())


def test_one_candidate_is_not_chosen_but_reported_and_equal_settings_count_once(
    tmp_path: Path,
) -> None:
    k = {"adapter.k": {"type": "categorical", "choices": [3]}}
    found = confirmed(tmp_path, asked(search=k))
    assert [item.trial for item in found.candidates] == [0]
    assert not found.candidates[0].fresh.runs
    assert found.trial == 0 and found.runner_up is None and found.is_complete
    assert winner_lines(found, "accuracy")[0].startswith("Trial 0 was the only candidate.")


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({"winner": {"top": 0}}, "winner.top", "greater than or equal to 1"),
        ({"winner": {"seeds": 0}}, "winner.seeds", "greater than or equal to 1"),
        ({"winner": {"seed": 5}}, "winner.seed", 'did you mean "seeds"'),
        ({"winner": {"top": 9}}, "winner.top", "got winner.top=9, trials=6"),
        ({"winner": {}, "seed": 2**32 - 3}, "winner.seeds", "the greatest seed is 4,294,967,295"),
        (
            {"winner": {}, "training": {"score_test": False}},
            "training.score_test",
            "must be true with `winner`",
        ),
        (
            {"winner": {}, "search": {"seed": {"type": "int", "low": 0, "high": 9}}},
            "search.seed",
            "cannot be searched with `winner`",
        ),
        (
            {"winner": {}, "references": {"lora": {**LORA, "seed": 3}}},
            "references.lora.seed",
            "runs on the winner's fresh seeds",
        ),
    ],
)
def test_a_winner_that_cannot_be_confirmed_is_refused_where_it_is_written(
    changes: dict[str, Any], key: str, words: str
) -> None:
    assert words in refusals(asked, **changes)[key]


def test_the_seeds_of_search_choice_and_report_are_disjoint_and_follow_each_other() -> None:
    space = asked(seed=40)
    seeds = space.fresh_seeds
    assert (seeds.search, seeds.choice, seeds.report) == ((40,), (41, 42, 43, 44), (45, 46, 47, 48))
    assert space.fresh_runs == 3 * 4 + 2 * 4  # the head alone beside the winner
    assert space.runs == 6 + space.fresh_runs
