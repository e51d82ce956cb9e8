from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lora2_search.tracking.spool.spool import Flusher


def test_every_file_is_flushed_though_closed_meanwhile_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []

    def slow_fsync(descriptor: int) -> None:
        time.sleep(0.02)
        flushed.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", slow_fsync)
    flusher = Flusher()
    wanted = []
    begin = time.perf_counter()
    for number in range(20):
        with (tmp_path / str(number)).open("wb") as file:
            wanted.append(os.fstat(file.fileno()).st_ino)
            flusher.flush(file)
    assert time.perf_counter() - begin < 0.2
    flusher.close()
    assert flushed == wanted


def test_a_disk_that_cannot_keep_up_holds_the_writer_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora2_search.tracking.spool.spool._MAX_WAITING", 0)
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    flusher = Flusher()
    with (tmp_path / "a").open("wb") as file:
        flusher.flush(file)
        assert flushed == [file.fileno()]
    flusher.close()


def test_a_broken_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    flusher = Flusher()
    with (tmp_path / "a").open("wb") as file:
        flusher.flush(file)
    flusher.close()
    assert "Input/output error" in caplog.text
