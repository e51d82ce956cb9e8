"""``ui``: MLflow's page, served on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...experiments import find_item
from ..console.say import narrator


def run_ui(names: Sequence[str], port: int, storage: Path | None, uri: str | None) -> None:
    """Serve MLflow until Ctrl-C, opened at a study, suite or verification, or comparing several.

    Raises:
        UserError: There is nothing of such a name, or a study is to be compared with a suite.
    """
    from ...tracking import check_identity, parent_path, resolve_uri, serve

    items = [find_item(name, storage) for name in names]
    if len({item.kind for item in items}) > 1:
        told = ", ".join(f"{item.name} is a {item.kind}" for item in items)
        raise UserError(f"studies are compared with studies and suites with suites, but {told}")
    folders = list(dict.fromkeys(item.folder for item in items))
    for folder in folders:
        if parent_path(folder).exists():
            check_identity(folder)
    serve(resolve_uri(uri), port, folders=folders, announce=narrator())
