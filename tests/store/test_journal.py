"""The journal of a study on a shared folder: what a writer that is cut off leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from lora2_search.store.database import open_database, stored_study
from lora2_search.store.files import Damaged
from lora2_search.store.layout import JOURNAL_FILE


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / JOURNAL_FILE
    with open_database(path) as storage:
        study = optuna.create_study(storage=storage, study_name="tiny")
        study.tell(study.ask(), 0.5)
    return path


def test_an_unfinished_last_line_is_passed_over_and_cut_off_by_the_next_writer(
    journal: Path,
) -> None:
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"dead')
    with stored_study(journal, "tiny") as study:
        assert study is not None and [trial.value for trial in study.trials] == [0.5]
    assert journal.read_bytes() != whole  # readers write nothing
    with open_database(journal) as storage:
        study = optuna.load_study(study_name="tiny", storage=storage)
        study.tell(study.ask(), 0.25)
    with stored_study(journal, "tiny") as study:
        assert study is not None and [trial.value for trial in study.trials] == [0.5, 0.25]
    assert journal.read_bytes().startswith(whole + b"{")


@pytest.mark.parametrize(
    "line",
    [b"no JSON\n", b"\xff\xfe\n", b"[1]\n", b"7\n", b'{"op":1}\n', b'{"op_code":99}\n'],
)
def test_a_line_that_is_no_entry_is_said(journal: Path, line: bytes) -> None:
    first, rest = journal.read_bytes().split(b"\n", maxsplit=1)
    journal.write_bytes(first + b"\n" + line + rest)
    with (
        pytest.raises(Damaged, match=r"study\.journal is broken: .*; restore it"),
        stored_study(journal, "tiny", "restore it"),
    ):
        pass


def test_a_folder_of_another_name_is_said(journal: Path) -> None:
    with pytest.raises(Damaged, match="holds the study tiny"), stored_study(journal, "large"):
        pass


def test_a_writer_whose_journal_is_gone_does_not_begin_another(journal: Path) -> None:
    with open_database(journal) as storage:
        study = optuna.load_study(study_name="tiny", storage=storage)
        journal.unlink()
        with pytest.raises(FileNotFoundError):
            study.ask()
    assert list(journal.parent.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
import optuna
from lora2_search.store.database import open_database

with open_database(Path(sys.argv[1])) as storage:
    study = optuna.load_study(study_name="tiny", storage=storage)
    number = study.ask().number
    for step in range(10_000):
        storage.set_trial_intermediate_value(number, step, step / 7)
        print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_9_of_a_writer_loses_nothing_that_it_was_told_is_stored(journal: Path) -> None:
    for number in (1, 2):
        command = [sys.executable, "-c", WRITER, str(journal)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(50):
                writer.stdout.readline()
            writer.kill()
            told = writer.stdout.read().split("\n")[:-1]
        last = int(told[-1]) if told else 49
        with stored_study(journal, "tiny") as study:
            assert study is not None
            stored = study.trials[number].intermediate_values
        expected = {step: step / 7 for step in range(last + 1)}
        assert stored in (expected, expected | {last + 1: (last + 1) / 7})
    # It waits for the dead writer's lock, if that had it.
    with open_database(journal) as storage:
        study = optuna.load_study(study_name="tiny", storage=storage)
        assert study.ask().number == 3
    assert all(json.loads(line) for line in journal.read_text().splitlines())
