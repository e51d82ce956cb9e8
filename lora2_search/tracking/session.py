"""What MLflow records about a study, a suite or a run, from its first run to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .. import signals
from .delivery.syncer import Handle, start_syncer
from .spool.observer import ParentInfo, ParentState, SpoolObserver
from .uri import check_driver

if TYPE_CHECKING:
    from ..config import RunInfo
    from ..store import RunRecord
    from ..training import Report, State

_SECONDS_WHEN_STOPPED = 4.0


class Tracked:
    """An observer that opens spool and syncer when the first run begins.

    A syncer that is killed is started again with the next event: before that, nothing is new.

    Not before: a study that is refused (its name is in use, no cluster answers) must leave nothing
    behind.

    Args:
        folder: The folder of the study, suite or run.
        parent: What it is as a whole.
        uri: The MLflow store, resolved.
        say: Takes a line when something could not be delivered.

    Raises:
        UserError: The store is a database whose driver is not installed.
    """

    def __init__(
        self, folder: Path, parent: ParentInfo, uri: str, say: Callable[[str], None]
    ) -> None:
        check_driver(uri)
        self._folder, self._parent, self._uri, self._say = folder, parent, uri, say
        self._spool: SpoolObserver | None = None
        self._syncer: Handle | None = None
        self._ends = False

    @property
    def is_open(self) -> bool:
        """Whether there is something to end."""
        return self._spool is not None

    def open(self) -> SpoolObserver:
        """Return the spool, opened now where it is not yet, with a syncer that lives."""
        if self._spool is None:
            self._spool = SpoolObserver(self._folder, self._parent)
            self._syncer = start_syncer(self._folder, self._uri)
        elif self._syncer is not None and self._syncer.was_killed:
            self._say("the process that delivers to MLflow was killed, and has been started again")
            self._syncer = start_syncer(self._folder, self._uri)
        return self._spool

    def started(self, run: RunInfo) -> None:
        """Pass it on."""
        self.open().started(run)

    def reported(self, run: RunInfo, report: Report) -> None:
        """Pass it on."""
        self.open().reported(run, report)

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """Pass it on."""
        self.open().ended(run, state, record, reason)

    def measured(self, values: Mapping[str, float]) -> None:
        """Note numbers of the whole itself."""
        self.open().measured(values)

    def tag(self, run: RunInfo, tags: Mapping[str, str]) -> None:
        """Note what is known of a run only after its end."""
        self.open().tag(run, tags)

    def artifact(self, path: Path, to: str = "") -> None:
        """Keep a file with the whole, in its folder ``to``."""
        self.open().artifact(None, path, to)

    def close(
        self,
        state: ParentState,
        *,
        reason: str = "",
        winner: RunInfo | None = None,
        scores: Mapping[str, float] | None = None,
        artifacts: Sequence[Path] = (),
    ) -> None:
        """End the whole, hand over what it left, and wait up to ten seconds for delivery.

        What was stopped has less time: whoever stopped it waits. Its syncer goes on without it.
        ``scores`` stand for those of the winner's own run.
        """
        spool = self.open()
        assert self._syncer is not None
        self._ends = True
        for path in artifacts:
            spool.artifact(None, path)
        if state == "STOPPED":
            with signals.unheard():
                spool.close(state, reason=reason, winner=winner)
                outcome = self._syncer.leave(signals.patience(_SECONDS_WHEN_STOPPED))
        else:
            spool.close(state, reason=reason, winner=winner, scores=scores)
            outcome = self._syncer.finish()
        self._spool = self._syncer = None
        self._ends = False
        if outcome.message:
            self._say(outcome.message)

    def abandon(self) -> None:
        """Note the end of the whole while another thread hangs; the syncer delivers it alone."""
        if self._spool is not None and not self._ends:
            self._spool.close("STOPPED", reason="interrupted")


@contextmanager
def failed_on_error(tracked: Tracked) -> Iterator[None]:
    """End what is tracked as failed, or stopped, when the block raises."""
    with signals.last_words(lambda number: tracked.abandon()):
        try:
            yield
        except BaseException as error:
            if tracked.is_open:
                stopped = isinstance(error, KeyboardInterrupt)
                tracked.close("STOPPED" if stopped else "FAIL", reason=str(error) or "interrupted")
            raise
