"""The commands of docs/cluster.md for machines that one can log in to, as they stand there."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lora2_search.tracking.uri import DATABASE
from tests.support.exactly_once import assert_every_point_once
from tests.support.patience import BUSY
from tests.support.servers import free_port

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user of this machine, whose Ray ends with the test. Ray's sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("RAY_TMPDIR") == str(folder):
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def block(heading: str) -> str:
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1]
    return section.split("```bash\n")[1].split("```")[0]


def test_the_commands_for_machines_make_a_cluster_that_searches_and_ablates(
    user: Path, tiny_deberta: Path, glue_folder: Path, home_with_store: Path, tmp_path: Path
) -> None:
    port, shared = free_port(), tmp_path / "shared"
    shared.mkdir()
    script = block("Ray on machines")
    assert "ray stop" in script and script.count("ray start") == 2
    # It would stop the Ray of others too.
    script = re.sub(r"^ray stop.*$", "", script, flags=re.MULTILINE)
    # A comment must not swallow what is added to its command.
    script = re.sub(r" +#.*$", "", script, flags=re.MULTILINE)
    for there, here in (("6379", str(port)), ("HEAD", "127.0.0.1"), ("/shared/lora2", str(shared))):
        assert there in script
        script = script.replace(there, here)
    local = (
        f" --set model.name_or_path={tiny_deberta} --set model.revision=null"
        f" --set data.path={glue_folder} --set data.max_length=32 --set training.steps=4"
    )
    script = re.sub(r"^(.*ray start .*)$", r"\1 --num-cpus 1", script, flags=re.MULTILINE)
    search = re.search(r"^lora2-search tune --space.*$", script, re.MULTILINE)
    assert search is not None
    tune = f"{search[0]}{local} --trials 2"
    suite = search[0].replace("tune --space rte.yaml", "ablate --suite quick")
    ablate = f"{suite}{local} --set task=rte --set seeds=2 --set data.train_size=64"
    script = script.replace(search[0], f"{tune}\n{ablate}")
    done = subprocess.run(
        ["bash", "-ec", script], capture_output=True, text=True, timeout=600 * BUSY
    )
    print(script, done.stdout, done.stderr)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    uri = f"sqlite:///{home_with_store / DATABASE}"
    assert_every_point_once(shared / "studies" / "rte", uri)
    assert_every_point_once(shared / "suites" / "quick", uri)
