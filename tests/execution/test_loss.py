from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.execution.loss import Loss, last_loss
from lora2_search.execution.run_queue import MAX_DEATHS
from lora2_search.execution.watchdog import pop_failure_marker
from lora2_search.search.storage import open_study
from tests.execution.test_searcher import Desk

NODE = "The actor died because its node has died. Node Id: 4c\n\tthe actor's node was terminated."
KILLED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
MOVED = "ray::T.train()\nlora2_search.errors.Preempted: left at step 4 of 60"
FULL = "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory."


@pytest.mark.parametrize(
    ("entries", "own"),
    [([NODE], False), ([KILLED], True), ([MOVED], False), ([FULL], True), ([NODE, KILLED], True)],
)
def test_only_what_a_process_does_by_itself_counts_and_only_the_last_entry(
    tmp_path: Path, entries: list[str], own: bool
) -> None:
    file = tmp_path / "error.txt"
    file.write_text("".join(f"Failure # 1 (occurred at noon)\n{text}\n" for text in entries))
    assert last_loss(str(file)) == Loss(entries[-1].splitlines()[-1].strip(), own)


def test_a_run_may_move_without_end_but_dies_three_times_at_most(tmp_path: Path) -> None:
    with open_study(tmp_path, "tiny") as database:
        desk = Desk(tmp_path, database)
        folder = Path(desk.begin("a")["folder"])
        folder.mkdir(parents=True)
        for _ in range(20):
            assert not desk.queue.lost("a", Loss("its node has died", own=False))
        for _ in range(MAX_DEATHS):
            assert not desk.queue.lost("a", Loss("killed"))
        assert pop_failure_marker(folder) is None
        assert desk.queue.lost("a", Loss("killed"))
        assert pop_failure_marker(folder) == "its process died 4 times: killed"
