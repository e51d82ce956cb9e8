"""The command line: every verb, in the order of use; `verbs.py` holds their options."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import __version__
from . import main as main  # scripts that were installed earlier begin here
from . import verbs, verbs_afterwards, verbs_spaces

app = typer.Typer(
    name="lora2-search",
    help="Find the best LoRA² fine-tuning settings, and show which part earns its keep.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing boxes around the help doubles its time
)

runs_app = typer.Typer(
    help="List, show, compare, check, deliver and delete what was run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


spaces_app = typer.Typer(
    help="List, show and check search spaces.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def examples(*commands: str) -> str:
    """Return the end of a verb's help: commands to paste, a line each."""
    return "\n".join(["Examples:", "", "\b", *(f"  lora2-search {line}" for line in commands)])


app.add_typer(runs_app, name="runs")


app.add_typer(spaces_app, name="spaces")


cluster_app = typer.Typer(
    help="Write job scripts for a cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


app.add_typer(cluster_app, name="cluster")


cluster_app.command(
    "slurm",
    epilog=examples(
        "cluster slurm --space rte.yaml --gpus 1 --storage /shared > job.sbatch",
        "cluster slurm --suite quick --suite components > jobs.sbatch",
    ),
)(verbs.cluster_slurm)


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


app.command(
    epilog=examples(
        "predict --run quickstart --data new.csv --out answers.csv",
        "predict --run quickstart/3 --data new.jsonl --to jsonl > answers.jsonl",
    )
)(verbs_afterwards.predict)


app.command(
    epilog=examples(
        "generate --run smollm2 --prompt 'a warm film'",
        "generate --run smollm2/3 --prompt 'Who wrote it?' --max-new-tokens 64",
    )
)(verbs_afterwards.generate)


app.command(
    "eval",
    epilog=examples(
        "eval --run smollm2 --task asdiv",
        "eval --run smollm2 --task new.jsonl --out answers.parquet",
    ),
)(verbs_afterwards.evaluate)


app.command(
    epilog=examples("reproduce quickstart", "reproduce quickstart/3", "reproduce quick/base-seed0")
)(verbs_afterwards.reproduce)


runs_app.command("list")(verbs.runs_list)


runs_app.command("show")(verbs.runs_show)


runs_app.command("sync")(verbs.runs_sync)


runs_app.command(
    "compare",
    epilog=examples(
        "runs compare quickstart quickstart-2",
        "runs compare quickstart/3 quickstart/lora",
        "runs compare quick/base quick/no-regulariser",
    ),
)(verbs_afterwards.runs_compare)


runs_app.command(
    "frame",
    epilog=examples("runs frame quickstart > trials.csv", "runs frame quick --out runs.parquet"),
)(verbs_afterwards.runs_frame)


runs_app.command(
    "best",
    epilog=examples("runs best quickstart --out best.yaml", "train best.yaml --set seed=1"),
)(verbs_afterwards.runs_best)


runs_app.command("delete", epilog=examples("runs delete quickstart-2"))(
    verbs_afterwards.runs_delete
)


runs_app.command("gc", epilog=examples("runs gc --dry-run", "runs gc quickstart --keep 1 --yes"))(
    verbs_afterwards.runs_gc
)


spaces_app.command("list", epilog=examples("spaces list", "spaces list my-spaces"))(
    verbs_spaces.spaces_list
)


spaces_app.command("show", epilog=examples("spaces show rte --set adapter.r=8"))(
    verbs_spaces.spaces_show
)


spaces_app.command("check", epilog=examples("spaces check my.yaml", "spaces check spaces/*.yaml"))(
    verbs_spaces.spaces_check
)


spaces_app.command("schema", epilog=examples("spaces schema --out space.schema.json"))(
    verbs_spaces.spaces_schema
)


runs_app.command("check", epilog=examples("runs check quickstart", "runs check quick --repair"))(
    verbs.runs_check
)


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
