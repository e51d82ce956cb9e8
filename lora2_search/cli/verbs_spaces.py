"""The verbs for search spaces, with their options; the work is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import completion
from .console.say import explain_errors
from .options import Json, OutFile, SpaceSet


def spaces_list(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with spaces of your own; default: this one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the shipped spaces, and those in a folder."""
    with explain_errors("spaces list"):
        from .commands.spaces import run_list

        run_list(folder, as_json)


def spaces_show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A file or a shipped space: rte.",
            autocompletion=completion.spaces,
        ),
    ],
    settings: SpaceSet = None,
    as_json: Json = False,
) -> None:
    """Print a space with every setting, whatever it extends."""
    with explain_errors("spaces show"):
        from .commands.spaces import run_show

        run_show(name, settings or (), as_json)


def spaces_check(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Files, or names of shipped spaces.",
            autocompletion=completion.spaces,
        ),
    ],
    settings: SpaceSet = None,
    as_json: Json = False,
) -> None:
    """Check spaces; list every mistake with its line.

    Model and data are not looked at: tune --dry-run does that.
    """
    with explain_errors("spaces check"):
        from .commands.spaces import run_check

        run_check(names, settings or (), as_json)


def spaces_schema(
    out: OutFile = None,
) -> None:
    """Print the JSON Schema of a space, for editors."""
    with explain_errors("spaces schema"):
        from .commands.spaces import run_schema

        run_schema(out)
