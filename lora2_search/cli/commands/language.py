"""``generate`` and ``eval``: a trained language model answers a prompt, or the rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...experiments import evaluate_run, format_of, generate_text, write_frame
from ...training import rows_lacking
from ..console.rows import number, print_json
from ..console.say import narrator
from ..console.screen import hand_over


def run_generate(
    run: str, prompt: str, most: int | None, storage: Path | None, as_json: bool
) -> None:
    """Print what a run's model writes after a prompt.

    Raises:
        ConfigError: The prompt has not a line for each column of the run's template.
        UserError: There is no such run, or it is of no language model.
    """
    found = generate_text(run, prompt, storage, most)
    if as_json:
        print_json({"run": found.run.what, "prompt": found.prompt, "text": found.text})
        return
    hand_over(found.text)


def run_eval(
    run: str,
    task: str,
    out: Path | None,
    to: str | None,
    overrides: Sequence[str],
    storage: Path | None,
    as_json: bool,
) -> None:
    """Print what a run scores on other data, and write its answers where that is asked for.

    Raises:
        ConfigError: The data cannot be read, or lack a column.
        UserError: There is no such run, it is of no language model, or ``out`` cannot be written.
    """
    form = format_of(to, out)
    found = evaluate_run(run, task, storage, overrides)
    scored, say = found.scored, narrator(as_json)
    for note in scored.notes:
        say(note)
    if scored.left_out:
        say(rows_lacking(scored.left_out, "text"))
    if out is not None:
        write_frame(found.frame(), form, out)
    if as_json:
        about = {"run": found.run.what, "task": task, "examples": len(scored.said)}
        print_json({**about, "scores": scored.scores, "out": str(out) if out else None})
        return
    told = ", ".join(f"{name} {number(value)}" for name, value in scored.scores.items())
    written = f"; answers in {out}" if out else ""
    say(f"{found.run.what} on {task}, {len(scored.said):,} examples: {told}{written}")
