"""The faces of the rooms: what other rooms may import, and how it is loaded."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import lora2_search

PACKAGE = Path(lora2_search.__file__).parent
FACES = sorted(path.parent for path in PACKAGE.rglob("__init__.pyi"))


def _name(face: Path) -> str:
    return ".".join(["lora2_search", *face.relative_to(PACKAGE).parts])


@pytest.mark.parametrize("face", FACES, ids=_name)
def test_every_name_on_a_face_is_there(face: Path) -> None:
    room = importlib.import_module(_name(face))
    assert room.__all__ and all(hasattr(room, name) for name in room.__all__)


@pytest.mark.parametrize("face", FACES, ids=_name)
def test_no_name_on_a_face_is_that_of_a_module_behind_it(face: Path) -> None:
    # The first import of such a module would put it in the place of what the face shows.
    shown = ast.parse((face / "__init__.pyi").read_text()).body
    names = {
        alias.name for line in shown if isinstance(line, ast.ImportFrom) for alias in line.names
    }
    assert names and not names & {module.name for module in pkgutil.iter_modules([str(face)])}
