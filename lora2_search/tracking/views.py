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

from .spool.spool import Identity

SCORE = "score"

# The view of several experiments, which MLflow looks up with the first of them.
COMPARE = "compare"

# Parents have no parent.
COMPLETE_RUNS = "tags.`mlflow.parentRunId` != '' and tags.state = 'COMPLETE'"

_TAG = "mlflow.sharedViewState."

# An experiment tag holds 20,000 characters; beyond some dozens of columns nobody reads them.
_MAX_COLUMNS = 40


class _GroupKey(TypedDict):
    mode: Literal["tag"]
    groupByData: str  # the tag's name


_Function = Literal["average", "max"]


class _GroupBy(TypedDict):
    aggregateFunction: _Function
    groupByKeys: list[_GroupKey]


class _ViewState(TypedDict):
    """What MLflow's page keeps of a run list, under its own names."""

    searchFilter: str
    orderByKey: str
    orderByAsc: bool
    selectedColumns: list[str]
    groupBy: NotRequired[_GroupBy]


def view_tags(study: Identity) -> dict[str, str]:
    """Return the experiment tags that hold the prepared views of a study or suite.

    One is named after what it is. A study lists its trials under their parent, newest first,
    with scores, state, other objectives and the searched settings; the parent's row has those of
    its winner. Rows nest only in the order of creation, so it is not sorted by score: a click on
    the column does that. A suite shows one row a group, with the mean over its seeds.

    The other, ``compare``, is for the page of several experiments, where MLflow takes the view of
    the first: complete runs alone. Trials are grouped by their study, with its best score; runs
    of suites by arm and suite, with the mean.
    """
    own, compared = _State(study), _State(study)
    if study.what == "suite":
        # The arm first: MLflow cuts the names of groups.
        groups = sorted(study.groups, key=lambda tag: tag != "arm")
        own.group("average", groups)
        compared.group("average", (*groups, study.what))
    else:
        # Runs outside the search are no trials: they stand in a group of their own.
        compared.group("max", (study.what, "role"))
        own.content["selectedColumns"].append("attributes.`Models`")
    compared.content["searchFilter"] = COMPLETE_RUNS
    # Of one study or suite it is the same in every row, and MLflow puts it before the scores.
    compared.content["selectedColumns"].append("attributes.`Dataset`")
    return {_TAG + study.what: _packed(own.content), _TAG + COMPARE: _packed(compared.content)}


class _State:
    """The view of a study or suite before it is grouped or filtered."""

    def __init__(self, study: Identity) -> None:
        # A suite's score is of the test split already.
        test = [f"metrics.`test/{study.metric}`"] if study.metric and study.what == "study" else []
        marks = ["arm", "seed"] if study.what == "suite" else []
        # Tags, in which the row of a study can follow its winner: a param is kept for ever.
        kind = "params" if study.what == "suite" else "tags"
        settings = [f"{kind}.`{name}`" for name in study.columns[:_MAX_COLUMNS]]
        self.content: _ViewState = {
            "searchFilter": "",
            "orderByKey": "attributes.start_time",
            "orderByAsc": False,
            "selectedColumns": [
                f"metrics.`{SCORE}`",
                *test,
                *(f"tags.`{name}`" for name in (*marks, "state")),
                *study.outcomes,
                *settings,
            ],
        }

    def group(self, function: _Function, tags: Sequence[str]) -> None:
        """Show one row for each combination of these tags."""
        self.content["groupBy"] = {
            "aggregateFunction": function,
            "groupByKeys": [{"mode": "tag", "groupByData": tag} for tag in tags],
        }


def address(base: str, experiment_id: str, view: str | None = None) -> str:
    """Return the address of an experiment's runs on the MLflow server at ``base``.

    Without ``workflowType`` MLflow opens its page for traces instead of the runs.
    """
    query = {"workflowType": "machine_learning"}
    if view:
        query["viewStateShareKey"] = view
    return f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def comparison_address(base: str, experiment_ids: Sequence[str]) -> str:
    """Return the address of the runs of several experiments, side by side, on the server."""
    query = {
        "experiments": json.dumps(list(experiment_ids), separators=(",", ":")),
        "workflowType": "machine_learning",
        "viewStateShareKey": COMPARE,
    }
    return f"{base.rstrip('/')}/#/compare-experiments/s?{urlencode(query)}"


def _packed(state: _ViewState) -> str:
    text = json.dumps(state, separators=(",", ":")).encode()
    return "deflate;" + base64.b64encode(zlib.compress(text, 9)).decode()
