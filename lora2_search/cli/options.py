"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from . import completion


def set_option(help_text: str, offered: Callable[[str], list[str]] = completion.settings) -> Any:
    """Return the option ``--set KEY=VALUE``, which each verb explains in its own words.

    Args:
        help_text: Those words.
        offered: What completes the key.
    """
    return typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help=help_text,
        autocompletion=offered,
        show_default=False,
    )


_OVERRIDE = "Override a setting of the file: adapter.k=4. Repeat for more."

Set = Annotated[list[str] | None, set_option(_OVERRIDE)]

SpaceSet = Annotated[list[str] | None, set_option(_OVERRIDE, completion.space_settings)]

SuiteSet = Annotated[list[str] | None, set_option(_OVERRIDE, completion.suite_settings)]

Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the study or suite and of its folder; default: the file's name, with -2 and "
        "so on if it is in use.",
        show_default=False,
    ),
]

File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE", help="The YAML file; you can also give it as an option.", show_default=False
    ),
]

RunName = Annotated[
    str | None,
    typer.Option(
        help="Name of the run and of its folder; default: task, method and fingerprint, so that "
        "the same settings resume the same run.",
        show_default=False,
    ),
]

Resume = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Resume NAME where it stopped.",
        autocompletion=completion.resumable,
        show_default=False,
    ),
]

What = Annotated[
    str,
    typer.Argument(
        help="A study, a suite, a single run or a verification.", autocompletion=completion.names
    ),
]

Address = Annotated[
    str | None,
    typer.Option(
        help="Join a Ray cluster: auto, or host:port. Default: start Ray on this machine.",
        show_default=False,
    ),
]


def named_file(file: str | None, option: str | None, name: str) -> str | None:
    """Return the file that a verb was given, as its argument or by an option.

    Raises:
        UserError: It was given both ways.
    """
    if file is not None and option is not None:
        raise UserError(f"two files given, {file} and {name} {option}; leave one out")
    return file or option


def _storage(given: str) -> Path:
    from ..store import storage_folder

    try:
        folder = storage_folder(given)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None
    assert folder is not None
    return folder


Storage = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        parser=_storage,
        help="Folder that holds the studies and suites; all nodes of a cluster must share it. Or "
        "a bucket: s3://bucket/folder.",
        show_default=False,
    ),
]


def _shared_folder(given: str) -> Path:
    if "://" in given:
        raise typer.BadParameter(
            "a Slurm job resumes from a folder that its nodes share: name one, no bucket"
        )
    return _storage(given)


SharedFolder = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        parser=_shared_folder,
        help="Folder for the studies and suites, which all nodes of the job must share; default: "
        "the home folder ($LORA2_SEARCH_HOME).",
        show_default=False,
    ),
]

TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="MLflow store; default: $MLFLOW_TRACKING_URI, else SQLite in the home folder "
        "($LORA2_SEARCH_HOME).",
        show_default=False,
    ),
]

OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE", help="File to write; default: stdout.", show_default=False
    ),
]

Json = Annotated[
    bool, typer.Option("--json", help="Print results as JSON on stdout, progress on stderr.")
]

Wide = Annotated[
    bool,
    typer.Option("--wide", help="Print every column of a table, however narrow the terminal is."),
]
