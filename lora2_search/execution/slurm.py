"""The script of a Slurm job: one node with a Ray of its own, or a head and workers."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..signals import PREEMPTED

# What it takes to leave, twice, and Slurm's own delay.
SECONDS_OF_NOTICE = 60


@dataclass(frozen=True)
class Work:
    """One study or suite that a job runs.

    Attributes:
        name: Its name, and that of its folder.
        begin: The words that begin it: ``tune --space rte.yaml --name rte``.
        resume: The words that resume it: ``tune --resume rte``.
        plan: The file that is there once it has begun.
    """

    name: str
    begin: Sequence[str]
    resume: Sequence[str]
    plan: Path


@dataclass(frozen=True)
class Slurm:
    """What the job asks of Slurm.

    Attributes:
        nodes: How many machines; with more than one a Ray cluster spans them.
        time: Limit of one allocation, as Slurm writes it; the job is requeued until all is done.
        cpus: CPUs of each node.
        gpus: GPUs of each node.
        more: Other lines of ``#SBATCH``, without that word: ``--partition=gpu``.
    """

    nodes: int
    time: str
    cpus: int
    gpus: int = 0
    more: Sequence[str] = ()


def slurm_script(works: Sequence[Work], slurm: Slurm) -> str:
    """Return the script; several works become an array of jobs, one each.

    A job that Slurm ends (time limit, preemption, ``scontrol requeue``) is put back in line by
    itself and resumes. Slurm tells only the batch shell, which tells the driver: had Ray's own
    processes the signal too, the head would be gone before the driver has noted where it stood.
    """
    body = _cluster(slurm) if slurm.nodes > 1 else ""
    return f"{_head(works, slurm)}\n{_choice(works)}\n{body}\n{_DRIVER}"


def _head(works: Sequence[Work], slurm: Slurm) -> str:
    name = works[0].name if len(works) == 1 else "lora2-search"
    asked = [
        f"--job-name={name}",
        *([f"--array=0-{len(works) - 1}"] if len(works) > 1 else []),
        f"--nodes={slurm.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={slurm.cpus}",
        *([f"--gpus-per-node={slurm.gpus}"] if slurm.gpus else []),
        f"--time={slurm.time}",
        f"--signal=B:TERM@{SECONDS_OF_NOTICE}",
        "--requeue",
        "--open-mode=append",
        f"--output={'%x-%A_%a' if len(works) > 1 else '%x-%j'}.log",
        *slurm.more,
    ]
    lines = "\n".join(f"#SBATCH {words}" for words in asked)
    return f"#!/bin/bash\n{lines}\n\nset -u\n"


def _choice(works: Sequence[Work]) -> str:
    program = [sys.executable, "-m", "lora2_search"]
    cases = []
    for index, work in enumerate(works):
        begin, resume = (
            shlex.join([*program, *map(str, words)]) for words in (work.begin, work.resume)
        )
        cases.append(
            f"  {index})\n"
            f"    command=({begin})\n"
            f"    if [ -f {shlex.quote(str(work.plan))} ]; then command=({resume}); fi ;;"
        )
    return (
        "# A job that comes back goes on with what it began.\n"
        'case "${SLURM_ARRAY_TASK_ID:-0}" in\n' + "\n".join(cases) + "\nesac\n"
    )


def _cluster(slurm: Slurm) -> str:
    ray = shlex.quote(str(Path(sys.executable).with_name("ray")))
    size = f"--num-cpus={slurm.cpus} --num-gpus={slurm.gpus}"
    return f"""\
# A token of this job alone: `srun` hands it on with the environment.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$({shlex.quote(sys.executable)} -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
# Without it a process that was given no GPU sees them all.
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=1

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${{nodes[0]}}
ip=$(srun --overlap --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{{print $1}}')
address=$ip:$((20000 + SLURM_JOB_ID % 20000))
srun --overlap --nodes=1 --ntasks=1 -w "$head" \\
  {ray} start --head --node-ip-address="$ip" --port="${{address##*:}}" {size} --block &
until (exec 3<> "/dev/tcp/$ip/${{address##*:}}") 2> /dev/null; do sleep 1; done
srun --overlap --nodes={slurm.nodes - 1} --ntasks={slurm.nodes - 1} --exclude="$head" \\
  {ray} start --address="$address" {size} --block &
joined() {{ {ray} status --address "$address" 2> /dev/null | grep -c " node_"; }}
until [ "$(joined)" -ge {slurm.nodes} ] || [ "$SECONDS" -gt 120 ]; do sleep 2; done
command+=(--address "$address")
"""


_DRIVER = f"""\
"${{command[@]}}" &
driver=$!
trap 'kill -TERM "$driver" 2> /dev/null' TERM USR1
# A signal ends a wait, not what is waited for.
while kill -0 "$driver" 2> /dev/null; do wait "$driver"; done
wait "$driver"
code=$?
if [ "$code" = {PREEMPTED} ]; then
  # Where Slurm itself puts the job back in line, it says so and nothing more happens.
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""
