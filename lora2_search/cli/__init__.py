"""The command line: the only place that knows all layers."""

from __future__ import annotations

import sys

from .. import signals

# A scheduler that says it wants the machine often takes it by force ten seconds later.
_SECONDS_TO_LEAVE = 8.5


def main() -> None:
    """Run the command line; signals are taken before the rest of it is imported."""
    signals.interrupt_at_first(_SECONDS_TO_LEAVE)
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
