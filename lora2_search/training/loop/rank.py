"""One of the processes that train a run together: ``python -m …rank CONNECTION``.

The first one does all that a process does that trains alone: evaluates, writes the record and the
checkpoints, reports. The others take part in the steps, and write nothing.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from ... import signals
from ...errors import Preempted, UserError
from .work import NEXT, Work


def main() -> None:
    """Do what comes over the connection, whose number is the only argument."""
    for number in signals.EXIT_CODES:
        signal.signal(number, signal.SIG_IGN)  # sent to a whole job, but the starter's to hear
    threading.Thread(target=_leave_with_starter, daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    try:
        _do(connection.recv(), connection)
    except BaseException as error:
        traceback.print_exc()
        connection.send(_portable(error))
        # Not yet gone, so that the others do not fail for want of it: the starter ends all.
        threading.Event().wait()
    sys.stderr.flush()
    os._exit(0)


def _do(work: Work, connection: Connection) -> None:
    import torch

    from ..models.accelerator import join_processes
    from .run import follow

    os.chdir(work.cwd)
    torch.set_num_threads(work.threads)
    torch.set_num_interop_threads(work.threads)
    join_processes(work.rank, work.count, work.place / "meeting-point", work.config.training)
    if work.rank:
        follow(work.config, work.folder)
    else:
        _lead(work, connection)


def _lead(work: Work, connection: Connection) -> None:
    from .run import iterate

    # All that comes while it trains is that it has to go.
    steps = iterate(work.config, work.folder, work.metric, connection.poll)
    while True:
        while connection.recv() != NEXT:
            pass  # came too late for the interval before; it is said again
        try:
            connection.send(next(steps))
        except StopIteration as end:
            connection.send(end.value)
            return


def _leave_with_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """Return an error that can be raised in another process, with its traceback if it is a bug."""
    if not isinstance(error, UserError | Preempted):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    # Under its own name: what is unpickled here is of that module.
    from lora2_search.training.loop.rank import main as run_main

    run_main()
