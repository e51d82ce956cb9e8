"""Row of the start."""

from __future__ import annotations

from ..measurements import StartResult
from ..page.rows import FAILS, HOLDS, Row
from ..results import Results


def rows(results: Results) -> list[Row]:
    """Judge by equality to the last bit: an increment that is 0 adds exactly nothing."""
    found = list(results.of("start", StartResult).values())
    moved, sentences = min(f.differs for f in found), found[0].sentences
    worst = {name: max(f.differences[name] for f in found) for name in found[0].differences}
    exact = all(value == 0 for value in worst.values()) and moved > 0
    smallest = {n: v for n, v in worst.items() if n.endswith("k=1, r=1")}
    starts = ", ".join(name.partition(",")[0] for name in smallest)
    others = max((v for n, v in worst.items() if n not in smallest), default=None)
    own = "" if others is None else f"; at the run's own k and r: {others:.3g}"
    return [
        Row(
            "start",
            "With k = r = 1, training starts at ΔW = 0 with the pretrained outputs",
            "“initializes with zero parameter increment and produces identical outputs to the "
            "pre-trained model”",
            f"largest difference of any logit {max(smallest.values()):.3g} ({starts}; "
            f"{len(found)} seeds){own}",
            HOLDS if exact else FAILS,
            "Compared with the same network without an adapter, under the same head, on "
            f"{sentences} validation sentences. Setting λ to 1 moves the logits by {moved:.2g}, so "
            "a difference would show. This says nothing about what is learnt afterwards.",
            {"largest_difference": max(worst.values()), "moved_by_lambda_1": moved},
        )
    ]
