from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import lora2_search
from lora2_search.cli.app import app

VERBS = {
    "tune": ["--space", "--set", "--name", "--resume", "--trials", "--address", "--storage"],
    "ablate": ["--suite", "--set", "--name", "--resume", "--address", "--storage", "--json"],
    "train": ["--config", "--from-study", "--trial", "--set", "--resume", "--tracking-uri"],
    "export": ["{NAME|DIR}", "--as", "--out", "--storage", "--json"],
    "compress": ["{NAME|DIR}", "--rank", "--per-matrix", "--out", "--storage", "--json"],
    "report": ["{name}", "--storage"],
    "params": ["--model", "--k", "--r", "--target-modules", "--labels", "--json"],
    "init": ["--data", "--model", "--out", "--text", "--label", "--kind", "--force"],
    "doctor": ["--fetch", "--tracking-uri"],
    "ui": ["--port", "--tracking-uri"],
    "generate": ["--run", "--prompt", "--max-new-tokens", "Examples:"],
    "eval": ["--run", "--task", "--out", "--to", "--set", "Examples:"],
    "predict": ["--run", "--data", "--out", "--to", "--text", "--set", "Examples:"],
    "reproduce": ["{RUN}", "--name", "--storage", "--tracking-uri", "--json", "Examples:"],
    "runs": ["list", "show", "sync", "compare", "frame", "best", "delete", "gc"],
    "runs list": ["--json", "--storage"],
    "runs show": ["{name}", "--json"],
    "runs sync": ["--tracking-uri", "--json"],
    "runs check": ["{name}", "--repair", "--storage", "--tracking-uri", "--json", "Examples:"],
    "cluster slurm": ["--space", "--suite", "--nodes", "--time", "--sbatch", "Examples:"],
    "runs compare": ["{A}", "{B}", "--storage", "--json", "Examples:"],
    "runs frame": ["{name}", "--to", "--out", "--storage", "Examples:"],
    "runs best": ["{name}", "--out", "--storage", "Examples:"],
    "runs delete": ["{name}", "--yes", "--storage", "--json", "Examples:"],
    "runs gc": ["--keep", "--dry-run", "--yes", "--storage", "--json", "Examples:"],
    "spaces": ["list", "show", "check", "schema"],
    "spaces list": ["--json", "Examples:"],
    "spaces show": ["{FILE}", "--set", "--json", "Examples:"],
    "spaces check": ["{FILE...}", "--set", "--json", "Examples:"],
    "spaces schema": ["--out", "Examples:"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_options(verb: str) -> None:
    result = CliRunner().invoke(app, [*verb.split(), "--help"], prog_name="lora2-search")
    assert result.exit_code == 0
    assert f"Usage: lora2-search {verb}" in result.stdout
    for option in VERBS[verb]:
        assert option in result.stdout


def test_the_overview_names_every_verb_with_a_whole_sentence() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for verb in VERBS:
        if " " not in verb:
            assert f"\n  {verb}" in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune", "--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'"),
        (["tune", "--trials", "many"], "should be a valid integer"),
        (["init"], "Missing option '--data'"),
        (["init", "--data", "x.csv", "--kind", "sorting"], "'sorting' is not one of"),
    ],
)
def test_a_wrong_option_exits_with_2(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["tune", "--help"], ["params", "--help"], ["runs", "list", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['lora2-search', *{arguments!r}]\n"
        "from lora2_search.cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = 'torch ray mlflow optuna transformers pandas numpy plotly peft'.split()\n"
        "print('HEAVY', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("verb", ["tune", "ablate"])
def test_a_search_does_not_wait_for_what_its_driver_never_uses(verb: str) -> None:
    code = (
        f"import sys, lora2_search.cli.commands.{verb}\n"
        "heavy = 'torch transformers peft mlflow scipy.stats'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "lora2_search", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: lora2-search")
    assert done.stderr == ""


def test_train_says_how_a_run_without_a_name_is_called() -> None:
    result = CliRunner().invoke(app, ["train", "--help"])
    assert "default: task, method and fingerprint" in " ".join(result.stdout.split())


def test_the_version_needs_no_verb() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"lora2-search {lora2_search.__version__}\n")


@pytest.mark.parametrize(
    ("verb", "option", "words"),
    [
        ("tune", "--space", "no file nowhere.yaml"),
        ("ablate", "--suite", "no file nowhere.yaml"),
        ("train", "--config", "nowhere.yaml: cannot be read"),
    ],
)
def test_a_verb_takes_its_file_with_or_without_the_option_but_not_both(
    verb: str, option: str, words: str
) -> None:
    for given in (["nowhere.yaml"], [option, "nowhere.yaml"]):
        result = CliRunner().invoke(app, [verb, *given])
        assert result.exit_code == 2 and words in result.stderr
    both = CliRunner().invoke(app, [verb, "one.yaml", option, "two.yaml"])
    assert both.exit_code == 2
    assert f"two files given, one.yaml and {option} two.yaml" in both.stderr
