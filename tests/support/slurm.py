"""Slurm on this machine: one controller, one node, both as root and in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import BUSY
from tests.support.servers import free_port

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue")

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerTimeSlice=5
SchedulerParameters=sched_interval=5,batch_sched_delay=1
KillWait=15
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return why Slurm cannot run here; nothing where it can."""
    absent = [name for name in NEEDED if _program(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root"


class Slurm:
    """The commands of one controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *words: object) -> str:
        done = subprocess.run(
            [str(_program(str(words[0]))), *map(str, words[1:])],
            env=self._environment, capture_output=True, text=True, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def submit(self, script: Path) -> str:
        return self.run("sbatch", "--parsable", script).strip()

    def job(self, number: str) -> dict[str, str]:
        shown = self.run("scontrol", "show", "job", "--oneliner", number)
        return dict(pair.split("=", 1) for pair in shown.split() if "=" in pair)

    def wait_for(self, number: str, state: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (found := self.job(number)["JobState"]) != state:
            assert time.monotonic() < end, f"job {number} is {found}"
            time.sleep(1)


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    config = CONFIG.format(
        host=socket.gethostname().partition(".")[0],
        ports=[free_port(), free_port()],
        folder=folder,
        cpus=os.cpu_count(),
    )
    (folder / "slurm.conf").write_text(config)
    made = Slurm(folder)
    munged = [
        f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
    ]  # fmt: skip
    daemons = [
        _start(made, "munged", "--foreground", "--force", *munged),
        _start(made, "slurmctld", "-D", "-i"),
        _start(made, "slurmd", "-D"),
    ]
    try:
        _wait_until_idle(made, daemons)
        yield made
    finally:
        if daemons[1].poll() is None:
            for job in made.run("squeue", "--noheader", "--format=%A").split():
                made.run("scancel", job)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def _start(made: Slurm, name: str, *words: str) -> subprocess.Popen[bytes]:
    with (made.folder / f"{name}.out").open("wb") as out:
        return subprocess.Popen(
            [str(_program(name)), *words],
            env={**os.environ, "SLURM_CONF": str(made.folder / "slurm.conf")},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _wait_until_idle(made: Slurm, daemons: list[subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + 60 * BUSY
    while True:
        assert all(daemon.poll() is None for daemon in daemons), "a daemon of Slurm ended"
        assert time.monotonic() < end, "Slurm's node is not ready"
        time.sleep(1)
        try:
            if "idle" in made.run("sinfo", "--noheader", "--format=%T"):
                return
        except AssertionError:
            continue  # the controller does not answer yet


def _program(name: str) -> str | None:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return shutil.which(name, path=path)
