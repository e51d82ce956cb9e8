from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lora2_search.store.command import command_line


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "on_path", "inside", "expected"),
    [
        (True, True, False, "lora2-search ui x"),
        (False, True, False, "python -m lora2_search ui x"),
        (True, False, True, "env/bin/python -m lora2_search ui x"),
        (True, False, False, "{python} -m lora2_search ui x"),
    ],
)
def test_a_printed_command_can_be_pasted(
    script: bool,
    on_path: bool,
    inside: bool,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python = executable(tmp_path / "env/bin/python")
    if script:
        executable(python.with_name("lora2-search"))
    elsewhere = executable(tmp_path / "other/bin/python")
    executable(elsewhere.with_name("lora2-search"))
    first = python if on_path else elsewhere
    monkeypatch.setenv("PATH", str(first.parent) + os.pathsep + os.defpath)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.chdir(tmp_path if inside else elsewhere.parent)
    assert command_line("ui", "x") == expected.format(python=python)
