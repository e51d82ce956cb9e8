"""The verbs with their options, in the order of use; the work is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from . import completion
from .console.say import explain_errors
from .options import (
    Address,
    File,
    Json,
    Name,
    Resume,
    RunName,
    Set,
    SharedFolder,
    SpaceSet,
    Storage,
    SuiteSet,
    TrackingUri,
    What,
    Wide,
    named_file,
    set_option,
)


def tune(
    file: File = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A file, or the name of a shipped one: quickstart.yaml.",
            autocompletion=completion.spaces,
            show_default=False,
        ),
    ] = None,
    settings: SpaceSet = None,
    name: Name = None,
    resume: Resume = None,
    trials: Annotated[
        int | None,
        typer.Option(help="Total number of trials; overrides the file's.", show_default=False),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY",
            autocompletion=completion.studies,
            help="Learn from an older study's trials where they fit this space; elsewhere try its "
            "best settings first.",
            show_default=False,
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Steer a running study (--name, if several run): its next trial has this setting. "
            "Repeat for more settings of the same trial.",
            show_default=False,
        ),
    ] = None,
    stop_trial: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Steer a running study: trial N stops at its next evaluation.",
            show_default=False,
        ),
    ] = None,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what the search would cost, estimated from a few measured steps.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Search a space; compare the winner with head-only."""
    with explain_errors("tune", storage, tracking_uri):
        if add or stop_trial is not None:
            from .commands.tune_steer import steer

            others: dict[str, object] = {
                "a file": file,
                "--space": space,
                "--set": settings,
                "--resume": resume,
            }
            others |= {"--trials": trials, "--warm-start": warm_start, "--dry-run": dry_run}
            others |= {"--address": address, "--tracking-uri": tracking_uri}
            steer(add or (), stop_trial, name, storage, as_json, others)
            return
        from .commands.tune import run_tune

        assigned = [*(settings or ()), *([f"trials={trials}"] if trials is not None else [])]
        run_tune(
            space=named_file(file, space, "--space"),
            overrides=tuple(assigned),
            name=name,
            resume=resume,
            warm_start=warm_start,
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
            help="A file, or the name of a shipped one: quick, components, scoring, …",
            autocompletion=completion.suites,
            show_default=False,
        ),
    ] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead of a file: a suite that leads from a study's own settings to its winner, "
            "one change at a time.",
            autocompletion=completion.studies,
            show_default=False,
        ),
    ] = None,
    settings: SuiteSet = None,
    name: Name = None,
    resume: Resume = None,
    resume_from: Annotated[
        Path | None,
        typer.Option(
            metavar="ARCHIVE",
            help="Resume an archived suite; its complete runs are not repeated.",
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
        typer.Option(
            "--no-reuse", help="Do not reuse identical runs from other suites or studies."
        ),
    ] = False,
    address: Address = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what the suite would cost and what it could show; run nothing.",
        ),
    ] = False,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Run a suite's arms over seeds; show which part helps."""
    with explain_errors("ablate", storage, tracking_uri):
        from .commands.ablate import run_ablate

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
        typer.Option(
            metavar="NAME",
            help="Train a study's winner.",
            autocompletion=completion.studies,
            show_default=False,
        ),
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
    devices: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Train on N devices of this machine: N processes that share every batch.",
        ),
    ] = 1,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Train one configuration and keep its adapter."""
    with explain_errors("train", None, tracking_uri):
        from .commands.train import run_train

        run_train(
            config=named_file(file, config, "--config"),
            from_study=from_study,
            trial=trial,
            overrides=tuple(settings or ()),
            name=name,
            resume=resume,
            devices=devices,
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
        str, typer.Option(metavar="MODEL", help="Model folder, hub id, or the packaged minilm.")
    ] = "minilm",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write the space to; default: the data file's name with .yaml, in the "
            "current folder.",
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Text column; give it twice for sentence pairs.",
            show_default=False,
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
        set_option(
            "How to read the file: data.separator, data.quotes, data.header, data.encoding."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Inspect your own file and write a search space for it."""
    with explain_errors("init"):
        from .commands.init import run_init

        run_init(data, model, out, text, label, kind, force, settings or [])


def report(
    name: Annotated[
        str,
        typer.Argument(
            help="A study, a suite, or the folder of an archived suite.",
            autocompletion=completion.names,
        ),
    ],
    other: Annotated[
        str | None,
        typer.Argument(
            metavar="OTHER",
            autocompletion=completion.names,
            help="Another study, or another suite: both on one page, compared at the top.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder to write to; default: the study's or suite's own folder.",
            show_default=False,
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
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in your browser.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Write a study's or suite's report: page, tables, figures, CSV."""
    with explain_errors("report"):
        from .commands.report import run_report

        run_report(name, storage, out, archive, other, open_page)


def ui(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="The study, suite or verification to open; several are compared.",
            autocompletion=completion.names,
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
) -> None:
    """Serve MLflow on this machine until Ctrl-C."""
    with explain_errors("ui"):
        from .commands.ui import run_ui

        run_ui(names or [], port, storage, tracking_uri)


def doctor(
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch the packaged model and data.")
    ] = False,
    tracking_uri: TrackingUri = None,
) -> None:
    """Check this machine, and say how to fix any problems."""
    with explain_errors("doctor"):
        from .commands.doctor import run_doctor

        raise typer.Exit(run_doctor(fetch, tracking_uri))


def runs_list(storage: Storage = None, as_json: Json = False, wide: Wide = False) -> None:
    """List studies, suites, single runs and verifications."""
    with explain_errors("runs list"):
        from .commands.runs import list_all

        list_all(storage, as_json, wide)


def runs_show(
    name: What,
    storage: Storage = None,
    as_json: Json = False,
    wide: Wide = False,
) -> None:
    """Show all runs of a study or suite, a single run, or a verification."""
    with explain_errors("runs show"):
        from .commands.runs import show

        show(name, storage, as_json, wide)


def runs_sync(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A study, suite, run or verification; default: all.",
            autocompletion=completion.names,
        ),
    ] = None,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Deliver to MLflow whatever it does not have yet."""
    with explain_errors("runs sync"):
        from .commands.runs import sync_all

        sync_all(name, storage, tracking_uri, as_json)


def runs_check(
    name: What,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Rebuild records from checkpoint and spool, and delete damaged checkpoints.",
        ),
    ] = False,
    storage: Storage = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Say what is damaged, what that costs, and what can be mended."""
    with explain_errors("runs check"):
        from .commands.check import run_check

        run_check(name, storage, tracking_uri, repair, as_json)


def cluster_slurm(
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A space to search, as for `tune`.",
            autocompletion=completion.spaces,
            show_default=False,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="A suite to run, as for `ablate`; repeat it for an array of jobs, one each.",
            autocompletion=completion.suites,
            show_default=False,
        ),
    ] = None,
    settings: Set = None,
    name: Name = None,
    storage: SharedFolder = None,
    tracking_uri: TrackingUri = None,
    nodes: Annotated[int, typer.Option(min=1, help="Number of machines.")] = 1,
    cpus: Annotated[int, typer.Option(min=1, help="CPUs of each machine.")] = 8,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each machine.")] = 0,
    time: Annotated[
        str,
        typer.Option(
            help="Limit of one allocation; the job is requeued, and resumes, until all is done."
        ),
    ] = "04:00:00",
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS",
            help="Another line of #SBATCH: --sbatch=--partition=gpu. Repeat for more.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print a Slurm job script that requeues itself until all is done."""
    with explain_errors("cluster slurm"):
        from .commands.cluster import print_slurm_script

        print_slurm_script(
            space=space,
            suites=suite or [],
            overrides=tuple(settings or ()),
            name=name,
            storage=storage,
            tracking_uri=tracking_uri,
            nodes=nodes,
            cpus=cpus,
            gpus=gpus,
            time=time,
            more=tuple(sbatch or ()),
        )


def params(
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="Shipped name, model folder or hub id.")
    ] = "microsoft/deberta-v3-base",
    k: Annotated[
        str,
        typer.Option(
            "--k",
            metavar="WIDTH",
            help="Width of the outer plane; 16,8 for three planes, none for one.",
        ),
    ] = "8",
    r: Annotated[int, typer.Option("--r", help="Singular values per matrix.")] = 8,
    target_modules: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Suffix of modules to adapt, or all-linear; repeat, or separate with commas. "
            "Default: all linear layers of each block.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[int, typer.Option(help="Number of outputs of the classification head.")] = 2,
    as_json: Json = False,
) -> None:
    """Count trained and scored parameters, without loading the model."""
    with explain_errors("params"):
        from .commands.params import run_params

        run_params(model, k, r, target_modules, labels, as_json)


def verify(
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Hub id or model folder; default: the packaged minilm.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Your own file; name its columns with --set data.text and data.label.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="A GLUE task or a packaged one; default: sentiment.", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Runs per arm; default: 6, with --quick 2.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK",
            help="start, planes, pruning, scoring, truth, ranking, merge or compress; repeat for "
            "more. Default: all.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Use few seeds and steps; this shows that the command works, but proves little.",
        ),
    ] = False,
    margin: Annotated[
        float,
        typer.Option(help="Score differences below this count as no difference; 0.02 is 2 points."),
    ] = 0.02,
    settings: Annotated[
        list[str] | None,
        set_option("Override a setting of the base run: adapter.k=4. Repeat for more."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of processes, with one thread each.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the files of the verification; default: a folder under verifications/ "
            "in the home folder.",
            show_default=False,
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Measure the paper's claims on a model and data of your choice."""
    with explain_errors("verify"):
        from .commands.verify import run_verify

        run_verify(
            model=model,
            data=data,
            task=task,
            seeds=seeds,
            only=tuple(only or ()),
            quick=quick,
            margin=margin,
            overrides=tuple(settings or ()),
            workers=workers,
            out=out,
            tracking_uri=tracking_uri,
            as_json=as_json,
        )


def compress(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            autocompletion=completion.names,
            help="A study (its winner is used), a run, or the folder of an adapter.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the result.", show_default=False)
    ],
    rank: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Mean rank to keep per matrix (may be fractional); default: keep all, as export "
            "does.",
            show_default=False,
        ),
    ] = None,
    per_matrix: Annotated[
        bool,
        typer.Option(
            "--per-matrix",
            help="Keep N in each matrix; default: keep the largest values across all matrices.",
        ),
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Cut an adapter to a mean rank by SVD; write it as a plain LoRA."""
    with explain_errors("compress"):
        from .commands.compress import run_compress

        if per_matrix and rank is None:
            raise UserError(
                "--per-matrix says where to keep ranks; also give their number with --rank"
            )
        run_compress(what, rank, "per-matrix" if per_matrix else "global", out, storage, as_json)


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR",
            autocompletion=completion.names,
            help="A study (its winner is used), a run, or the folder of an adapter.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the result.", show_default=False)
    ],
    form: Annotated[
        Literal["lora", "pruned"],
        typer.Option(
            "--as", help="A plain LoRA for stock PEFT, or LoRA² without its zeroed ranks."
        ),
    ] = "lora",
    merge: Annotated[
        bool,
        typer.Option("--merge", help="The whole model of a run, its adapter merged, in its place."),
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write an adapter, or the whole model, for other tools."""
    with explain_errors("export"):
        from .commands.export import run_export, run_merge

        if merge:
            run_merge(what, form, out, storage, as_json)
        else:
            run_export(what, form, out, storage, as_json)
