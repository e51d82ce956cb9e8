"""``predict``: a trained run answers the rows of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...experiments import Predicted, format_of, predict_file, write_frame
from ..console.rows import number, print_json
from ..console.say import narrator


def run_predict(
    run: str,
    data: Path,
    out: Path | None,
    to: str | None,
    text: Sequence[str],
    overrides: Sequence[str],
    storage: Path | None,
    as_json: bool,
) -> None:
    """Write a file's rows with predictions and probabilities; say scores where there are labels.

    Raises:
        ConfigError: The file cannot be read, or lacks a text column.
        UserError: There is no such run, it has lost its adapter, or ``out`` cannot be written.
    """
    form = format_of(to, out)
    named = [f"data.text={json.dumps(list(text))}"] if text else []
    found = predict_file(run, data, storage, [*overrides, *named])
    frame = found.frame()
    if as_json and out is None:
        print_json({**_about(found), "rows": frame.to_dict("records")})
        return
    # On stdout are the rows alone, unless they are in a file.
    say = narrator(as_json or out is None)
    for note in found.notes:
        say(note)
    write_frame(frame, form, out)
    if as_json:
        print_json({**_about(found), "out": str(out)})
        return
    answered = len(found.answers.rows)
    say(f"{found.run.what}: {answered:,} predictions" + (f" in {out}" if out else ""))
    if found.scores:
        scores = ", ".join(f"{name} {number(value)}" for name, value in found.scores.items())
        say(f"Against the labels: {scores}")


def _about(found: Predicted) -> dict[str, object]:
    return {
        "run": found.run.what,
        "predictions": len(found.answers.rows),
        "classes": list(found.answers.classes),
        "scores": found.scores,
        "notes": list(found.notes),
    }
