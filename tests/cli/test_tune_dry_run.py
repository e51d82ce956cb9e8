from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lora2_search.cli.commands.tune_dry_run import _told, forecast, forecast_at_once
from lora2_search.config.space.schema import Resources, load_space
from lora2_search.errors import ConfigError
from lora2_search.training.loop.estimate import Estimate

ESTIMATE = Estimate(
    sizes={"train": 100, "validation": 10, "test": 10},
    steps=10,
    evaluations=2,
    seconds_per_step=1.0,
    seconds_per_example=0.0,
    counts={},
    disk_mb=2.0,
    checkpoint_mb=12.0,
)


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus", "expected"),
    [
        ({"gpus_per_trial": 0.0}, 16, 1, 16),
        ({"gpus_per_trial": 1.0}, 16, 1, 1),
        ({"gpus_per_trial": 0.5, "concurrent": 9}, 16, 1, 2),
        ({"gpus_per_trial": 0.0, "concurrent": 3}, 16, 0, 3),
    ],
)
def test_a_machine_runs_as_many_trials_as_its_cores_and_gpus_allow(
    resources: dict[str, float], cpus: int, gpus: int, expected: int
) -> None:
    assert forecast_at_once(Resources.model_validate(resources), cpus, gpus) == expected


def test_a_trial_that_does_not_fit_here_is_refused_unless_a_cluster_runs_it() -> None:
    greedy = Resources(gpus_per_trial=2.0)
    with pytest.raises(ConfigError, match=r"resources\.gpus_per_trial: a run asks for 2 GPUs"):
        forecast_at_once(greedy, 16, 0)
    assert forecast_at_once(greedy, 16, 0, here=False) == 1


@pytest.mark.parametrize("storage", [None, "new/folder", "~/not/there/yet"])
def test_a_forecast_needs_no_folder_and_makes_none(
    storage: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    space = load_space("quickstart", ["trials=3"])
    told = forecast(space, [], ESTIMATE, Path(storage) if storage else None, at_once=2)
    assert told.disk_free_mb > 0
    # Three trials, head-only and LoRA: three rounds.
    assert (told.at_once, told.seconds) == (2, 30.0)
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_counts_the_runs_on_fresh_seeds_which_hours_do_not_bound() -> None:
    winner = (
        "winner={top: 3, seeds: 2}"  # with head-only and LoRA: 6 runs to choose on, 6 to report
    )
    told = forecast(load_space("quickstart", ["trials=3", winner]), [], ESTIMATE, None, at_once=2)
    assert (told.fresh_runs, told.seconds) == (12, 80.0)
    assert "In all:      about 1 min 20 s for 3 trials and 12 runs on fresh seeds" in "".join(
        _told(told)
    )
    bounds = ["trials=null", "hours=1", winner]
    told = forecast(load_space("quickstart", bounds), [], ESTIMATE, None, at_once=2)
    assert told.seconds == 3660.0


@pytest.mark.parametrize(
    ("resources", "bounds", "hours", "device"),
    [
        ({"gpus_per_trial": 0.0, "cpus_per_trial": 2.0}, ["trials=3"], 100.0, "core"),
        ({"gpus_per_trial": 0.5}, ["trials=3"], 25.0, "GPU"),
        ({"gpus_per_trial": 1.0}, ["trials=null", "hours=4"], 8.0, "GPU"),
        ({"gpus_per_trial": 1.0}, ["trials=3", "hours=100"], 50.0, "GPU"),
    ],
)
def test_hours_of_devices_are_those_of_all_runs_however_many_run_at_a_time(
    resources: dict[str, float], bounds: list[str], hours: float, device: str
) -> None:
    ten_hours = replace(ESTIMATE, seconds_per_step=3600.0)  # with the two runs outside: five runs
    space = load_space("quickstart", bounds)
    terms = Resources.model_validate(resources)
    told = forecast(space, [], ten_hours, None, at_once=2, resources=terms)
    assert (told.device_hours, told.device) == (hours, device)


def test_the_space_for_a_gpu_is_forecast_on_a_small_model(
    tiny_llama: Path, completions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("bitsandbytes")
    from lora2_search.cli.commands.tune import run_tune

    small = {
        "model.name_or_path": tiny_llama,
        "data.path": completions,
        **{"data.max_length": 40, "data.train_size": 40, "data.validation_size": 8},
        **{"language.max_new_tokens": 2, "training.steps": 20, "resources.cpus_per_trial": 1},
    }
    run_tune(
        space="qwen",
        overrides=tuple(f"{key}={value}" for key, value in small.items()),
        name=None,
        resume=None,
        address=None,
        storage=None,
        tracking_uri=None,
        dry=True,
        as_json=False,
    )
    said = capsys.readouterr().out
    assert "20 trials" in said and "⟦positive [END]⟧" in said or "⟦negative [END]⟧" in said


def test_a_forecast_of_a_language_model_speaks_of_no_head() -> None:
    counts = {"trained_adapter": 7}
    told = forecast(
        load_space("smollm2", ["trials=1"]), [], replace(ESTIMATE, counts=counts), None, 1
    )
    words = "\n".join(_told(told))
    assert "for 1 trial and no training," in words or "1 trial, no training and" in words
    assert "head" not in words
