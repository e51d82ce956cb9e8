from __future__ import annotations

import ast
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lora2_search.training.code import NOT_DECIDING, PACKAGE, code_hash, deciding_files


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this package's source files, in another place."""
    folder = tmp_path / "elsewhere" / "lora2_search"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _append(name: str) -> Callable[[Path], object]:
    def change(package: Path) -> None:
        with (package / name).open("a") as file:
            file.write("# changed\n")

    return change


def _windows(package: Path) -> None:
    for path in package.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


SAME: dict[str, Callable[[Path], object]] = {
    "nothing": lambda package: None,
    "line endings": _windows,
    "a report": _append("report/tables/suite.py"),
    "a verb": _append("cli/commands/train.py"),
    "the search": _append("execution/engine.py"),
    "what only words a card": _append("training/export/card.py"),
    "an editor's file": lambda package: (package / "training/.loop.py").write_text("x"),
    "what Python compiles": lambda package: (package / "adapter/layer.pyc").write_text("x"),
}
OTHER: dict[str, Callable[[Path], object]] = {
    "the loop": _append("training/loop/trainer.py"),
    "the adapter": _append("adapter/layer.py"),
    "a folder below": _append("adapter/scoring/__init__.py"),
    "the settings": _append("config/schema.py"),
    "the adapter's settings": _append("config/adapter_settings.py"),
    "a new file": lambda package: (package / "adapter/new.py").write_text(""),
    "a file less": lambda package: (package / "training/loop/evaluate.py").unlink(),
    "another name": lambda package: (package / "training/loop/evaluate.py").rename(
        package / "training/noises.py"
    ),
}


@pytest.mark.parametrize("change", SAME)
def test_the_hash_stays_when_no_result_can_change(change: str, package: Path) -> None:
    SAME[change](package)
    assert code_hash(package) == code_hash()


@pytest.mark.parametrize("change", OTHER)
def test_the_hash_follows_what_decides_a_result(change: str, package: Path) -> None:
    OTHER[change](package)
    assert code_hash(package) != code_hash()


# Imported by what decides, and no part of it: messages, places, events, and how YAML is read.
NEUTRAL = {
    "store/files.py",  # reads files of ours that may be damaged
    *("errors.py", "store/paths.py", "store/layout.py", "config/messages.py", "config/yaml.py"),
    *("config/run_info.py", "training/events.py", "training/export/card.py"),
    "config/settings.py",  # a type's name
    "config/presets.py",  # settings, which are then in the configuration
    "training/models/sizes.py",  # lays a model out without weights, for checks before a run
}


def test_everything_that_a_run_imports_is_hashed_or_known_to_be_neutral() -> None:
    reached, ahead = set(), {"training/loop/run.py"}
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead |= _imports(name) - reached
    assert "adapter/model.py" in reached and "config/schema.py" in reached
    assert reached - set(deciding_files()) == NEUTRAL


def test_what_is_left_out_exists() -> None:
    assert all((PACKAGE / name).is_file() for name in NOT_DECIDING)


def _imports(name: str) -> set[str]:
    """Files of this package that a file imports; relative imports are the only ones it uses."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = (PACKAGE / name).parents[node.level - 1]
            below = folder.joinpath(*node.module.split(".")) if node.module else folder
            shown = _face(below)
            places = [below, *(shown.get(alias.name, below / alias.name) for alias in node.names)]
            for place in places:
                for path in (place.with_suffix(".py"), place / "__init__.py"):
                    if path.is_file():
                        found.add(path.relative_to(PACKAGE).as_posix())
    return {file for file in found if not _is_face(file)}


def _face(room: Path) -> dict[str, Path]:
    """Where each name on the face of a room comes from."""
    stub = room / "__init__.pyi"
    if not stub.is_file():
        return {}
    lines = [item for item in ast.parse(stub.read_text()).body if isinstance(item, ast.ImportFrom)]
    return {
        alias.name: room.joinpath(*(line.module or "").split("."))
        for line in lines
        for alias in line.names
    }


def _is_face(file: str) -> bool:
    # It loads what it is asked for, and nothing else.
    return file == "__init__.py" or (PACKAGE / file).with_suffix(".pyi").is_file()
