"""``tune``: search, watched, and the winner against head-only."""

from __future__ import annotations

import sys
from pathlib import Path
from signal import Signals

import typer

from ...config.space import Space, grace_period, rungs
from ...experiments import (
    Request,
    RunOptions,
    resolve_space,
    resolve_warm_start,
    tune_space,
)
from ...search import ended_runs, read_trials, study_folder
from ...signals import Interrupted
from ...store import SPACE_FILE
from ...tracking import resolve_uri
from ..console.live import LiveView, watched
from ..console.results import command, print_study, study_summary
from ..console.rows import print_json
from ..console.say import narrator, resume_hint
from .tune_dry_run import dry_run


def run_tune(
    *,
    space: str | None,
    overrides: tuple[str, ...],
    name: str | None,
    resume: str | None,
    warm_start: str | None = None,
    address: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    dry: bool,
    as_json: bool,
) -> None:
    """Run a study and print what it came to, or what it would cost.

    Raises:
        ConfigError: Everything that is wrong with the space, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
        Interrupted: A signal came; the message says how to resume.
    """
    uri = resolve_uri(tracking_uri)
    resolved = resolve_space(Request(space, overrides, name, resume), storage)
    warm = resolve_warm_start(warm_start, resolved, storage)

    def again(called: str) -> str:
        return command("tune", "--resume", called, storage=storage, tracking_uri=uri)

    resolved.say_name_taken(narrator(as_json), again)
    plan = resolved.plan
    if dry:
        with resolved.locating_errors():
            dry_run(plan, storage, as_json, here=address is None, warm=warm)
        return
    stream = sys.stderr if as_json else sys.stdout
    # A resume does not print finished trials again.
    earlier = ended_runs(read_trials(study_folder(resume, storage), resume)) if resume else 0
    view = LiveView(
        plan.runs,
        stream=stream,
        earlier=earlier,
        rungs=study_rungs(plan),
        compares=plan.seeds == 1,
    )
    begun = study_folder(plan.name, storage) / SPACE_FILE
    with (
        resume_hint(again(plan.name), begun),
        watched(view, _beginning(plan, resolved.resumed)) as observers,
    ):
        options = RunOptions(storage, address, uri, True, observers, view.say)
        study = tune_space(resolved, options, warm)
        if study.interrupted:
            raise Interrupted(study.ended_by or Signals.SIGINT)
    result = study_summary(study, storage, uri)
    if as_json:
        print_json(result)
    else:
        print_study(study, result)
    if result.winner is None:
        raise typer.Exit(1)


def study_rungs(space: Space) -> list[int]:
    """Return the evaluations after which a trial may be stopped."""
    early, base = space.scheduler, space.run_config()
    if early.name != "asha":
        return []
    last = base.training.evaluations
    first = grace_period(base, space.search, early.grace)
    return [at for at in rungs(last, first, early.reduction_factor) if at < last]


def _beginning(space: Space, resumed: bool) -> str:
    bound = [f"{space.trials} trials"] if space.trials else []
    bound += [f"{space.hours:g} hours"] if space.hours else []
    does = "resumes" if resumed else "starts"
    first = f"; {len(space.try_first)} given by try_first" if space.try_first else ""
    return (
        f"study {space.name} {does}: {' or '.join(bound)} of {space.method} on {space.task}, "
        f"searching {', '.join(space.search)}{first}"
    )
