"""``verify``: the paper's claims, measured, as a table, a page and one MLflow run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import UserError
from ...experiments import FOLDERS, check_inputs
from ...signals import Interrupted, signal_of
from ...store import home, owned
from ...tracking import ParentInfo, Tracked, resolve
from ...training import commit, versions
from ...verification import Plan, Verification, chosen_plan, verify
from ..console.results import command, where_in_mlflow
from ..console.rows import duration, print_json, print_rows
from ..console.say import narrator

_COLUMNS = ("check", "claim", "published", "measured", "verdict")


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
    uri, say, begun = resolve(tracking_uri), narrator(as_json), time.monotonic()
    plan = chosen_plan(
        model=model,
        data=data,
        task=task,
        seeds=seeds,
        only=only,
        overrides=overrides,
        quick=quick,
        margin=margin,
    )
    if workers < 1:
        raise UserError(f"--workers must be at least 1, but got {workers}")
    folder = out.expanduser().absolute() if out else home() / FOLDERS["verification"] / plan.name
    for line in check_inputs(plan.run_config("pruned", plan.seeds[0]), say):
        say(line)
    say(f"verification {plan.name}: {', '.join(plan.checks)}; {len(plan.parts())} runs in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with owned(folder), _tracked(plan, folder, uri, say) as tracked:
        found = verify(plan, folder, workers=workers, say=say)
        tracked.measured(found.numbers())
        tracked.close("COMPLETE", artifacts=[found.table, found.page])
    _tell(plan, found, uri, time.monotonic() - begun, as_json)


@contextmanager
def _tracked(plan: Plan, folder: Path, uri: str, say: Callable[[str], None]) -> Iterator[Tracked]:
    head, dirty = commit()
    parent = ParentInfo(
        kind="verification",
        name=plan.name,
        config=plan.config,
        params={
            "verify": {
                "seeds": len(plan.seeds),
                "checks": ", ".join(plan.checks),
                "margin": plan.margin,
                "quick": plan.quick,
            }
        },
        tags={
            "fingerprint": plan.fingerprint(),
            "commit": (head or "") + (" (changed)" if dirty else ""),
            "versions": ", ".join(f"{name} {text}" for name, text in versions().items()),
        },
        description=f"`lora2-search verify`: {plan.config.task}, {len(plan.seeds)} seeds",
    )
    tracked = Tracked(folder, parent, uri, say)
    tracked.open()
    try:
        yield tracked
    except KeyboardInterrupt as interrupt:
        tracked.close("STOPPED", reason="interrupted")
        raise Interrupted(
            signal_of(interrupt),
            "the runs under way are lost, those that ended are kept: the same command goes on",
        ) from None
    except BaseException as error:
        if tracked.is_open:
            tracked.close("FAIL", reason=str(error))
        raise


def _tell(plan: Plan, found: Verification, uri: str, seconds: float, as_json: bool) -> None:
    told = {
        "name": plan.name,
        "folder": str(found.folder),
        "quick": plan.quick,
        "seeds": list(plan.seeds),
        "rows": [row.plain() for row in found.rows],
        "page": str(found.page),
        "mlflow": where_in_mlflow(found.folder, uri),
        "seconds": seconds,
    }
    if as_json:
        print_json(told)
        return
    print(f"\nVerification {plan.name}: {len(plan.seeds)} seeds\n")
    print_rows([row.plain() for row in found.rows], _COLUMNS)
    print("\nWhat each row says, and what it does not:\n")
    for row in found.rows:
        print(f"- {row.claim}: {row.verdict}.\n  {row.says}")
    print(f"\nTime:     {duration(seconds)}")
    print(f"Page:     {told['page']}")
    print(f"MLflow:   {command('ui', tracking_uri=uri)}")
    if told["mlflow"]:
        print(f"          opens {told['mlflow']}")
