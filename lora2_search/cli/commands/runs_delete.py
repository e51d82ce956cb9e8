"""``runs delete | gc``: remove what was run, or the weights in it that nobody needs."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from ...errors import UserError
from ...experiments import Removable, collect, delete, garbage, removal_of
from ..console.rows import mib, print_json, print_rows
from ..console.say import narrator

_DECLINED = 1


def run_delete(name: str, storage: Path | None, yes: bool, as_json: bool) -> None:
    """Remove a study, suite, run or verification, once that is confirmed.

    Raises:
        UserError: There is nothing of that name, a process runs it, or nobody can be asked.
        Exit: The answer was no.
    """
    found = removal_of(name, storage)
    say = narrator(as_json)
    say(f"{found.what}: {mib(found.size)} in {found.folder}; what MLflow has of it stays there")
    _confirm(f"Delete {found.what}?", yes)
    delete(name, storage)
    if as_json:
        print_json({"deleted": found.what, "folder": str(found.folder), "bytes": found.size})
    else:
        say("deleted")


def run_gc(
    name: str | None, keep: int, storage: Path | None, yes: bool, dry: bool, as_json: bool
) -> None:
    """Say which weights can go, and remove them once that is confirmed.

    Raises:
        UserError: There is nothing of that name, or nobody can be asked.
        Exit: The answer was no.
    """
    found = garbage(name, storage, keep)
    total = sum(item.size for item in found)
    if as_json:
        if found and not dry:
            _confirm("", yes)
            collect(found)
        print_json({"removed": not dry, "bytes": total, "folders": [_told(x) for x in found]})
        return
    say = narrator()
    if not found:
        say(f"nothing to free: the best {keep} and the last of each keep their adapters")
        return
    print_rows([{"what": item.what, "size": mib(item.size)} for item in found])
    say(f"\nThat frees {mib(total)}. Records and predictions stay; `reproduce` trains an")
    say("adapter again. Other suites no longer reuse a run whose adapter is gone.")
    if dry:
        return
    _confirm(f"Remove these {len(found)} folders?", yes)
    say(f"freed {mib(collect(found))}")


def _told(item: Removable) -> dict[str, str | int]:
    return {"what": item.what, "folder": str(item.folder), "bytes": item.size}


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not question or not sys.stdin.isatty():
        raise UserError("nothing was removed: there is nobody to ask; add --yes to remove it")
    if not typer.confirm(question):
        narrator()("nothing was removed")
        raise typer.Exit(_DECLINED)
