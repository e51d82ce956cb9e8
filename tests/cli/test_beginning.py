from __future__ import annotations

import io
from pathlib import Path

from lora2_search.cli.console.live import LiveView, watched
from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo


def test_a_beginning_is_said_once_before_the_first_run_and_not_without_one() -> None:
    run = RunInfo("00000", "trial 0", RunConfig(task="rte"), {}, Path("."))
    stream = io.StringIO()
    with watched(LiveView(2, stream=stream), "study x begins", "a note") as observers:
        assert stream.getvalue() == ""
        for observer in observers * 2:
            observer.started(run)
    assert stream.getvalue().startswith("study x begins\na note\ntrial 0 started")
    assert stream.getvalue().count("study x begins") == 1


def test_the_table_is_drawn_from_the_first_run_on() -> None:
    run = RunInfo("00000", "trial 0", RunConfig(task="rte"), {}, Path("."))
    stream = io.StringIO()
    with watched(LiveView(2, stream=stream, terminal=True)) as observers:
        assert stream.getvalue() == ""
        for observer in observers:
            observer.started(run)
        assert stream.getvalue() != ""
