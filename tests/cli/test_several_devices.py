"""``train --devices``, and the same started by a launcher."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lora2_search.store.record import read_record
from lora2_search.tracking.uri import DATABASE
from tests.cli.test_train_and_runs import cli, settings
from tests.support.exactly_once import assert_every_point_once
from tests.support.servers import free_port

__all__ = ["settings"]


def assert_one_run_of_two_processes(home: Path, name: str) -> None:
    record = read_record(home / "runs" / name)
    assert record is not None and (record.status, record.processes) == ("completed", 2)
    assert_every_point_once(home / "runs" / name, f"sqlite:///{home / DATABASE}")


@pytest.mark.slow
def test_two_devices_train_one_run_that_mlflow_has_once(
    settings: Path, home_with_store: Path
) -> None:
    result = cli("train", "--config", settings, "--name", "two", "--devices", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("Run two: ") == 1
    assert_one_run_of_two_processes(home_with_store, "two")


@pytest.mark.slow
def test_a_launcher_of_two_processes_starts_one_run_of_two(
    settings: Path, home_with_store: Path
) -> None:
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    launcher.append(f"--main_process_port={free_port()}")
    command = ["-m", "lora2_search", "train", "--config", str(settings), "--name", "launched"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *launcher, *command],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Run launched: ") == 1
    assert_one_run_of_two_processes(home_with_store, "launched")


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ("0", "Input should be greater than or equal to 1"),
        ("3", "training.batch_size: must be a multiple of the 3 devices"),
        ("512", "but the run was to have 512 devices; lower --devices"),
    ],
)
def test_devices_that_cannot_be_had_are_refused_before_anything_is_written(
    devices: str, words: str, settings: Path, own_home: Path
) -> None:
    content = yaml.safe_load(settings.read_text())
    content["training"]["batch_size"] = 512
    settings.write_text(yaml.safe_dump(content))
    result = cli("train", "--config", settings, "--devices", devices)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert not (own_home / "runs").exists()
