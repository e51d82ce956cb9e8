"""How this program is called here, so that the commands it prints can be pasted."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

SCRIPT = "lora2-search"


def invocation() -> list[str]:
    """Return the words that call this program from the current folder.

    ``lora2-search`` where the shell finds the script of this very installation, else
    ``python -m lora2_search`` with the Python that runs now.
    """
    python = Path(sys.executable)
    script = shutil.which(SCRIPT)
    if script and Path(script).absolute().parent == python.parent:
        return [SCRIPT]
    return [_shown(python), "-m", "lora2_search"]


def command_line(*words: str) -> str:
    """Return a command of this program, ready to paste."""
    return shlex.join([*invocation(), *words])


def _shown(python: Path) -> str:
    first = shutil.which("python")
    if first and Path(first).absolute() == python:
        return "python"
    here = Path.cwd()
    return str(python.relative_to(here)) if python.is_relative_to(here) else str(python)
