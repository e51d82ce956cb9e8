"""``ui``: MLflow's page, served on this machine."""

from __future__ import annotations

from pathlib import Path

from ...experiments import find_item
from ..console.say import narrator


def run_ui(name: str | None, port: int, storage: Path | None, uri: str | None) -> None:
    """Serve MLflow until Ctrl-C, opened at a study, a suite or a verification."""
    from ...tracking import check_identity, parent_path, resolve_uri, serve

    folder = find_item(name, storage).folder if name else None
    if folder is not None and parent_path(folder).exists():
        check_identity(folder)
    serve(resolve_uri(uri), port, folder=folder, announce=narrator())
