"""Prepared views of MLflow's run list: which columns, in which order, grouped by what.

MLflow keeps a shared view as an experiment tag in a format of its own (read from MLflow 3.17.2's
browser code); a view that a later version cannot read falls back to the plain list.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict
from urllib.parse import urlencode

from .spool.spool import ParentKind

SCORE = "score"

_TAG = "mlflow.sharedViewState."

# An experiment tag holds 20,000 characters; beyond some dozens of columns nobody reads them.
_MAX_COLUMNS = 40


class _GroupKey(TypedDict):
    mode: Literal["tag"]
    groupByData: str  # the tag's name


class _GroupBy(TypedDict):
    aggregateFunction: Literal["average"]
    groupByKeys: list[_GroupKey]


class _ViewState(TypedDict):
    """What MLflow's page keeps of a run list, under its own names."""

    searchFilter: str
    orderByKey: str
    orderByAsc: bool
    selectedColumns: list[str]
    groupBy: NotRequired[_GroupBy]


def view_tags(
    what: ParentKind, columns: Sequence[str], groups: Sequence[str] = ("arm",)
) -> dict[str, str]:
    """Return the experiment tags that hold the prepared view, named after ``what``.

    A study lists its trials under their parent, newest first, with the score (by which the study
    chooses), state and the searched settings. Rows nest only in the order of
    creation, so it is not sorted by score: a click on the column does that. A suite shows one row
    a group, with the mean over its seeds.

    Args:
        what: ``study`` or ``suite``.
        columns: Dotted settings to show.
        groups: Tags by which the runs of a suite are grouped.
    """
    settings = [f"params.`{name}`" for name in columns[:_MAX_COLUMNS]]
    state: _ViewState = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "selectedColumns": [f"metrics.`{SCORE}`", "tags.`state`", *settings],
    }
    if what == "suite":
        state["selectedColumns"][1:1] = ["tags.`arm`", "tags.`seed`"]
        state["groupBy"] = {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": tag} for tag in groups],
        }
    return {_TAG + what: _packed(state)}


def address(base: str, experiment_id: str, view: str | None = None) -> str:
    """Return the address of an experiment's runs on the MLflow server at ``base``.

    Without ``workflowType`` MLflow opens its page for traces instead of the runs.
    """
    query = {"workflowType": "machine_learning"}
    if view:
        query["viewStateShareKey"] = view
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def _packed(state: _ViewState) -> str:
    text = json.dumps(state, separators=(",", ":")).encode()
    return "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
