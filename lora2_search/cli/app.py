"""The command line: every verb, in the order of use; `verbs.py` holds their options."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import main as main  # scripts that were installed earlier begin here
from . import verbs

app = typer.Typer(
    name="lora2-search",
    help="Find the best LoRA² fine-tuning settings, and show which part earns its keep.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes around the help doubles its time
)

runs_app = typer.Typer(
    help="List runs, show them, and deliver them to MLflow.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.add_typer(runs_app, name="runs")


for verb in (
    verbs.tune,
    verbs.ablate,
    verbs.train,
    verbs.init,
    verbs.report,
    verbs.ui,
    verbs.export,
    verbs.compress,
    verbs.params,
    verbs.verify,
    verbs.doctor,
):
    app.command()(verb)


runs_app.command("list")(verbs.runs_list)


runs_app.command("show")(verbs.runs_show)


runs_app.command("sync")(verbs.runs_sync)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lora2-search {__version__}")
        raise typer.Exit


@app.callback()
def before_the_verb(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,  # it needs no verb
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Take what stands before a verb."""
