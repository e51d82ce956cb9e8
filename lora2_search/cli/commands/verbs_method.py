"""The verbs about the method and its adapters: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ...errors import UserError
from ..console.say import explained
from ..options import Json, Set, Storage, TrackingUri


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
            help="Suffix of modules to adapt, or all-linear; repeat, or separate by commas. "
            "Default: all linear layers of each block.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[int, typer.Option(help="Outputs of the classification head.")] = 2,
    as_json: Json = False,
) -> None:
    """Count what an adapter trains and scores; loads no model."""
    with explained("params"):
        from .params import run_params

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
            help="A file of your own; name its columns with --set data.text and data.label.",
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
            "--quick", help="Use few seeds and steps: shows that it works, proves little."
        ),
    ] = False,
    margin: Annotated[
        float, typer.Option(help="Score differences below this count as none; 0.02 is 2 points.")
    ] = 0.02,
    settings: Set = None,
    workers: Annotated[int, typer.Option(help="Processes, with one thread each.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for its files; default: in verifications/ in the home.",
            show_default=False,
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: Json = False,
) -> None:
    """Measure the paper's claims on a model and data of your choice."""
    with explained("verify"):
        from .verify import run_verify

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
        str, typer.Argument(metavar="NAME|DIR", help="A study (its winner), a run, or a folder.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="New folder for the result.", show_default=False)
    ],
    rank: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Mean rank to keep per matrix, may be fractional; default: all, as export does.",
            show_default=False,
        ),
    ] = None,
    per_matrix: Annotated[
        bool,
        typer.Option(
            "--per-matrix",
            help="Keep N in each matrix; default: the largest values over all matrices.",
        ),
    ] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Cut an adapter to a mean rank by SVD, as a plain LoRA."""
    with explained("compress"):
        from .adapters import run_compress

        if per_matrix and rank is None:
            raise UserError(
                "--per-matrix says where to keep ranks; also give their number with --rank"
            )
        run_compress(what, rank, "per-matrix" if per_matrix else "global", out, storage, as_json)


def export(
    what: Annotated[
        str, typer.Argument(metavar="NAME|DIR", help="A study (its winner), a run, or a folder.")
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
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Write an adapter in a form that other tools load, without loss."""
    with explained("export"):
        from .adapters import run_export

        run_export(what, form, out, storage, as_json)
