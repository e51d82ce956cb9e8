"""``runs frame | best``: what was run, as files for other tools and for ``train``."""

from __future__ import annotations

from pathlib import Path

from ...experiments import best_settings, format_of, frame_of, write_frame
from ...store import write_text
from ..console.say import narrator


def run_frame(name: str, to: str | None, out: Path | None, storage: Path | None) -> None:
    """Write what was run as a table, to stdout without ``out``.

    Raises:
        UserError: There is nothing of that name, the format is unknown, or ``out`` cannot be
            written.
    """
    form = format_of(to, out)
    frame = frame_of(name, storage)
    write_frame(frame, form, out)
    if out is not None:
        narrator()(f"{out}: {len(frame):,} rows, {len(frame.columns)} columns")


def run_best(name: str, out: Path | None, storage: Path | None) -> None:
    """Print the settings of a study's winner, or of a run, as YAML that ``train`` takes.

    Raises:
        UserError: There is no such run.
    """
    text = best_settings(name, storage)
    if out is None:
        print(text, end="")
        return
    write_text(out.expanduser(), text)
    narrator()(f"Wrote {out}. Next: lora2-search train {out}")
