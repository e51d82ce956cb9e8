from __future__ import annotations

import errno
import pickle

import pytest

from lora2_search.errors import ConfigError, Problem, UserError, did_you_mean, is_disk_full


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("adaptr", 'did you mean "adapter"?'),
        ("xyz", "known: adapter, data, model"),
        ("mine", "known: adapter, data, model"),
    ],
)
def test_the_nearest_name_is_offered_or_all_are_listed(name: str, answer: str) -> None:
    assert did_you_mean(name, ["model", "data", "adapter"]) == answer


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("adapter.kk", 'did you mean "adapter.k"?'),
        ("adapter.lr", 'did you mean "training.lr"?'),
        ("lr", 'did you mean "training.lr"?'),
        ("adapter.foo", "known: adapter.k, adapter.r"),
        ("nothing.like", "known: adapter.k, adapter.r, training.lr"),
    ],
)
def test_of_dotted_names_the_last_parts_are_compared(name: str, answer: str) -> None:
    assert did_you_mean(name, ["training.lr", "adapter.k", "adapter.r"]) == answer


def test_a_problem_reads_place_then_key_then_message() -> None:
    assert str(Problem("adapter.k", "is wrong", "a.yaml:3")) == "a.yaml:3: adapter.k: is wrong"
    assert str(Problem("", "is wrong")) == "is wrong"


def test_a_config_error_is_one_line_a_problem_and_a_value_error() -> None:
    error = ConfigError([Problem("a", "x"), Problem("b", "y")])
    assert str(error) == "a: x\nb: y"
    assert isinstance(error, UserError)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "record.json"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EIO, "Input/output error"), False),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (ValueError("full"), False),
    ],
)
def test_a_full_disk_is_known_whoever_met_it(error: Exception, full: bool) -> None:
    assert is_disk_full(error) == full


def test_the_mistakes_of_a_configuration_reach_another_process_as_they_are() -> None:
    error = ConfigError([Problem("adapter.k", "is wrong", "a.yaml:3"), Problem("seed", "too")])
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is ConfigError
    assert str(there) == str(error) and there.problems == error.problems
