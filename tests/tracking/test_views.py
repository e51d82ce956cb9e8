from __future__ import annotations

import base64
import json
import zlib

from lora2_search.tracking.views import address, view_tags


def unpacked(text: str) -> dict:
    kind, _, packed = text.partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_a_study_shows_score_state_and_settings_in_the_order_of_creation() -> None:
    (name,), (text,) = zip(*view_tags("study", ["adapter.k", "training.lr"]).items(), strict=True)
    state = unpacked(text)
    assert name == "mlflow.sharedViewState.study"
    assert state["selectedColumns"] == [
        "metrics.`score`",
        "tags.`state`",
        "params.`adapter.k`",
        "params.`training.lr`",
    ]
    assert state["orderByKey"] == "attributes.start_time"  # any other order flattens the rows
    assert "groupBy" not in state


def test_a_suite_is_grouped_by_arm() -> None:
    state = unpacked(view_tags("suite", [])["mlflow.sharedViewState.suite"])
    assert state["groupBy"] == {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "tag", "groupByData": "arm"}],
    }
    assert state["selectedColumns"] == [
        "metrics.`score`",
        "tags.`arm`",
        "tags.`seed`",
        "tags.`state`",
    ]


def test_a_suite_of_several_tasks_has_no_mean_over_them() -> None:
    state = unpacked(view_tags("suite", [], ["task", "arm"])["mlflow.sharedViewState.suite"])
    assert [key["groupByData"] for key in state["groupBy"]["groupByKeys"]] == ["task", "arm"]


def test_a_view_of_very_many_settings_fits_an_experiment_tag() -> None:
    (text,) = view_tags("study", [f"adapter.setting_{i}.{i * 7919}" for i in range(2000)]).values()
    assert len(text) < 20_000


def test_the_address_names_workflow_and_view() -> None:
    assert address("http://127.0.0.1:5000/", "3", "study") == (
        "http://127.0.0.1:5000/#/experiments/3/runs"
        "?workflowType=machine_learning&viewStateShareKey=study"
    )
    assert address("http://h", "3").endswith("/runs?workflowType=machine_learning")
