"""Deliver a study's spool now, in this process: what ``runs sync`` does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, Field

from ...errors import UserError
from ...store import invocation, storage_option
from .. import uri as uris
from ..spool.spool import Identity, check_identity, parent_path, read

_WAIT_SECONDS = 5.0


class Counts(BaseModel):
    """What a synchronisation did.

    Attributes:
        runs: Runs that MLflow holds of this study, its parent left out.
        points: Values delivered now.
        refused: Pieces that MLflow would not take, listed in ``tracking/refused-*.jsonl``.
        damaged: Which files of the spool cannot be read, or not whole: what they held is not there.
    """

    runs: int
    points: int
    refused: int
    damaged: list[str] = Field(default_factory=list)


def sync_command(folder: Path, uri: str) -> str:
    """Return the command that delivers what was run in ``folder`` to ``uri``.

    It is in backquotes, with what else it needs in brackets. A password is not shown.

    Args:
        folder: ``<storage>/studies/<name>`` and the like, absolute.
        uri: The store, resolved.
    """
    kind, storage = folder.parent.name, folder.parent.parent
    if _is_verification(folder) and kind != "verifications":
        # `verify --out` puts it where no name finds it. Its parts are kept, so it delivers when it
        # is called again.
        return "the same `verify` command"
    # Of a study and a suite of one name, the bare name means the study.
    shown = kind in ("suites", "runs", "verifications")
    name = f"{kind}/{folder.name}" if shown else folder.name
    words = [*invocation(), "runs", "sync", name, *storage_option(storage)]
    origin, remark = uris.origin(uri), ""
    if origin == "option":
        words += ["--tracking-uri", uris.display_uri(uri)]
        if uris.display_uri(uri) != uri:
            remark = " (with the password for ***)"
    elif origin == "environment":
        remark = f" (with {uris.VARIABLE} set as it is now)"
    return f"`{shlex.join(words)}`{remark}"


def sync(folder: Path, uri: str) -> Counts:
    """Deliver all that the study or suite in ``folder`` has not delivered to ``uri`` yet.

    What was refused before is offered again: a deleted run may have been restored.

    Raises:
        Damaged: The file that says whose runs they are cannot be read, so none can be delivered.
        UserError: There is nothing to deliver, MLflow cannot be reached, its experiment was
            deleted, or a syncer is at work on this study.
    """
    if not parent_path(folder).exists():
        raise UserError(f"no tracked runs under {folder}: expected {parent_path(folder)}")
    from .client import ExperimentDeleted, Unavailable, quiet_environment
    from .cursor import damaged_spools
    from .delivery import Delivery

    try:
        with delivering(folder), quiet_environment():
            delivery = Delivery(folder, uri)
            damaged = damaged_spools(folder, delivery.cursor)
            check_identity(folder)
            delivery.retry_refused()
            delivery.round(everything=True)
    except Unavailable as error:
        raise UserError(
            f"cannot reach MLflow at {uris.display_uri(uri)}: {error}; nothing is lost, "
            "sync again later"
        ) from None
    except ExperimentDeleted as error:
        raise UserError(f"cannot deliver {folder.name}: {error}") from None
    positions = delivery.cursor.runs.values()
    return Counts(
        runs=sum(position.run_id is not None for position in positions),
        points=delivery.points,
        refused=sum(position.refused for position in delivery.cursor.positions()),
        damaged=damaged,
    )


@contextmanager
def delivering(folder: Path) -> Iterator[None]:
    """Be the only process that delivers what is in ``folder``.

    Raises:
        UserError: Another one is at it.
    """
    from filelock import Timeout

    from .delivery import delivery_lock

    lock = delivery_lock(folder)
    try:
        lock.acquire(timeout=_WAIT_SECONDS)
    except Timeout:
        raise UserError(f"a running study or syncer is delivering {folder} right now") from None
    try:
        yield
    finally:
        lock.release()


def _is_verification(folder: Path) -> bool:
    known = [r for r in read(parent_path(folder)).records if isinstance(r, Identity)]
    return bool(known) and known[-1].what == "verification"
