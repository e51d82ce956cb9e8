"""``ablate``: arms x seeds, watched, and the verdict."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

import typer

from ...ablation import SuiteResult, suite_folder
from ...analysis import Analysis
from ...config.suite import Suite
from ...errors import UserError
from ...experiments import RunOptions, SuiteRequest, ablate_suite, resolve_suite
from ...report import (
    Table,
    arm_table,
    constant_line,
    equality_table,
    headline,
    print_table,
    seed_table,
    suite_tables,
    unescaped,
)
from ...signals import Interrupted
from ...store import PAGE_FILE, SUITE_FILE
from ...tracking import resolve_uri
from ..console.live import LiveView, watched
from ..console.results import command, where_in_mlflow
from ..console.rows import print_json
from ..console.say import narrator, resume_hint
from ..console.screen import facts, places, tell
from .ablate_dry_run import difference_lines, power_lines, still_unknown, suite_dry_run


def run_ablate(
    *,
    suite: str | None,
    from_study: str | None,
    overrides: tuple[str, ...],
    name: str | None,
    resume: str | None,
    resume_from: Path | None,
    add_seeds: int | None,
    until_decided: bool,
    reuse: bool,
    address: str | None,
    storage: Path | None,
    tracking_uri: str | None,
    dry: bool,
    as_json: bool,
    wide: bool,
) -> None:
    """Run a suite and print what it says, or what it would cost and could show.

    Raises:
        ConfigError: Everything that is wrong with the suite, its model or its data.
        UserError: The name is in use or unknown, the cluster or the hub cannot be reached.
        Interrupted: A signal came; the message says how to resume.
    """
    uri = resolve_uri(tracking_uri)
    request = SuiteRequest(
        suite,
        overrides,
        name,
        resume,
        resume_from=resume_from,
        from_study=from_study,
        add_seeds=add_seeds,
        until_decided=until_decided,
    )
    resolved = resolve_suite(request, storage)

    def again(called: str, *words: str) -> str:
        return command("ablate", "--resume", called, *words, storage=storage, tracking_uri=uri)

    resolved.say_name_taken(narrator(as_json), again)
    plan = resolved.plan
    if dry:
        if resume_from is not None:
            raise UserError(
                "--dry-run counts the runs of this home, not those of an archive; leave out "
                "--resume-from, or run it: what the archive holds is not trained again"
            )
        with resolved.locating_errors():
            suite_dry_run(plan, storage, as_json, reuse=reuse, here=address is None)
        return
    view = LiveView(_runs(plan), stream=sys.stderr if as_json else sys.stdout)
    resumed = resolved.resumed or resume_from is not None
    beginning = _beginning(plan, resumed, add_seeds)
    resume_command = again(plan.name, *([] if reuse else ["--no-reuse"]))
    begun = suite_folder(plan.name, storage) / SUITE_FILE
    with (
        resume_hint(resume_command, begun),
        watched(view, *beginning) as observers,
    ):
        result = ablate_suite(
            resolved, RunOptions(storage, address, uri, reuse, observers, view.say)
        )
        if result.interrupted:
            raise Interrupted(result.ended_by or Signals.SIGINT)
    _tell(result, storage, uri, as_json, wide)
    if arms_without_a_run(result):
        raise typer.Exit(1)


@dataclass(frozen=True)
class SuiteSummary:
    """What a suite came to; ``failed`` has the reason for each run that failed."""

    name: str
    folder: str
    verdict: str
    failed: Mapping[str, str]
    report: str
    mlflow: str | None
    ui: str


def _runs(suite: Suite) -> int | None:
    """Return how many runs there will be; ``None`` where looks decide that.

    Grids that move on past their ends bring further ones.
    """
    if suite.until_decided:
        return None
    known = len(suite.tuning_runs(Path())) + len(suite.runs(Path()))
    return known + still_unknown(suite)


def _beginning(suite: Suite, resumed: bool, added: int | None) -> list[str]:
    seeds = f"{len(suite.seed_list)} seeds"
    if suite.until_decided:
        seeds += f", then more until all is decided, at most {suite.sequential.most}"
    if added:
        seeds += f", {added} of them added now"
    tasks = f" x {len(suite.tasks)} tasks ({', '.join(suite.tasks)})" if suite.tasks else ""
    does = "resumes" if resumed else "starts"
    lines = [f"suite {suite.name} {does}: {', '.join(suite.arms)} x {seeds}{tasks}"]
    return [*lines, *difference_lines(suite), *power_lines(suite)]


def _tell(result: SuiteResult, storage: Path | None, uri: str, as_json: bool, wide: bool) -> None:
    analyses = result.analyses
    said = {task: unescaped(headline(item)) for task, item in analyses.items()}
    verdicts = (f"{task}: {words}" if task else words for task, words in said.items())
    summary = SuiteSummary(
        name=result.name,
        folder=str(result.folder),
        verdict=" ".join(verdicts),
        failed=dict(result.failed),
        report=str(result.folder / PAGE_FILE),
        mlflow=where_in_mlflow(result.folder, uri),
        ui=command("ui", result.name, storage=storage, tracking_uri=uri),
    )
    if as_json:
        tables = {name: table.records for name, table in suite_tables(analyses).items()}
        print_json({**vars(summary), "tables": tables})
        return
    tell(f"\nSuite {result.name}", "head")
    for task, analysis in analyses.items():
        print_tables(task, analysis, wide)
    print()
    facts([("Verdict", summary.verdict)], "head")
    facts((("Failed", line) for line in failure_lines(result)), "failure")
    places(summary.ui, summary.mlflow, summary.report)


def arms_without_a_run(result: SuiteResult) -> set[str]:
    """Return the arms of which every run failed; a few diverged runs are a result like others.

    Runs that tune an arm are not compared: they do not make up for failed ones.
    """
    runs = [run for run in result.runs if run.phase == "comparison"]
    failed = result.failed
    return {run.arm for run in runs} - {run.arm for run in runs if run.key not in failed}


def failure_lines(result: SuiteResult) -> list[str]:
    """Return one line for each reason why runs of an arm failed."""
    arms = {run.key: run.arm for run in result.runs}
    alike: dict[tuple[str, str], list[str]] = {}
    for key, reason in result.failed.items():
        alike.setdefault((arms[key], reason), []).append(key)
    return [
        f"{keys[0] if len(keys) == 1 else f'{len(keys)} runs of {arm}'}: {reason}"
        for (arm, reason), keys in alike.items()
    ]


def print_tables(task: str, analysis: Analysis, wide: bool) -> None:
    """Print the tables of a suite's end, those of one task."""
    print(f"\nTask {task}:\n" if task else "")
    # A narrow terminal keeps the first columns: scores and verdicts before what was changed.
    print_table(_ordered(arm_table(analysis), last=["changes"]), wide=wide)
    suite = analysis.suite
    records = (run.record for run in suite.runs.values())
    if line := constant_line(records, suite.metric, ["test"]):
        print(f"\n{line}")
    print("\nDifferences, paired by seed, on this test set:\n")
    print_table(seed_table(analysis), wide=wide)
    if analysis.equivalence:
        print("\nClaims of equality:\n")
        print_table(_ordered(equality_table(analysis), last=["margin", "remarks"]), wide=wide)


def _ordered(table: Table, last: Sequence[str]) -> Table:
    """Return a table with its verdicts right after the name."""
    keys = [column.key for column in table.columns]
    verdicts = [key for key in keys if key in ("shown", "shown_new_sentences")]
    rest = [key for key in keys[1:] if key not in (*verdicts, *last)]
    return table.select([keys[0], *verdicts, *rest, *(key for key in last if key in keys)])
