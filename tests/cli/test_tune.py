"""``tune`` and ``ablate`` as a user runs them: real processes, a tiny model, real files."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from lora2_search import api
from lora2_search.search.storage import stored_trials
from lora2_search.store.record import read_record
from lora2_search.tracking.uri import DATABASE
from tests.support.commands import COMMAND, run
from tests.support.exactly_once import assert_every_point_once

pytestmark = pytest.mark.slow

SHORT = [
    *("--set", "training.steps=8", "--set", "training.evaluations=4"),
    *("--set", "training.device=cpu", "--set", "resources.concurrent=2"),
]


@pytest.fixture
def space(reviews_csv: Path, tiny_bert: Path, tmp_path: Path) -> Path:
    out = tmp_path / "mine.yaml"
    run("init", "--data", reviews_csv, "--model", tiny_bert, "--label", "verdict", "--out", out)
    return out


def test_a_file_of_ones_own_is_looked_at_tuned_and_its_winner_trained(
    space: Path, home_with_store: Path
) -> None:
    done = run("tune", "--space", space, *SHORT, "--trials", 3, "--json")
    result = json.loads(done.stdout)
    winner = result["winner"]
    assert sum(result["trials"].values()) == 3
    assert set(winner["settings"]) == {
        "training.lr",
        "adapter.k",
        "adapter.target_rank",
        "adapter.gamma",
    }
    assert winner["validation"] == winner["score"]
    assert result["head_only"]["test"] is not None
    assert Path(result["report"]).is_file()
    assert "workflowType=machine_learning" in result["mlflow"]
    assert "trial 2 " in done.stderr

    trained = json.loads(run("train", "--from-study", "mine", "--json").stdout)
    study = api.load_study("mine")
    assert study.best is not None
    best = read_record(study.best.folder)
    assert best is not None
    assert trained["fingerprint"] == best.fingerprint
    assert trained["scores"] == pytest.approx(best.scores)
    assert len(study.frame()) == 3 and study.frame()["seconds"].notna().all()
    seconds = [trial.user_attrs["seconds"] for trial in stored_trials(study.folder, "mine")]
    assert seconds == list(study.frame()["seconds"])

    again = run("tune", "--space", space, *SHORT, "--trials", 1)
    assert "Study mine-2: 1 trials" in again.stdout
    assert "head only" in again.stdout and "starting Ray\n" in again.stdout
    listed = json.loads(run("runs", "list", "--json").stdout)
    assert [row["name"] for row in listed][:2] == ["mine", "mine-2"]


def test_a_study_of_two_objectives_is_the_same_on_the_terminal_in_runs_show_and_in_mlflow(
    space: Path, home_with_store: Path
) -> None:
    from mlflow import MlflowClient

    more = (
        "sampler: {name: qmc}\npick: {max_drop: 0.5}\n"
        "objectives: [{metric: accuracy}, {metric: file_bytes}]\n"
        "constraints: {compressed_parameters: {max: 900_000}}\n"
        "rules: [adapter.target_rank * 2 <= adapter.k + 9]\n"
    )
    space.write_text(space.read_text().replace("sampler: {name: tpe, seed: 0}\n", more))
    done = run("tune", "--space", space, *SHORT, "--trials", 4, "--json")
    result = json.loads(done.stdout)
    assert result["picked"] == "the best file_bytes within 0.5 of the best accuracy"
    front = {row["trial"] for row in result["front"]}
    assert result["winner"]["trial"] in front
    study = api.load_study("mine")
    assert front == {trial.number for trial in study.pareto}
    for trial in study.trials:
        files = [path.stat().st_size for path in (trial.folder / "adapter").glob("*.safetensors")]
        assert trial.outcome is None or trial.outcome.values[1] == sum(files) > 0
    table = run("runs", "show", "mine", "--wide").stdout
    assert "file_bytes" in table and "pareto" in table and "feasible" in table

    client = MlflowClient(f"sqlite:///{home_with_store / DATABASE}")
    experiment = client.get_experiment_by_name("lora2_search/studies/mine")
    tagged = client.search_runs([experiment.experiment_id], "tags.pareto = 'yes'")
    # The study's own row stands for its winner.
    on_front = {"mine", *(f"trial {number}" for number in front)}
    assert {run.info.run_name for run in tagged} == on_front
    assert all("outcome/file_bytes" in run.data.metrics for run in tagged)
    assert all(run.data.tags["feasible"] == "yes" for run in tagged)


def test_ctrl_c_says_how_to_go_on_and_the_study_ends_whole(
    space: Path, home_with_store: Path
) -> None:
    line = [*COMMAND, "tune", "--space", str(space), *SHORT, "--set", "training.steps=600"]
    process = subprocess.Popen(
        [*line, "--trials", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    while "trial 0 step" not in process.stdout.readline():
        assert process.poll() is None
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 130
    assert time.monotonic() - started < 40
    assert "resume with: lora2-search tune --resume mine" in said
    assert "Traceback" not in said
    result = json.loads(run("tune", "--resume", "mine", "--json").stdout)
    assert sum(result["trials"].values()) == 3
    assert "RUNNING" not in result["trials"]
    counts = json.loads(run("runs", "sync", "mine", "--json").stdout)["mine"]
    assert (counts["runs"], counts["points"], counts["refused"]) == (4, 0, 0)
    uri = f"sqlite:///{home_with_store / DATABASE}"
    assert_every_point_once(home_with_store / "studies" / "mine", uri)


@pytest.fixture(params=[1, 2], ids=["this machine", "two nodes"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[object]]:
    """Arguments that say where to run: nothing, or a Ray cluster of two nodes of one core."""
    if request.param == 1:
        yield []
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    yield ["--address", cluster.address, "--storage", tmp_path / "shared"]
    cluster.shutdown()


def test_the_rte_space_and_the_quick_suite_run_offline_on_folders(
    tiny_deberta: Path, glue_folder: Path, home_with_store: Path, where: list[object]
) -> None:
    local = [
        *where,
        *("--set", f"model.name_or_path={tiny_deberta}", "--set", "model.revision=null"),
        *("--set", f"data.path={glue_folder}", "--set", "data.max_length=32"),
    ]
    result = json.loads(
        run("tune", "--space", "rte.yaml", *local, *SHORT, "--trials", 2, "--json").stdout
    )
    assert result["winner"] is not None
    more = ["--set", "task=rte", "--set", "seeds=2", "--set", "data.train_size=64"]
    suite = [*local, *SHORT, *more, "--set", "data.test_size=20"]
    told = json.loads(run("ablate", "--suite", "quick", *suite, "--json").stdout)
    assert {row["arm"] for row in told["tables"]["arms"]} >= {"base", "head-only"}
    assert told["failed"] == {}
    assert told["verdict"]
    assert Path(told["report"]).is_file()


def test_a_dry_run_costs_little_and_leaves_nothing(space: Path, home_with_store: Path) -> None:
    before = sorted(home_with_store.rglob("*"))
    told = json.loads(
        run("tune", "--space", space, *SHORT, "--trials", 5, "--dry-run", "--json").stdout
    )
    assert (told["trials"], told["steps"], told["evaluations"]) == (5, 8, 4)
    assert told["sentences"].keys() >= {"train", "validation", "test"}
    assert told["parameters"]["trained_adapter"] > 0
    assert len(told["samples"]) == 3
    assert told["seconds"] > 0
    left = [path for path in sorted(home_with_store.rglob("*")) if path not in before]
    assert all("tokens" in path.parts for path in left)
    run("tune", "--space", space, *SHORT, "--trials", 2, "--name", "real")
    first = pd.DataFrame(told["samples"]).iloc[0].to_dict()
    assert dict(api.load_study("real").trials[0].params) == pytest.approx(first)
