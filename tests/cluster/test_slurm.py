"""The job script of `cluster slurm`, run by Slurm itself."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from lora2_search.tracking.uri import DATABASE
from tests.cli.test_signals import points
from tests.support.afterwards import searched
from tests.support.commands import run
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY
from tests.support.slurm import Slurm, missing, slurm

pytestmark = pytest.mark.cluster


def wait_for_points(job: str, controller: Slurm, folder: Path, before: int) -> None:
    end = time.monotonic() + 300 * BUSY
    while points(folder) <= before:
        assert time.monotonic() < end, controller.job(job)
        time.sleep(1)


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_job_that_is_requeued_and_runs_out_of_time_sees_every_trial_once(
    tiny_bert: Path, reviews_csv: Path, home_with_store: Path, tmp_path: Path
) -> None:
    # Long enough to be under way still when the time is up, on a quick machine too.
    space = searched(tmp_path, tiny_bert, reviews_csv, steps=3840, evaluations=128)
    storage = tmp_path / "shared"
    folder = storage / "studies" / "mine"
    script = tmp_path / "job.sbatch"
    words = ("--space", space, "--storage", storage, "--cpus", os.cpu_count(), "--time", "20")
    script.write_text(run("cluster", "slurm", *words).stdout)
    with slurm(tmp_path / "slurm") as controller:
        job = controller.submit(script)
        print(f"submitted: job {job}")
        wait_for_points(job, controller, folder, 0)
        controller.run("scontrol", "requeue", job)
        print(f"requeued by hand after {points(folder)} points")
        # Slurm begins it again when the first allocation is over, and not before two minutes.
        controller.wait_for(job, "PENDING", 120)
        before = points(folder)
        wait_for_points(job, controller, folder, before)
        # Its script hears of the end a minute before; what is left of this one is shorter.
        limit = controller.job(job)["RunTime"].split(":")
        minutes = int(limit[0]) * 60 + int(limit[1]) + 1
        controller.run("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
        print(f"its time limit is now {minutes} minutes, at {points(folder)} points")
        controller.wait_for(job, "PENDING", 240 * BUSY)
        print(f"out of time after {points(folder)} points: back in line by itself")
        controller.run("scontrol", "update", f"JobId={job}", "TimeLimit=60")
        controller.wait_for(job, "COMPLETED", 900 * BUSY)
        assert controller.job(job)["Restarts"] == "2"
        said = (controller.folder / f"mine-{job}.log").read_text()
    print(re.sub(r"^(trial \d+|head only) step.*\n", "", said, flags=re.MULTILINE))
    assert said.count("interrupted by SIGTERM; resume with: ") == 2
    assert_every_point_once(folder, f"sqlite:///{home_with_store / DATABASE}")


def test_the_script_of_several_nodes_and_of_an_array_is_sound_bash(
    space: Path, tmp_path: Path
) -> None:
    several = run(
        "cluster", "slurm", "--space", space, "--nodes", 3, "--gpus", 1, "--storage", tmp_path
    ).stdout
    array = run("cluster", "slurm", "--suite", "quick", "--suite", "components").stdout
    for script in (several, array):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "#SBATCH --array=0-1" in array
    assert "ablate --resume components" in array
    assert "--nodes=2 --ntasks=2 --exclude" in several
