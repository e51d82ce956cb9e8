"""What every script beside this one does: run a suite from Python and show what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from signal import Signals


def main(suite: str, about: str | None, changes: Sequence[str] = ()) -> None:
    """Run a suite of this folder, or resume one.

    Args:
        suite: Its file, without ``.yaml``.
        about: What ``--help`` says.
        changes: ``key=value`` over the file of a new suite, before those of the command line.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--name", help="of the suite's folder; default: the file's name")
    parser.add_argument("--resume", metavar="NAME", help="resume a suite")
    parser.add_argument("--storage", type=Path, help="where suites/ is; default: the home folder")
    given = parser.parse_args()

    import lora2_search
    from lora2_search.errors import UserError
    from lora2_search.signals import EXIT_CODES

    try:
        result = lora2_search.ablate(
            None if given.resume else Path(__file__).with_name(f"{suite}.yaml"),
            # A suite that goes on has the changes it was begun with.
            overrides=[*([] if given.resume else changes), *given.changes],
            name=given.name,
            resume=given.resume,
            storage=given.storage,
            say=print,
        )
    except UserError as error:
        parser.exit(2, f"{error}\n")
    if result.interrupted:
        code = EXIT_CODES[result.ended_by or Signals.SIGINT]
        parser.exit(code, f"interrupted; resume with --resume {result.name}\n")
    # A plain pandas frame, one row per run: the place to go on from.
    frame = result.frame().astype({"test": float})
    arms = frame.groupby(["task", "arm"], sort=False)["test"]
    print(arms.describe()[["count", "mean", "std"]])
    print(f"report: {result.folder}")
