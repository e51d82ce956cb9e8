"""A record is read, or said to be damaged; never taken for another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lora2_search.store.files import Damaged
from lora2_search.store.record import RunRecord, read_record


def written(folder: Path, **changes: Any) -> Path:
    record = RunRecord(fingerprint="f", config={}, status="completed", scores={"test/f1": 0.5})
    path = record.write(folder)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize("status", ["running", "failed", "pruned"])
def test_a_run_that_was_not_completed_may_have_no_scores(status: str, tmp_path: Path) -> None:
    record = read_record(written(tmp_path, status=status, scores={}))
    assert record is not None and record.scores == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scores": {}}, "its run is completed, but it holds no scores; restore it"),
        ({"schema_version": 2}, "its schema_version is 2, this version reads 1; read it with"),
        ({"schema_version": 0}, "its schema_version is 0, this version reads 1"),
    ],
)
def test_a_record_that_says_nothing_or_is_of_another_form_is_damaged(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(Damaged, match="record.json is broken") as caught:
        read_record(written(tmp_path, **changes))
    assert words in str(caught.value)
