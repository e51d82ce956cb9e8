"""What a driver holds while it runs: a folder, and a Ray on which its runs fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..config.space import Resources
from ..errors import Argument
from ..store import owned, writable_folder
from .cluster import capacity, connected, settled


@contextmanager
def held(
    folder: Path,
    resources: Resources,
    *,
    device: str,
    resume: bool,
    address: str | None,
    say: Callable[[str], None] = lambda line: None,
    check: Callable[[Resources], None] = lambda terms: None,
) -> Iterator[Resources]:
    """Hold a folder of runs and a connection to Ray while the block runs.

    What is refused leaves nothing behind: a new folder is made last.

    Args:
        folder: Of the study or suite; every node of a cluster must see it.
        resources: What one run takes.
        device: ``training.device`` of the runs.
        resume: Whether the folder is there already.
        address: A Ray cluster: ``auto`` or ``host:port``; ``None`` for this machine alone.
        say: Takes a line for people, before the seconds in which Ray starts.
        check: Refuses more, by an exception, of what is known once the resources are settled.

    Yields:
        The resources, ``settled``.

    Raises:
        ConfigError: A run asks for more than any node has.
        UserError: The folder is in use, or the cluster cannot be reached.
    """
    with ExitStack() as stack:
        if resume:
            stack.enter_context(owned(folder))
        else:
            writable_folder(folder.parent, "name another folder with ", Argument("storage"))
        place = folder if resume else folder.parent
        stack.enter_context(connected(address, place, say))
        terms = settled(resources, device)
        capacity(terms)
        check(terms)
        if not resume:
            folder.mkdir(exist_ok=True)
            stack.enter_context(owned(folder))
        yield terms
