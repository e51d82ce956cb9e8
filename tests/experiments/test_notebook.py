"""The cells of docs/study.ipynb, run in order over two studies of the home."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pandas
from optuna.trial import TrialState

from lora2_search.search import Study
from tests.support.studies import write_trials

NOTEBOOK = Path(__file__).parents[2] / "docs" / "study.ipynb"


def shown_by(source: str, names: dict[str, Any]) -> Any:
    """Run a cell, and return what its last line shows."""
    parsed = ast.parse(source)
    last = parsed.body.pop()
    exec(compile(parsed, NOTEBOOK.name, "exec"), names)
    assert isinstance(last, ast.Expr), source
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


def test_the_notebook_runs_and_shows_page_winner_trials_front_and_comparison(
    own_home: Path,
) -> None:
    trials = [
        {"params": {"training.lr": 1e-3, "adapter.k": 4}, "values": (0.6, 0.7)},
        {"state": TrialState.PRUNED, "values": (0.5,), "reason": "weaker"},
    ]
    write_trials(own_home / "studies" / "quickstart", trials, "quickstart")
    better = [{"params": {"training.lr": 1e-3, "adapter.k": 8}, "values": (0.6, 0.8)}]
    write_trials(own_home / "studies" / "quickstart-2", better, "quickstart-2")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells)
    names: dict[str, Any] = {}
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    study, best, frame, front, settings, scores = (shown_by(source, names) for source in code)
    assert isinstance(study, Study) and "Winner: trial 0" in study._repr_html_()
    assert best == {"training.lr": 1e-3, "adapter.k": 4}
    assert list(frame["state"]) == ["COMPLETE", "PRUNED"]
    assert list(front.index) == [0] and list(front["score"]) == [0.7]
    [differs] = settings.to_dict("records")
    assert differs == {"name": "adapter.k", "first": 4, "second": 8}
    assert isinstance(scores, pandas.DataFrame)
    assert {("validation", "accuracy"), ("test", "accuracy")} <= set(
        zip(scores["split"], scores["metric"], strict=True)
    )
