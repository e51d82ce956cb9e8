"""What must be said of the rungs of a study that is halved."""

from __future__ import annotations

from ...analysis import Climb, Rung


def rung_lines(found: Climb) -> list[str]:
    """Return one sentence per rung, and one for each rung that does not rank."""
    lines = [_line(rung, found) for rung in found.rungs]
    return lines + [_warning(rung) for rung in found.rungs if rung.misranks]


def _line(rung: Rung, found: Climb) -> str:
    of = "whole runs" if rung.share == 1 else f"{rung.share} of a run"
    told = f"Rung {rung.number} of {found.total} ({of}): {_count(len(rung.scores), 'run')} complete"
    told += f", {len(rung.failed)} failed" if rung.failed else ""
    told += f", {len(rung.open)} not ended" if rung.open else ""
    told += f", {len(rung.went_on)} went on" if rung.went_on else ""
    if rung.tau is not None:
        told += f"; Kendall's τ with the final scores {rung.tau:.2f} ({_count(rung.pairs)})"
    elif rung.share < 1 and rung.pairs:
        told += f"; {_count(rung.pairs)} with a final score, too few or too equal to rank"
    return f"{told}."


def _warning(rung: Rung) -> str:
    tau = "no rank correlation" if rung.tau is None else f"τ {rung.tau:.2f}"
    return (
        f"Rung {rung.number} does not rank: of the {_count(rung.pairs)} that came to the end its "
        f"scores have {tau} with the final ones, so who went on was hardly better than chance; "
        "take fewer rungs, or a smaller factor."
    )


def _count(count: int, what: str = "trial") -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
