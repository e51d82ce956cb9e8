"""Two processes give the masks and weights of one with the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.servers import free_port


def launch(processes: int, folder: Path) -> None:
    module = ["-m", "tests.support.on_processes", str(folder)]
    # With `--cpu` Accelerate starts one process, whatever number is asked for, unless MPI starts
    # it; `--multi_gpu` means torchrun, and the script itself stays on the CPU.
    several = ["--multi_gpu", f"--num_processes={processes}", f"--main_process_port={free_port()}"]
    launcher = ["-m", "accelerate.commands.launch", *several] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *launcher, *module],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_draw_the_masks_of_one_with_the_same_global_batch(tmp_path: Path) -> None:
    launch(1, tmp_path)
    launch(2, tmp_path)
    for score_loss in ("total", "task"):
        alone = load_file(tmp_path / f"{score_loss}-1-0.safetensors")
        kept = alone["masks"].sum(dim=1).tolist()
        assert kept[-1] == 24 and len(set(kept)) > 5
        for process in range(2):
            shared = load_file(tmp_path / f"{score_loss}-2-{process}.safetensors")
            assert shared.keys() == alone.keys() and len(alone) > 40
            assert torch.equal(shared.pop("masks"), alone["masks"])
            for name, tensor in shared.items():
                torch.testing.assert_close(tensor, alone[name], rtol=0, atol=1e-6)
