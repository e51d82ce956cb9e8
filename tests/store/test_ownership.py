from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from lora2_search.errors import FolderGone, UserError
from lora2_search.store.lock import check_held, is_owned, lock_folder

HOLD = """
import sys, time
from pathlib import Path
from lora2_search.store.lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_driver_and_the_message_names_it(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert is_owned(tmp_path)
        for _ in range(2):  # asking leaves the owner's name in place
            with pytest.raises(UserError, match=f"is being run by process {other.pid} on "):
                with lock_folder(tmp_path):
                    pass
    finally:
        other.kill()
        other.wait()
    assert (tmp_path / "owner.json").exists()
    assert not is_owned(tmp_path)
    with lock_folder(tmp_path):  # the lock died with its process
        assert str(os.getpid()) in (tmp_path / "owner.json").read_text()
    with lock_folder(tmp_path):
        pass


def test_a_look_leaves_owner_and_folder_alone(tmp_path: Path) -> None:
    assert not is_owned(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with lock_folder(tmp_path):
        assert is_owned(tmp_path)
        assert is_owned(tmp_path)
    assert not is_owned(tmp_path)


def test_one_that_comes_waits_for_a_look(tmp_path: Path) -> None:
    look = FileLock(tmp_path / "lock", thread_local=False)
    look.acquire()
    threading.Timer(0.2, look.release, [True]).start()
    with lock_folder(tmp_path):
        assert is_owned(tmp_path)


@pytest.mark.parametrize("stands", [False, True])
def test_a_folder_that_vanishes_while_it_is_held_is_said_to_be_gone(
    stands: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(FolderGone, match=f"{folder} is gone: "):
        with lock_folder(folder):
            check_held(folder)
            folder.rename(tmp_path / "elsewhere")
            if stands:  # the mount point, once nothing is mounted there
                folder.mkdir()
            with pytest.raises(FolderGone):
                check_held(folder)
            raise FileNotFoundError("what is written next")


def test_a_folder_that_could_not_be_claimed_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lora2_search.store.lock.write_json", full)
    with pytest.raises(OSError, match="No space left"), lock_folder(tmp_path):
        pass
