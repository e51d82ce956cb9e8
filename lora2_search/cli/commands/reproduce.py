"""``reproduce``: train a run again, and say whether it came out the same, bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

from ...experiments import Reproduction, RunOptions, reproduce_run
from ...tracking import resolve_uri
from ..console.live import LiveView, watched
from ..console.rows import print_json

DIFFERS = 1


def run_reproduce(
    run: str, name: str | None, storage: Path | None, tracking_uri: str | None, as_json: bool
) -> int:
    """Train a run again, print the outcome, and return the exit code: 1 where it differs.

    Raises:
        ConfigError: The model or the data cannot be used any more.
        UserError: There is no such run, it is not complete, or the name is in use.
    """
    view = LiveView(1, stream=sys.stderr if as_json else sys.stdout)
    with watched(view, f"training {run} again") as observers:
        options = RunOptions(
            storage=storage,
            tracking_uri=resolve_uri(tracking_uri),
            observers=observers,
            say=view.say,
        )
        result = reproduce_run(run, options, name)
    if as_json:
        print_json(_told(result))
    else:
        _print(result)
    return 0 if result.equal else DIFFERS


def _told(result: Reproduction) -> dict[str, object]:
    return {
        "run": result.run.what,
        "equal": result.equal,
        "compared": result.compared,
        "missing": result.missing,
        "differences": result.differences,
        "reasons": result.reasons,
        "name": result.name,
        "folder": str(result.folder),
    }


def _print(result: Reproduction) -> None:
    parts = ", ".join(result.compared)
    if result.equal:
        print(f"\n{result.run.what} came out the same, bit for bit: {parts}.")
    else:
        print(f"\n{result.run.what} came out differently:")
        for line in result.differences:
            print(f"  {line}")
    for line in result.missing:
        print(f"Not compared: {line}.")
    for line in result.reasons:
        print(f"Made differently: {line}")
    if not result.equal and not result.reasons:
        print("Nothing that a record holds explains it: same code, versions, device and files.")
    print(f"The new run: {result.name}, in {result.folder}")
