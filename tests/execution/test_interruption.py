from __future__ import annotations

from lora2_search.execution.interruption import Interruption


def test_what_follows_a_search_is_not_bound_by_its_hours() -> None:
    interruption = Interruption()
    interruption.end_in(-1)
    assert interruption.overdue
    interruption.lift_deadline()
    assert not interruption.overdue and not interruption.requested
