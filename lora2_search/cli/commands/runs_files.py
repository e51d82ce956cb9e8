"""``runs frame | best``: what was run, as files for other tools and for ``train``."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError
from ...experiments import (
    PEFT,
    best_settings,
    format_of,
    frame_of,
    write_frame,
    write_peft_results,
)
from ...store import write_text
from ..console.say import narrator


def run_frame(name: str, to: str | None, out: Path | None, storage: Path | None) -> None:
    """Write what was run as a table, to stdout without ``out``; as ``peft``, a file per run.

    Raises:
        UserError: There is nothing of that name, the format is unknown or does not fit it, or
            ``out`` cannot be written.
    """
    if to == PEFT:
        _write_for_peft(name, out, storage)
        return
    form = format_of(to, out)
    frame = frame_of(name, storage)
    write_frame(frame, form, out)
    if out is not None:
        narrator()(f"{out}: {len(frame):,} rows, {len(frame.columns)} columns")


def _write_for_peft(name: str, out: Path | None, storage: Path | None) -> None:
    if out is None:
        raise UserError(f"--to {PEFT} writes a file per run; name a folder with --out")
    written, say = write_peft_results(name, out, storage), narrator()
    for run, why in written.left_out.items():
        say(f"{run} is left out: {why}")
    say(f"{out}: {len(written.files):,} results; all three numbers of memory are the peak")


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
