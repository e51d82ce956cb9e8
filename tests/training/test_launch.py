from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from lora2_search.config.schema import TrainingConfig
from lora2_search.errors import UserError
from lora2_search.training.models.accelerator import check_launch, new_accelerator

LEFT_BEHIND = [
    {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"},
    {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"},
    {"LOCAL_RANK": "0"},
    {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "3"},
    {"PMI_SIZE": "8", "PMI_RANK": "2"},
    {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
    {
        **{"TORCHELASTIC_RUN_ID": "none", "TORCHELASTIC_USE_AGENT_STORE": "True"},
        **{"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"},
    },
]


@pytest.mark.parametrize("left", LEFT_BEHIND, ids=lambda left: next(iter(left)))
def test_variables_that_a_launcher_left_behind_are_ignored_and_named(
    left: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    said: list[str] = []
    check_launch(said.append)
    accelerator = new_accelerator(TrainingConfig(device="cpu"))
    assert accelerator.num_processes == 1
    assert {name: os.environ[name] for name in left} == left
    read = [name for name in left if not name.startswith(("SLURM", "TORCHELASTIC"))]
    assert len(said) == bool(read)
    assert all(f"{name}={left[name]}" in said[0] for name in read)


def test_without_such_variables_nothing_is_said() -> None:
    said: list[str] = []
    check_launch(said.append)
    assert said == []


def test_several_processes_that_a_launcher_is_behind_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as launcher:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(launcher.getsockname()[1]))
        monkeypatch.setenv("WORLD_SIZE", "3")
        with pytest.raises(UserError, match="a run uses one process, but 3 were launched"):
            check_launch(lambda line: None)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "words"), [(1, "processes: 1"), (2, "but 2 were launched")])
def test_torchrun_starts_one_process_and_no_more(count: int, words: str) -> None:
    code = (
        "from lora2_search.config.run import TrainingConfig\n"
        "from lora2_search.training.models.accelerator import new_accelerator\n"
        "a = new_accelerator(TrainingConfig(device='cpu'))\n"
        "print('processes:', a.num_processes, a.use_distributed)\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, f"--nproc-per-node={count}", "--no-python", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert words in done.stdout + done.stderr
