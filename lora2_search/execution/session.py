"""What a driver holds while it runs: a folder, and a Ray on which its runs fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..config.space import Resources
from ..errors import Argument
from ..store import lock_folder, writable_folder
from .cluster import capacity, connect, resolve_gpus


@contextmanager
def run_session(
    folder: Path,
    resources: Resources,
    *,
    device: str,
    resume: bool,
    address: str | None,
    say: Callable[[str], None] = lambda line: None,
    check: Callable[[Resources], None] = lambda terms: None,
    held: Callable[[], object] = lambda: None,
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
        held: Refuses more once the folder is held: before, another driver may still write it.

    Yields:
        The resources, ``resolve_gpus``.

    Raises:
        ConfigError: A run asks for more than any node has.
        UserError: The folder is in use, or the cluster cannot be reached.
    """
    with ExitStack() as stack:
        if resume:
            stack.enter_context(lock_folder(folder))
            held()
        else:
            writable_folder(folder.parent, "name another folder with ", Argument("storage"))
        place = folder if resume else folder.parent
        stack.enter_context(connect(address, place, say))
        terms = resolve_gpus(resources, device)
        capacity(terms)
        check(terms)
        if not resume:
            folder.mkdir(exist_ok=True)
            stack.enter_context(lock_folder(folder))
            held()
        yield terms
