"""Damaged spaces and suites through the loaders: our own errors, soon, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lora2_search.config.space.schema import load_space
from lora2_search.config.suite.schema import load_suite
from lora2_search.errors import ConfigError
from tests.support.mutated import FILES, is_suite, mutated_file


def _refusals(numbers: range, folder: Path) -> list[str]:
    """Load each case, and return what was said of those that were refused."""
    said = []
    for number in numbers:
        case = folder / str(number)
        case.mkdir()
        path = mutated_file(number, case)
        started = time.process_time()
        try:
            (load_suite if is_suite(number) else load_space)(str(path))
        except ConfigError as error:
            said.append(str(error))
        assert time.process_time() - started < 10, f"case {number}, {path.name}"
    return said


def _check(numbers: range, folder: Path) -> None:
    said = _refusals(numbers, folder)
    # Neither harmless nor all damaged before they are looked at.
    assert len(numbers) / 2 < len(said) < len(numbers)
    assert all(str(folder) in message for message in said)
    assert max(map(len, said)) < 10_000


def test_the_shipped_files_are_found() -> None:
    assert len(FILES) > 15


def test_a_mutated_space_or_suite_is_read_or_refused_with_its_place(tmp_path: Path) -> None:
    _check(range(60), tmp_path)


@pytest.mark.slow
def test_a_thousand_mutated_spaces_and_suites_are_read_or_refused(tmp_path: Path) -> None:
    _check(range(1_000, 2_000), tmp_path)
