"""The verbs and their options; each verb's work is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .failures import explained
from .options import Address, Json, Name, Resume, RunName, Set, Storage, TrackingUri

app = typer.Typer(
    name="lora2-search",
    help="Find the best LoRA² fine-tuning settings, and prove which part earns its keep.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes around the help doubles its time
)
runs_app = typer.Typer(
    help="List, show and deliver what was run.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(runs_app, name="runs")


def main() -> None:
    """Run the command line."""
    app(prog_name="lora2-search")


@app.command()
def tune(
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="A file, or a shipped name: quickstart.yaml.", show_default=False
        ),
    ] = None,
    settings: Set = None,
    name: Name = None,
    resume: Resume = None,
    trials: Annotated[
        int | None, typer.Option(help="Trials in all, instead of the file's.", show_default=False)
    ] = None,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would cost; measure a few steps only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search the settings of a space; tell the winner against head-only."""
    with explained("tune"):
        from .tune import run_tune

        assigned = [*(settings or ()), *([f"trials={trials}"] if trials is not None else [])]
        run_tune(
            space=space,
            overrides=tuple(assigned),
            name=name,
            resume=resume,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            dry=dry_run,
            as_json=as_json,
        )


@app.command()
def ablate(
    suite: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A file, or a shipped name: quick.", show_default=False),
    ] = None,
    settings: Set = None,
    name: Name = None,
    resume: Resume = None,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Run arms x seeds of a suite; tell which part of the method helps."""
    with explained("ablate"):
        from .ablate import run_ablate

        run_ablate(
            suite=suite,
            overrides=tuple(settings or ()),
            name=name,
            resume=resume,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            as_json=as_json,
        )


@app.command()
def train(
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A run's settings in YAML.", show_default=False),
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Train a study's winner.", show_default=False),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(help="With --from-study: this trial, not the winner.", show_default=False),
    ] = None,
    settings: Set = None,
    name: RunName = None,
    resume: Resume = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Train one setting and keep its adapter."""
    with explained("train"):
        from .train import run_train

        run_train(
            config=config,
            from_study=from_study,
            trial=trial,
            overrides=tuple(settings or ()),
            name=name,
            resume=resume,
            storage=storage,
            tracking_uri=tracking_uri,
            as_json=as_json,
        )


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="A study or a suite.")],
    storage: Storage = None,
) -> None:
    """Write the page of a study or the report of a suite."""
    with explained("report"):
        from .runs import run_report

        run_report(name, storage)


@app.command()
def init(
    data: Annotated[
        Path, typer.Option(metavar="FILE", help="csv, tsv, jsonl or parquet.", show_default=False)
    ],
    model: Annotated[
        str, typer.Option(metavar="DIR", help="Model folder, hub id, or the packaged minilm.")
    ] = "minilm",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Space to write; default: named like the data.", show_default=False
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Text column; twice for sentence pairs.", show_default=False
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Label column.", show_default=False)
    ] = None,
    kind: Annotated[
        Literal["classification", "regression"] | None,
        typer.Option(help="What the labels are; guessed when not given.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Look at your own file and write a search space for it."""
    with explained("init"):
        from .new_space import run_init

        run_init(data, model, out, text, label, kind, force)


@app.command()
def doctor(
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the packaged model and sentences.")
    ] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check this machine, and say what to do about what is amiss."""
    with explained("doctor"):
        from .doctor import run_doctor

        raise typer.Exit(run_doctor(fetch, tracking_uri))


@app.command()
def ui(
    name: Annotated[
        str | None, typer.Argument(help="Open the view of this study or suite.")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Serve MLflow on this machine until Ctrl-C."""
    with explained("ui"):
        from .runs import run_ui

        run_ui(name, port, storage, tracking_uri)


@runs_app.command("list")
def runs_list(storage: Storage = None, as_json: Json = False) -> None:
    """List studies, suites and single runs."""
    with explained("runs list"):
        from .runs import list_all

        list_all(storage, as_json)


@runs_app.command("show")
def runs_show(
    name: Annotated[str, typer.Argument(help="A study, a suite or a single run.")],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show the runs of a study or suite, or the record of one run."""
    with explained("runs show"):
        from .runs import show

        show(name, storage, as_json)


@runs_app.command("sync")
def runs_sync(
    name: Annotated[
        str | None, typer.Argument(help="A study, a suite or a single run; default: all.")
    ] = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Deliver to MLflow what it has not got yet."""
    with explained("runs sync"):
        from .runs import sync_all

        sync_all(name, storage, tracking_uri, as_json)
