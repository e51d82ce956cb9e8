"""``verify``: the paper's claims, measured, and tracked in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import Argument, RequestError
from ..store import home, lock_folder
from ..tracking import ParentInfo, Tracked, resolve_uri
from ..training import commit, versions
from ..verification import Plan, Verification, verify
from .catalog import FOLDERS
from .preflight import check_inputs
from .request import RunOptions


def verification_folder(plan: Plan, out: Path | None = None) -> Path:
    """Return where a verification is, or would be: ``out``, else in the home under its name."""
    return out.expanduser().absolute() if out else home() / FOLDERS["verification"] / plan.name


def verify_plan(
    plan: Plan, options: RunOptions, workers: int = 2, out: Path | None = None
) -> Verification:
    """Measure what is asked for, or what its folder still lacks.

    Raises:
        ConfigError: Everything that is wrong with the model or the data.
        UserError: The folder holds another verification or is in use, or the hub cannot be
            reached.
    """
    if workers < 1:
        raise RequestError(Argument("workers"), f" must be at least 1, but got {workers}")
    uri, folder, say = (
        resolve_uri(options.tracking_uri),
        verification_folder(plan, out),
        options.say,
    )
    for line in check_inputs(plan.run_config("pruned", plan.seeds[0]), say, judged_on=("test",)):
        say(line)
    say(f"verification {plan.name}: {', '.join(plan.checks)}; {len(plan.parts())} runs in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder), _tracked(Tracked(folder, _parent(plan), uri, say)) as tracked:
        outcome = verify(plan, folder, workers=workers, say=say)
        tracked.measured(outcome.numbers())
        tracked.close("COMPLETE", artifacts=[outcome.table, outcome.page])
    return outcome


def _parent(plan: Plan) -> ParentInfo:
    head, dirty = commit()
    return ParentInfo(
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


@contextmanager
def _tracked(tracked: Tracked) -> Iterator[Tracked]:
    tracked.open()
    try:
        yield tracked
    except KeyboardInterrupt:
        tracked.close("STOPPED", reason="interrupted")
        raise
    except BaseException as error:
        if tracked.is_open:
            tracked.close("FAIL", reason=str(error))
        raise
