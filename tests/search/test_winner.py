"""The winner on fresh seeds, through the real engine: stand-in runs, no training."""

from __future__ import annotations

from pathlib import Path

from lora2_search.experiments.progress import study_progress
from lora2_search.search.study import load_study, run_study
from tests.support.spaces import space_of
from tests.support.stand_in import Recorder, StandIn

LORA = {"method": "lora", "training.lr": 1e-3}


def small(**changes: object):
    given = {
        "trials": 3,
        "winner": {"top": 2, "seeds": 2},
        "references": {"lora": LORA},
        "scheduler": {"name": "none"},
        "sampler": {"name": "random"},
        "resources": {"concurrent": 1},
    }
    return space_of(**{**given, **changes})


def test_the_best_trials_run_again_and_only_the_chosen_one_and_the_baselines_see_the_test_split(
    tmp_path: Path, ray_here: None
) -> None:
    seen, again, lines = Recorder(), Recorder(), list[str]()
    study = run_study(
        small(), storage=tmp_path, observers=[seen], trainable=StandIn, say=lines.append
    )
    winner = study.winner
    assert winner is not None
    first, second = (item.trial for item in winner.candidates)
    started = list(seen.of("started"))
    assert started[:3] == ["00000", "00001", "00002"]
    assert started[3:7] == [f"{n}-seed{s}" for s in (1, 2) for n in (first, second)]
    assert started[7:] == [f"{n}-seed{s}" for s in (3, 4) for n in (first, "head-only", "lora")]
    assert any(
        line.endswith(
            f"trials {first}, {second} run again on seeds 1 to 2; the best mean is chosen"
        )
        for line in lines
    )
    tested = {run.key: run.config.training.score_test for run in seen.runs}
    assert [key for key, is_tested in tested.items() if is_tested] == started[7:]
    assert {run.config.seed for run in seen.runs} == {0, 1, 2, 3, 4}

    assert (winner.trial, study.best.number) == (first, first)
    assert winner.is_complete and study_progress(study.folder).state == "complete"
    assert winner.reported is not None
    assert set(winner.reported.runs) == {3, 4}
    assert [item.name for item in winner.baselines] == ["head-only", "lora"]

    run_study(small(), storage=tmp_path, resume=True, observers=[again], trainable=StandIn)
    for folder in (study.folder / "winner").iterdir():
        assert len((folder / "steps.jsonl").read_text().splitlines()) == 5
    assert load_study("tiny", tmp_path).winner == winner
