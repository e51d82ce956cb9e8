from __future__ import annotations

import base64
import json
import zlib
from typing import Any
from urllib.parse import parse_qs

import pytest

from lora2_search.tracking.spool.spool import Identity, ParentKind
from lora2_search.tracking.views import address, comparison_address, view_tags


def unpacked(text: str) -> dict:
    kind, _, packed = text.partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def views(what: ParentKind, *columns: str, **more: Any) -> tuple[dict, dict]:
    """Return the view of a study or suite, and the one that compares it with others."""
    tags = view_tags(Identity(uuid="u", what=what, name="demo", columns=columns, **more))
    assert list(tags) == [f"mlflow.sharedViewState.{name}" for name in (what, "compare")]
    own, compared = map(unpacked, tags.values())
    return own, compared


def test_a_study_shows_scores_state_and_settings_in_the_order_of_creation() -> None:
    state, _ = views("study", "adapter.k", "training.lr", metric="f1")
    assert state["selectedColumns"] == [
        "metrics.`score`",
        "metrics.`test/f1`",
        "tags.`state`",
        "tags.`adapter.k`",
        "tags.`training.lr`",
        "attributes.`Models`",
    ]
    assert state["orderByKey"] == "attributes.start_time"  # any other order flattens the rows
    assert "groupBy" not in state


def test_a_study_shows_its_other_objectives_before_the_settings() -> None:
    outcomes = ("metrics.`outcome/seconds`", "tags.`pareto`")
    state, _ = views("study", "adapter.k", outcomes=outcomes)
    shown = ["metrics.`score`", "tags.`state`", *outcomes, "tags.`adapter.k`"]
    assert state["selectedColumns"][:5] == shown


def test_a_suite_is_grouped_by_arm() -> None:
    state, _ = views("suite", "adapter.k", metric="accuracy")
    assert state["groupBy"] == {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "tag", "groupByData": "arm"}],
    }
    assert state["selectedColumns"][:5] == [
        "metrics.`score`",
        "tags.`arm`",
        "tags.`seed`",
        "tags.`state`",
        "params.`adapter.k`",
    ]


@pytest.mark.parametrize(
    ("what", "function", "groups"),
    [("study", "max", ["study", "role"]), ("suite", "average", ["arm", "task", "suite"])],
)
def test_several_are_compared_by_complete_runs_in_groups(
    what: ParentKind, function: str, groups: list[str]
) -> None:
    own, compared = views(what, groups=("task", "arm"))
    assert own["searchFilter"] == ""
    assert "state = 'COMPLETE'" in compared["searchFilter"]
    assert compared["groupBy"]["aggregateFunction"] == function
    assert [key["groupByData"] for key in compared["groupBy"]["groupByKeys"]] == groups


def test_a_suite_of_several_tasks_has_no_mean_over_them() -> None:
    state, _ = views("suite", groups=("task", "arm"))
    assert [key["groupByData"] for key in state["groupBy"]["groupByKeys"]] == ["arm", "task"]


def test_a_view_of_very_many_settings_fits_an_experiment_tag() -> None:
    columns = tuple(f"adapter.setting_{i}.{i * 7919}" for i in range(2000))
    study = Identity(uuid="u", what="study", name="demo", columns=columns)
    assert all(len(text) < 20_000 for text in view_tags(study).values())


def test_the_address_names_workflow_and_view() -> None:
    assert address("http://127.0.0.1:5000/", "3", "study") == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=study"
    )
    assert address("http://h", "3").endswith("/runs?workflowType=machine_learning")


def test_the_address_of_a_comparison_names_the_experiments_and_no_filter_of_its_own() -> None:
    """MLflow leaves the view aside where the address has a filter."""
    page, _, query = comparison_address("http://h/", ["3", "5"]).partition("?")
    assert page == "http://h/#/compare-experiments/s"
    assert parse_qs(query) == {
        "experiments": ['["3","5"]'],
        "workflowType": ["machine_learning"],
        "viewStateShareKey": ["compare"],
    }
