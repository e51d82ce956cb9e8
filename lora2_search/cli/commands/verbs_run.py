"""The verbs that train: their options; the work is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..console.say import explained
from ..options import (
    Address,
    File,
    Json,
    Name,
    Resume,
    RunName,
    Set,
    Storage,
    TrackingUri,
    Wide,
    named_file,
)


def tune(
    file: File = None,
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
        int | None,
        typer.Option(help="Total number of trials; overrides the file's.", show_default=False),
    ] = None,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what it would cost, from a few measured steps.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Search a space; compare the winner with head-only."""
    with explained("tune", storage, tracking_uri):
        from .tune import run_tune

        assigned = [*(settings or ()), *([f"trials={trials}"] if trials is not None else [])]
        run_tune(
            space=named_file(file, space, "--space"),
            overrides=tuple(assigned),
            name=name,
            resume=resume,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            dry=dry_run,
            as_json=as_json,
        )


def ablate(
    file: File = None,
    suite: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A file, or a shipped name: quick, components, scoring, …",
            show_default=False,
        ),
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of a file: from a study's start to its winner, one change at a time.",
            show_default=False,
        ),
    ] = None,
    settings: Set = None,
    name: Name = None,
    resume: Resume = None,
    resume_from: Annotated[
        Path | None,
        typer.Option(
            metavar="ARCHIVE",
            help="Go on with an archived suite; its complete runs are not repeated.",
            show_default=False,
        ),
    ] = None,
    add_seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="With --resume: add N seeds, and run only those.", show_default=False
        ),
    ] = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add seeds until every named comparison is decided."),
    ] = False,
    no_reuse: Annotated[
        bool,
        typer.Option("--no-reuse", help="Do not reuse equal runs of other suites or studies."),
    ] = False,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what it would cost and could show; run nothing."),
    ] = False,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Run a suite's arms over seeds; show which part helps."""
    with explained("ablate", storage, tracking_uri):
        from .ablate import run_ablate

        run_ablate(
            suite=named_file(file, suite, "--suite"),
            from_study=from_study,
            overrides=tuple(settings or ()),
            name=name,
            resume=resume,
            resume_from=resume_from,
            add_seeds=add_seeds,
            until_decided=until_decided,
            reuse=not no_reuse,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            dry=dry_run,
            as_json=as_json,
            wide=wide,
        )


def train(
    file: File = None,
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
        typer.Option(
            help="With --from-study: this trial instead of the winner.", show_default=False
        ),
    ] = None,
    settings: Set = None,
    name: RunName = None,
    resume: Resume = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Train one setting and keep its adapter."""
    with explained("train", None, tracking_uri):
        from .train import run_train

        run_train(
            config=named_file(file, config, "--config"),
            from_study=from_study,
            trial=trial,
            overrides=tuple(settings or ()),
            name=name,
            resume=resume,
            storage=storage,
            tracking_uri=tracking_uri,
            as_json=as_json,
        )


def init(
    data: Annotated[
        Path,
        typer.Option(metavar="FILE", help="csv, tsv, jsonl, json or parquet.", show_default=False),
    ],
    model: Annotated[
        str, typer.Option(metavar="DIR", help="Model folder, hub id, or the packaged minilm.")
    ] = "minilm",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Space to write; default: the data's name.", show_default=False
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
        typer.Option(
            help="Whether labels are classes or numbers; default: inferred from them.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="How to read the file: data.separator, data.quotes, data.header, data.encoding.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Inspect your own file and write a search space for it."""
    with explained("init"):
        from .new_space import run_init

        run_init(data, model, out, text, label, kind, force, settings or [])
