"""The command line: the only place that knows all layers."""

from __future__ import annotations

import atexit
import gc
import sys

from .. import signals

# A scheduler that says it wants the machine often takes it by force ten seconds later.
_SECONDS_TO_LEAVE = 8.5

# Objects made before garbage is looked for. Python's 700 takes 0.6 of the 1.7 s in which 2,000
# records are read: each look goes through all that was imported and read, and finds nothing.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000

# These need not look at all, nor when they end.
_READ_AND_END = (["runs", "list"], ["runs", "show"])


def main() -> None:
    """Run the command line; signals are taken before the rest of it is imported."""
    signals.interrupt_at_first(_SECONDS_TO_LEAVE)
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    if sys.argv[1:3] in _READ_AND_END:
        gc.disable()
        atexit.register(gc.freeze)
    try:
        from .app import app

        app(prog_name="lora2-search")
    except signals.Interrupted as early:
        # A verb says this itself.
        print("interrupted before anything was started", file=sys.stderr)
        signals.hurry(signals.EXIT_CODES[early.signal])
    except SystemExit as leaving:
        signals.hurry(leaving.code)
        raise
