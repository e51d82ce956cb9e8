"""The verbs for what was run, with their options; the work is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import completion
from .console.say import explain_errors
from .options import Json, OutFile, Storage, TrackingUri, What, set_option

_WHICH_RUN = (
    "A run, a study (its winner is used), trial N of a study (quick/N), or a run of a suite "
    "(quick/base-seed0)."
)

_TABLE = (
    "csv, json, jsonl or parquet; default: what the file's name ends in, else csv. Of task "
    "metamath also peft: a result per run for PEFT's method comparison, in the folder --out."
)

Run = Annotated[
    str,
    typer.Option("--run", metavar="NAME", help=_WHICH_RUN, autocompletion=completion.names),
]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

To = Annotated[str | None, typer.Option("--to", metavar="FORMAT", help=_TABLE, show_default=False)]


def runs_compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="A study, a suite, an arm (quick/lora), or any run (quick/3).",
            autocompletion=completion.names,
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B", help="What to compare it with.", autocompletion=completion.names
        ),
    ],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show two results side by side: settings, scores, cost, examples."""
    with explain_errors("runs compare"):
        from .commands.runs_compare import run_compare

        run_compare(first, second, storage, as_json)


def runs_frame(
    name: What,
    to: To = None,
    out: OutFile = None,
    storage: Storage = None,
) -> None:
    """Write what was run as a table: a row per trial, run or step."""
    with explain_errors("runs frame"):
        from .commands.runs_files import run_frame

        run_frame(name, to, out, storage)


def runs_best(
    name: Annotated[str, typer.Argument(help=_WHICH_RUN, autocompletion=completion.names)],
    out: OutFile = None,
    storage: Storage = None,
) -> None:
    """Print a winner's settings as YAML for train."""
    with explain_errors("runs best"):
        from .commands.runs_files import run_best

        run_best(name, out, storage)


def runs_delete(
    name: What,
    yes: Yes = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Delete a study, suite, run or verification from the disk."""
    with explain_errors("runs delete"):
        from .commands.runs_delete import run_delete

        run_delete(name, storage, yes, as_json)


def runs_gc(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A study, a suite or a run; default: all.", autocompletion=completion.names
        ),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Keep the adapters of the best N trials of a study, and of the best N seeds of "
            "an arm, and that of the last.",
        ),
    ] = 3,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be freed; remove nothing.")
    ] = False,
    yes: Yes = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Free the disk of adapters and checkpoints nobody needs."""
    with explain_errors("runs gc"):
        from .commands.runs_delete import run_gc

        run_gc(name, keep, storage, yes, dry_run, as_json)


def reproduce(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=_WHICH_RUN, autocompletion=completion.names)
    ],
    name: Annotated[
        str | None,
        typer.Option(help="Name of the new run; default: RUN-again.", show_default=False),
    ] = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Train a run again; say whether it is equal, bit for bit.

    Exits with 1 where it is not, and says which version, file or device differs.
    """
    with explain_errors("reproduce", storage, tracking_uri):
        from .commands.reproduce import run_reproduce

        raise typer.Exit(run_reproduce(run, name, storage, tracking_uri, as_json))


def predict(
    run: Run,
    data: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="csv, tsv, jsonl, json or parquet, read as the run's own data were; labels are "
            "optional.",
        ),
    ],
    out: OutFile = None,
    to: To = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Text column, where its name is not that of the run; twice for sentence pairs.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        set_option("How to read the file: data.separator, data.label and so on."),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Let a trained run answer the rows of a file."""
    with explain_errors("predict", storage):
        from .commands.predict import run_predict

        run_predict(run, data, out, to, text or (), settings or (), storage, as_json)


def generate(
    run: Run,
    prompt: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="The prompt; of conversations, what the user says; of a template or a packaged "
            "task, what stands in its columns, a line for each.",
        ),
    ],
    most: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            min=1,
            help="Tokens of the answer at most; default: as in the run's evaluations.",
            show_default=False,
        ),
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Let a trained language model answer a prompt."""
    with explain_errors("generate", storage):
        from .commands.language import run_generate

        run_generate(run, prompt, most, storage, as_json)


def evaluate(
    run: Run,
    task: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="csv, tsv, jsonl, json or parquet, read as the run's own data were; or a packaged "
            "task, whose test split is scored.",
        ),
    ],
    out: OutFile = None,
    to: To = None,
    settings: Annotated[
        list[str] | None, set_option("Other data or language settings: data.label=answer.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Score a trained language model on other data."""
    with explain_errors("eval", storage):
        from .commands.language import run_eval

        run_eval(run, task, out, to, settings or (), storage, as_json)
