"""The packaged language model and questions: fetched beforehand, or the tests are skipped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.store.paths import HOME_VARIABLE
from lora2_search.store.record import read_record
from lora2_search.training.data.load import load_data
from tests.support.commands import COMMAND, run
from tests.support.patience import BUSY
from tests.training.test_run import comparable

# Of whoever runs the tests: every test has a home of its own.
ASSETS = Path(os.environ.get(HOME_VARIABLE) or "~/.cache/lora2_search").expanduser() / "assets"

CONFIG = {
    "task": "reviews",
    "data": {"train_size": 24, "validation_size": 8, "test_size": 8, "max_length": 48},
    "model": {"name_or_path": "smollm2"},
    "language": {"max_new_tokens": 3},
    "adapter": {"k": 4, "r": 4, "target_rank": 2, "t_init": 1, "t_final": 1, "lora_dropout": 0.1},
    "training": {"steps": 6, "batch_size": 4, "evaluations": 3, "device": "cpu"},
}


@pytest.mark.long
@pytest.mark.skipif(
    not all((ASSETS / name).is_dir() for name in ("smollm2", "sentiment")),
    reason="needs smollm2 and the sentences; get both by: lora2-search doctor --fetch",
)
def test_train_on_smollm2_killed_with_sigkill_and_resumed_is_the_same_bit_for_bit(
    own_home: Path, tmp_path: Path
) -> None:
    (own_home / "assets").symlink_to(ASSETS)
    file = tmp_path / "reviews.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    killed, whole = own_home / "runs" / "killed", own_home / "runs" / "whole"
    line = [*COMMAND, "train", "--config", str(file), "--name", "killed"]
    child = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300 * BUSY
    while not list((killed / "checkpoint").glob("[0-9]*")):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    interrupted = read_record(killed)
    assert interrupted is not None and interrupted.status == "running"
    run("train", "--resume", "killed")
    run("train", "--config", file, "--name", "whole")
    assert comparable(killed) == comparable(whole)


@pytest.mark.skipif(
    not (ASSETS / "questions").is_dir(),
    reason="needs the questions; get them by: lora2-search doctor --fetch",
)
@pytest.mark.parametrize(("task", "questions"), [("commonsense", 1_192), ("siqa", 1_949)])
def test_every_packaged_question_that_has_one_right_option_is_read(
    task: str, questions: int, own_home: Path
) -> None:
    (own_home / "assets").symlink_to(ASSETS)
    config = with_settings(RunConfig(task="reviews"), {"task": task, "data.train_size": None})
    splits = load_data(config).splits
    assert sum(len(split.labels) for split in splits.values()) == questions
