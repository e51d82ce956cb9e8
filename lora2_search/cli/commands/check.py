"""``runs check``: what is damaged, what it costs, what was mended."""

from __future__ import annotations

from pathlib import Path

import typer

from ...experiments import Finding, check_files, find_item
from ...store import command_line, storage_name
from ...tracking import resolve_uri
from ..console.rows import print_json
from ..console.say import narrator


def run_check(
    name: str, storage: Path | None, tracking_uri: str | None, repair: bool, as_json: bool
) -> None:
    """Print what is damaged in what was run, and mend it where that was asked for.

    Raises:
        UserError: There is nothing of that name, or it is to be repaired while it runs.
        typer.Exit: With 1 where damage is left.
    """
    item = find_item(name, storage)
    findings = check_files(item, resolve_uri(tracking_uri), repair)
    if as_json:
        rows = [{**vars(finding), "path": str(finding.path)} for finding in findings]
        print_json({"name": item.name, "kind": item.kind, "findings": rows})
    else:
        for line in _lines(findings, item.folder):
            narrator()(line)
        can = sum(bool(finding.remedy) and not finding.mended for finding in findings)
        if can:
            words = ["--storage", storage_name(storage)] if storage else []
            again = command_line("runs", "check", name, "--repair", *words)
            narrator()(f"{can} of {len(findings)} can be mended: {again}")
        if not findings:
            narrator()(f"{item.kind} {item.name}: every file is whole")
    if any(not finding.mended for finding in findings):
        raise typer.Exit(1)


def _lines(findings: list[Finding], folder: Path) -> list[str]:
    lines = []
    for finding in findings:
        inside = finding.path.is_relative_to(folder)
        shown = finding.path.relative_to(folder) if inside else finding.path
        lines.append(f"{shown}: {finding.why}")
        lines.append(f"  costs: {finding.cost}")
        if finding.remedy:
            lines.append(f"  {'mended' if finding.mended else 'repair'}: {finding.remedy}")
    return lines
