"""The live table of runs on a terminal."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...config import RunInfo
from ...errors import printable
from ...report import Extent, extent, fitting
from ...store import ADAPTER_FOLDER, CHECKPOINT_FOLDER, RANK_PATTERN_FILE
from ...training import Beginning, Observer, State
from .rows import duration, number, plain, short
from .screen import Style, screen

if TYPE_CHECKING:
    from ...store import RunRecord
    from ...training import Report

ROWS = 15

REDRAWS_PER_SECOND = 4

RUN, STATE, STEP, RUNG, RANK, LEFT, SETTINGS = (
    "run",
    "state",
    "step",
    "rung",
    "kept rank",
    "time left",
    "settings",
)

# Between two columns: a space, the rule and a space; two of them and a half stand at the edges.
GAP, EDGES = 3, 4

LEAST_SETTINGS = 12

# A name up to this long stays on one line.
WHOLE_NAME = 20

BAR = 40

STYLES: dict[str, Style] = {
    "running": "running",
    "COMPLETE": "",
    "PRUNED": "warning",
    "STOPPED": "warning",
    "FAIL": "failure",
}


@dataclass
class Row:
    """What is known of one run.

    Attributes:
        begun: Clock at its start, in seconds; of this process, so a resumed run begins anew.
        first_step: Step of its first report here: what an earlier process did takes no time now.
        interval: Evaluations done.
        score: Last validation score; NaN before the first.
        budget: The rank that its matrices are cut to, all together; ``None`` where nothing is cut.
        ended: Clock at its end; ``None`` while it runs.
        resumed: Whether an earlier process did some or all of it.
        competes: Whether it may be the best; the head-only reference of a study may not.
    """

    name: str
    settings: str
    begun: float
    state: str = "running"
    step: int = 0
    first_step: int = 0
    total_steps: int = 0
    interval: int = 0
    score: float = math.nan
    kept_rank: int | None = None
    budget: int | None = None
    ended: float | None = None
    reason: str = ""
    resumed: bool = False
    competes: bool = True

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.ended is not None:
            return 1.0
        return self.step / self.total_steps if self.total_steps else 0.0

    @property
    def rank(self) -> str:
        """The kept rank, and the budget where it is not yet reached: ``231 → 216``."""
        if self.kept_rank is None:
            return ""
        left = self.budget is not None and self.budget < self.kept_rank and self.ended is None
        return f"{self.kept_rank} → {self.budget}" if left else str(self.kept_rank)

    def seconds_left(self, now: float) -> float | None:
        """Return the time left at the run's own speed; ``None`` before its first report."""
        done = self.step - self.first_step
        if self.ended is not None or done <= 0:
            return None
        return (now - self.begun) / done * (self.total_steps - self.step)

    def lasted(self) -> float | None:
        """Return the seconds of the whole run; ``None`` where it ran, if at all, elsewhere."""
        done = self.step - self.first_step
        if self.ended is None or done <= 0:
            return None
        return (self.ended - self.begun) / done * self.step


class LiveView:
    """An observer that draws a table on a terminal and writes plain lines elsewhere.

    Use it as a context manager: the table is drawn between enter and exit.

    Args:
        total: How many runs there will be in all; ``None`` where it is not known.
        stream: Where to write; stdout when not given.
        clock: Tells the time, in seconds.
        width: Of the terminal; found out when not given.
        terminal: Whether it is one; found out when not given.
        earlier: How many of ``total`` ended before and are not printed again.
        rungs: Evaluations after which a weak run is stopped, of a study that stops some.
    """

    def __init__(
        self,
        total: int | None = None,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        width: int | None = None,
        terminal: bool | None = None,
        earlier: int = 0,
        rungs: Sequence[int] = (),
        compares: bool = True,
    ) -> None:
        self._console = screen(stream, width=width, terminal=terminal)
        self._rungs = tuple(rungs)
        self._compares = compares
        self._total = total
        self._earlier = earlier
        self._clock = clock
        self._rows: dict[str, Row] = {}
        self._most_at_once = 1
        self._metric = "validation score"
        self._live = Live(
            console=self._console,
            get_renderable=self.drawn,
            refresh_per_second=REDRAWS_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveView:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def started(self, run: RunInfo) -> None:
        """Add a row; a run that is resumed keeps its place."""
        settings = " ".join(f"{short(key)}={plain(value)}" for key, value in run.settings.items())
        self._metric = f"validation {run.metric}" if run.metric else self._metric
        resumed = _begun_before(run)
        self._rows[run.key] = Row(
            run.name, settings, self._clock(), resumed=resumed, competes=run.competes
        )
        running = sum(row.ended is None for row in self._rows.values())
        self._most_at_once = max(self._most_at_once, running)
        self._line(f"{run.name} {'resumed' if resumed else 'started'}  {settings}".rstrip())

    def reported(self, run: RunInfo, report: Report) -> None:
        """Note step, score and kept rank."""
        row = self._rows[run.key]
        if row.step == 0 and (row.resumed or report.interval > 1):
            row.first_step = report.step
        row.step, row.total_steps = report.step, report.total_steps
        row.score, row.kept_rank = report.score, report.kept_rank
        row.interval = report.interval
        row.budget = row.budget or _budget(run)
        rank = f"  kept rank {row.rank}" if row.rank else ""
        self._line(
            f"{run.name} step {report.step}/{report.total_steps}  "
            f"{self._metric} {number(report.score)}{rank}"
        )

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """Note how it ended."""
        row = self._rows.setdefault(run.key, Row(run.name, "", self._clock()))
        row.state, row.reason, row.ended = state, reason, self._clock()
        score = record.score("validation", run.metric) if record else None
        row.score = row.score if score is None else score
        took = record.seconds if record else None
        seconds = row.ended - row.begun if took is None else took
        because = f"  ({reason})" if reason else ""
        if state == "FAIL" and self._console.is_terminal:
            self.say(f"{run.name} failed: {reason}", "failure")  # a narrow table has no room for it
        best = f", best {number(found.score)} ({found.name})" if (found := self.best()) else ""
        self._line(
            f"{run.name} {state}  {self._metric} {number(row.score)}  "
            f"{duration(seconds)}{because}  {self.summary()}{best}"
        )

    def say(self, line: str, style: Style = "") -> None:
        """Print a line for people where the runs are shown, above the table."""
        self._console.print(printable(line), style=style or None)

    def best(self) -> Row | None:
        """Return the complete run with the highest score, the first of equals.

        None where runs do not compete one by one: with several seeds the trial's mean decides.
        """
        if not self._compares:
            return None
        rows = list(self._rows.values())  # the drawing thread looks while runs are added
        done = [row for row in rows if row.state == "COMPLETE" and row.competes]
        return max(
            (row for row in done if not math.isnan(row.score)),
            key=lambda row: row.score,
            default=None,
        )

    def drawn(self) -> Group:
        """Return what is drawn: how far all is, the best run so far, and the table."""
        head = [Text(self.summary(), "head", no_wrap=True, overflow="ellipsis")]
        if best := self.best():
            told = f"best so far: {best.name}, {self._metric} {number(best.score)}  {best.settings}"
            head.append(Text(told.rstrip(), "winner", no_wrap=True, overflow="ellipsis"))
        if self._total:
            done = self._earlier + sum(row.share for row in list(self._rows.values()))
            full = round(BAR * min(1.0, done / self._total))
            head.append(Text("━" * full, "running") + Text("━" * (BAR - full), "quiet"))
        return Group(*head, self.table())

    def summary(self) -> str:
        """Return how many runs ended and how much time is left."""
        ended = sum(row.ended is not None for row in list(self._rows.values())) + self._earlier
        of = f" of {self._total}" if self._total and ended <= self._total else ""
        left = self._seconds_left()
        return f"{ended}{of} done" + (f", about {duration(left)} left" if left else "")

    def table(self) -> Table:
        """Return the table of the last runs, as many of its columns as fit the terminal."""
        rows = list(self._rows.values())  # the drawing thread looks while runs are added
        cells = self._cells(rows)
        table = Table(expand=False)
        if len(rows) > ROWS:
            table.caption = f"{len(rows) - ROWS} earlier runs not shown"
        widths = _widths(cells, self._console.width)
        for column in (name for name in cells if name in widths):
            table.add_column(
                column,
                justify="left" if column in (RUN, STATE, SETTINGS) else "right",
                width=widths[column],
                no_wrap=column == SETTINGS,
                overflow="ellipsis" if column == SETTINGS else "fold",
            )
        for line in zip(*(cells[name] for name in cells if name in widths), strict=True):
            table.add_row(*line)
        return table

    def _cells(self, rows: list[Row]) -> dict[str, list[Text]]:
        best, now = self.best(), self._clock()
        rung = (RUNG,) if self._rungs else ()
        columns = (RUN, STATE, STEP, self._metric, *rung, RANK, LEFT, SETTINGS)
        cells: dict[str, list[Text]] = {name: [] for name in columns}
        for row in _last(rows):
            is_best = best is not None and row.score == best.score and row.competes
            is_best &= row.state == "COMPLETE"
            style: Style = "winner" if is_best else STYLES[row.state]
            left = row.seconds_left(now)
            cells[RUN].append(Text(row.name, "winner" if is_best else ""))
            cells[STATE].append(Text(row.state, style))
            cells[STEP].append(Text(f"{row.step}/{row.total_steps}" if row.total_steps else ""))
            score = number(row.score) + (" best" if is_best else "")
            cells[self._metric].append(Text(score, "winner" if is_best else ""))
            if self._rungs:
                cells[RUNG].append(Text(self._rung(row)))
            cells[RANK].append(Text(row.rank))
            cells[LEFT].append(Text(duration(left) if left is not None else ""))
            told = printable(row.reason or row.settings)
            cells[SETTINGS].append(Text(told, "quiet" if row.reason else ""))
        return cells

    def _rung(self, row: Row) -> str:
        """Return at how many of all rungs a run was compared; nothing of one that never is."""
        if not row.competes:
            return ""
        return f"{sum(at <= row.interval for at in self._rungs)}/{len(self._rungs)}"

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self.say(text)

    def _seconds_left(self) -> float | None:
        if self._total is None:
            return None
        rows = list(self._rows.values())  # the drawing thread looks while runs are added
        lasted = [seconds for row in rows if (seconds := row.lasted()) is not None]
        if not lasted:
            return None
        waiting = max(0, self._total - self._earlier - len(rows))
        now = self._clock()
        mean = sum(lasted) / len(lasted)
        running = [row.seconds_left(now) for row in rows if row.ended is None]
        rest = sum(mean if left is None else left for left in running)
        return (rest + waiting * mean) / self._most_at_once


def _widths(cells: dict[str, list[Text]], room: int) -> dict[str, int]:
    """Return the width of each column that fits: a narrow terminal keeps the score to the last."""
    known = (RUN, STATE, STEP, RUNG, RANK, LEFT, SETTINGS)
    metric = next(name for name in cells if name not in known)
    order = [RUN, STATE, metric, STEP, LEFT, RANK, RUNG, SETTINGS]
    order = [name for name in order if name in cells]
    extents = [extent(name, [cell.plain for cell in cells[name]]) for name in order]
    name = extents[0]
    extents[0] = Extent(max(name.least, min(name.natural, WHOLE_NAME)), name.natural)
    # Settings are cut off anyhow, so a few characters of them will do.
    extents[-1] = Extent(LEAST_SETTINGS, max(LEAST_SETTINGS, extents[-1].natural))
    return dict(zip(order, fitting(extents, room - EDGES, GAP), strict=False))


def _budget(run: RunInfo) -> int | None:
    """Return the rank that all matrices of a run keep in the end; ``None`` where none is cut."""
    target = run.config.adapter.target_rank
    if target is None or not run.config.prunes:
        return None
    try:
        modules = json.loads((run.folder / RANK_PATTERN_FILE).read_bytes())["modules"]
    except (OSError, ValueError, KeyError):
        return None
    return round(target * len(modules))


def _begun_before(run: RunInfo) -> bool:
    return any((run.folder / name).exists() for name in (CHECKPOINT_FOLDER, ADAPTER_FOLDER))


def _last(rows: list[Row]) -> list[Row]:
    # Running ones are always shown, however long ago they began.
    if len(rows) <= ROWS:
        return rows
    running = [row for row in rows if row.ended is None][-ROWS:]
    ended = [row for row in rows if row.ended is not None]
    shown = {id(row) for row in running + ended[len(ended) - (ROWS - len(running)) :]}
    return [row for row in rows if id(row) in shown]


@contextmanager
def watched(view: LiveView, *lines: str) -> Iterator[list[Observer]]:
    """Yield observers that say ``lines`` and open the view when the first run starts."""
    with ExitStack() as stack:
        yield [Beginning(lines, view.say, lambda: stack.enter_context(view)), view]
