"""``spaces list | show | check | schema``: search spaces, before anything is searched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...config.space import load_space, space_schema
from ...errors import UserError
from ...experiments import check_spaces, list_spaces, modeline, spelled_out, write_schema
from ..console.rows import print_json, print_rows
from ..console.say import narrator
from ..console.say import say as complain


def run_list(folder: Path | None, as_json: bool) -> None:
    """Print one row for each shipped space, and each one in a folder.

    Raises:
        UserError: There is no such folder.
    """
    spaces = list_spaces(folder)
    if as_json:
        print_json(spaces)
        return
    print_rows(
        [
            {
                "space": space.name,
                "task": space.task,
                "model": space.model,
                "method": space.method,
                "trials": space.trials,
                "hours": space.hours,
                "searched": ", ".join(space.searched),
                "problem": space.problem,
            }
            for space in spaces
        ]
    )


def run_show(name: str, overrides: Sequence[str], as_json: bool) -> None:
    """Print a space with every key spelled out.

    Raises:
        UserError: No such file.
        ConfigError: Everything that is wrong with it.
    """
    if as_json:
        print_json(load_space(name, overrides).model_dump(mode="json"))
    else:
        print(spelled_out(name, overrides), end="")


def run_check(names: Sequence[str], overrides: Sequence[str], as_json: bool) -> None:
    """Say of each space whether it can be searched, and of all what is wrong.

    Raises:
        UserError: Something is wrong with one of them.
    """
    found = check_spaces(names, overrides)
    wrong = [name for name, problems in found.items() if problems]
    if as_json:
        print_json({name: {"ok": not found[name], "problems": found[name]} for name in found})
    for name, problems in found.items():
        if not as_json and not problems:
            narrator()(f"{name}: ok")
        for problem in problems:
            complain(problem)
    if wrong:
        raise UserError(f"{len(wrong)} of {len(found)} cannot be searched: {', '.join(wrong)}")


def run_schema(out: Path | None) -> None:
    """Print the JSON Schema of a space's file, or write it.

    Raises:
        UserError: The file cannot be written.
    """
    if out is None:
        print_json(space_schema())
        return
    path = write_schema(out)
    narrator()(f"Wrote {path}. As the first line of a space: {modeline(path)}")
