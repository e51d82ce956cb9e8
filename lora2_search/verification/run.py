"""Measure a plan, judge it, and leave table, numbers and page in a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import Argument, RequestError
from ..store import reading, stored_json, write_json
from .page.page import write_page
from .page.rows import Row, write_markdown, write_rows
from .plan import PLAN_FILE, Plan, damaged_parts
from .pool import measure_parts
from .results import read_results
from .verdicts import rows


@dataclass(frozen=True)
class Verification:
    """What was measured and what follows.

    Attributes:
        folder: Where parts, rows and page lie.
        rows: The table.
        table: The file of its rows.
        page: The page.
    """

    folder: Path
    rows: list[Row]
    table: Path
    page: Path

    def numbers(self) -> dict[str, float]:
        """Return every number of every row as ``check/name``."""
        return {f"{row.check}/{k}": float(v) for row in self.rows for k, v in row.numbers.items()}


def verify(
    plan: Plan,
    folder: Path,
    *,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> Verification:
    """Measure what ``folder`` does not hold yet; write ``rows.json``, the table and the page.

    Args:
        plan: What is measured.
        folder: Made where it is missing; parts that it holds are not measured again.
        workers: Processes, one torch thread each. They change no number but times.
        say: Takes a line for people.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The folder holds another verification, the hub cannot be reached, or a process
            was killed.
    """
    _take(folder, plan)
    for line in damaged_parts(folder):
        say(line)
    measure_parts(plan, folder, workers, say)
    results = read_results(plan, folder)
    for name, why in results.diverged(*{part.arm for part in plan.parts()}).items():
        say(f"{name} diverged: {why}")
    verdicts = rows(results)
    table = write_rows(folder, verdicts)
    write_markdown(folder, verdicts)
    return Verification(folder, verdicts, table, write_page(folder, results, verdicts))


def _take(folder: Path, plan: Plan) -> None:
    path = folder / PLAN_FILE
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        remedy = "name another folder, or delete this one"
        with reading(path, remedy):
            other = stored_json(path, remedy)["fingerprint"]
        if other != plan.fingerprint():
            raise RequestError(
                f"{folder} holds verification {other}, but this is {plan.fingerprint()}: its "
                "settings differ; name another folder with ",
                Argument("out"),
            )
    settings = plan.config.model_dump(mode="json")
    write_json(
        path,
        {
            "fingerprint": plan.fingerprint(),
            "config": settings,
            "seeds": plan.seeds,
            "checks": plan.checks,
            "margin": plan.margin,
            "quick": plan.quick,
        },
    )
