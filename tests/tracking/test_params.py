from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.tracking.spool.params import clean_key, clean_tags, flat, shortened


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("adapter.k", "adapter.k"),
        ("train/loss", "train/loss"),
        ("γ", "γ"),
        ("lora²", "lora²"),
        ("a=b", "a_b"),
        ("a[0]", "a_0_"),
        ("a//b", "a/b"),
        ("../secret", "secret"),
        ("/abs", "abs"),
        ("..", "_"),
        (".", "_"),
        ("x" * 300, "x" * 250),
    ],
)
def test_keys_become_ones_that_mlflow_takes(name: str, key: str) -> None:
    assert clean_key(name) == key


@settings(deadline=None)  # the first example imports MLflow
@given(st.text(max_size=300))
def test_mlflow_takes_every_cleaned_key(name: str) -> None:
    from mlflow.utils.validation import _validate_metric, _validate_param_name

    key = clean_key(name)
    _validate_param_name(key)
    _validate_metric(key, 1.0, 1, 0)


def test_nested_settings_become_flat_numbers() -> None:
    nested = {"adapter": {"k": 8, "gamma": [0.1, 0.2], "target_rank": None}, "seed": 0, "on": True}
    assert flat(nested) == {
        "adapter.k": "8",
        "adapter.gamma": "[0.1, 0.2]",
        "seed": "0",
        "on": "true",
    }


def test_numbers_survive_as_numbers() -> None:
    assert float(flat({"lr": 1e-05})["lr"]) == 1e-05
    assert int(flat({"k": 12})["k"]) == 12


def test_long_values_are_cut_by_us_and_not_by_mlflow() -> None:
    assert len(flat({"x": "y" * 10_000})["x"]) == 6_000
    assert len(clean_tags({"x": "y" * 10_000})["x"]) <= 8_000


def test_a_shortened_text_keeps_both_ends() -> None:
    assert shortened("a" * 50 + "END", 20).endswith("END")
    assert len(shortened("a" * 50, 20)) <= 20
    assert shortened("short", 20) == "short"
