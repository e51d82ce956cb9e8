"""The command line: every verb, in the order of use; `verbs_*` hold their options."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import main as main  # scripts that were installed earlier begin here
from .commands import verbs_look, verbs_method, verbs_run

app = typer.Typer(
    name="lora2-search",
    help="Find the best LoRA² fine-tuning settings, and prove which part earns its keep.",
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
    verbs_run.tune,
    verbs_run.ablate,
    verbs_run.train,
    verbs_run.init,
    verbs_look.report,
    verbs_look.ui,
    verbs_method.export,
    verbs_method.compress,
    verbs_method.params,
    verbs_method.verify,
    verbs_look.doctor,
):
    app.command()(verb)


runs_app.command("list")(verbs_look.runs_list)


runs_app.command("show")(verbs_look.runs_show)


runs_app.command("sync")(verbs_look.runs_sync)


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
