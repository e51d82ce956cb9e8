"""``verify``: the paper's claims, measured, as a table, a page and one MLflow run."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from ...experiments import RunOptions, verify_plan
from ...report import print_table
from ...signals import Interrupted, signal_of
from ...tracking import resolve_uri
from ...verification import Plan, Verification, claims_table, make_plan
from ..console.results import command, where_in_mlflow
from ..console.rows import duration, print_json
from ..console.say import narrator
from ..console.screen import facts, places


def run_verify(
    *,
    model: str | None,
    data: str | None,
    task: str | None,
    seeds: int | None,
    only: tuple[str, ...],
    quick: bool,
    margin: float,
    overrides: tuple[str, ...],
    workers: int,
    out: Path | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Measure what is asked for, or what is missing of it, and print the table.

    Raises:
        ConfigError: Everything that is wrong with the settings, the model or the data.
        UserError: An unknown check, a folder that holds another verification or is in use, or the
            hub cannot be reached.
        Interrupted: It was; says how to go on.
    """
    uri, begun = resolve_uri(tracking_uri), time.monotonic()
    plan = make_plan(
        model=model,
        data=data,
        task=task,
        seeds=seeds,
        only=only,
        overrides=overrides,
        quick=quick,
        margin=margin,
    )
    options = RunOptions(tracking_uri=uri, say=narrator(as_json))
    try:
        found = verify_plan(plan, options, workers, out)
    except KeyboardInterrupt as interrupt:
        raise Interrupted(
            signal_of(interrupt),
            "unfinished runs are lost, finished ones are kept; the same command continues",
        ) from None
    _tell(plan, found, uri, time.monotonic() - begun, as_json)


def _tell(plan: Plan, found: Verification, uri: str, seconds: float, as_json: bool) -> None:
    summary = {
        "name": plan.name,
        "folder": str(found.folder),
        "quick": plan.quick,
        "seeds": list(plan.seeds),
        "rows": list(map(asdict, found.rows)),
        "page": str(found.page),
        "mlflow": where_in_mlflow(found.folder, uri),
        "seconds": seconds,
    }
    if as_json:
        print_json(summary)
        return
    print(f"\nVerification {plan.name}: {len(plan.seeds)} seeds\n")
    print_table(claims_table(found.rows))
    print("\nWhat each row says, and what it does not:\n")
    for row in found.rows:
        print(f"- {row.claim}: {row.verdict}.\n  {row.says}")
    print()
    facts([("Time", duration(seconds)), ("Page", str(found.page))])
    places(command("ui", tracking_uri=uri), where_in_mlflow(found.folder, uri))
