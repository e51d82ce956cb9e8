"""``ablate``: arms x seeds, watched, and the verdict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from .. import api
from ..ablation.runner import SuiteResult
from ..chosen import chosen_suite
from ..report.comparison import analyse
from ..report.markdown import REPORT_FILE
from ..report.records import read_suite
from ..report.tables import arm_rows, seed_rows, suite_tables
from ..report.verdict import before_the_run, headline
from ..tracking.uri import resolve
from .beginning import watched
from .live import LiveView
from .narration import narrator
from .results import command, where_in_mlflow
from .rows import print_json, print_rows


def run_ablate(
    *,
    suite: str | None,
    overrides: tuple[str, ...],
    name: str | None,
    resume: str | None,
    address: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Run a suite and print what it says.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
        KeyboardInterrupt: It was interrupted; says how to go on.
    """
    uri = resolve(tracking_uri)
    chosen = chosen_suite(
        suite,
        overrides=overrides,
        name=name,
        resume=resume,
        storage=storage,
        say=narrator(as_json),
    )
    plan, seeds = chosen.plan, len(chosen.plan.seed_list)
    goes = "goes on" if resume else "begins"
    begins = f"suite {plan.name} {goes}: {', '.join(plan.arms)} x {seeds} seeds"
    notes = before_the_run(seeds, len(plan.pairs))
    view = LiveView(len(plan.arms) * seeds, stream=sys.stderr if as_json else sys.stdout)
    with chosen.placing(), watched(view, begins, *notes) as observers:
        result = api.ablate(
            None if resume else plan,
            overrides=overrides if resume else (),
            resume=resume,
            address=address,
            storage=storage,
            tracking_uri=uri,
            observers=observers,
            say=view.say,
        )
    if result.interrupted:
        again = command("ablate", "--resume", plan.name, storage=storage, tracking_uri=uri)
        raise KeyboardInterrupt(f"go on with: {again}")
    _tell(result, storage, uri, as_json)
    if len(result.failed) == len(result.runs):
        raise typer.Exit(1)


def _tell(result: SuiteResult, storage: Path | None, uri: str, as_json: bool) -> None:
    analysis = analyse(read_suite(result.folder))
    told: dict[str, Any] = {
        "name": result.name,
        "folder": str(result.folder),
        "verdict": headline(analysis),
        "failed": dict(result.failed),
        "report": str(result.folder / REPORT_FILE),
        "mlflow": where_in_mlflow(result.folder, uri),
        "ui": command("ui", result.name, storage=storage, tracking_uri=uri),
    }
    if as_json:
        print_json({**told, "tables": suite_tables(result.folder)})
        return
    print(f"\nSuite {result.name}\n")
    print_rows(arm_rows(analysis))
    print("\nAgainst the reference, paired by seed, on this test set:\n")
    print_rows(seed_rows(analysis))
    print(f"\nVerdict:  {told['verdict']}")
    for key, reason in result.failed.items():
        print(f"Failed:   {key}: {reason}")
    print(f"Report:   {told['report']}")
    print(f"MLflow:   {told['ui']}")
    if told["mlflow"]:
        print(f"          opens {told['mlflow']}")
