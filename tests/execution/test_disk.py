from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.config.run import RunConfig
from lora2_search.errors import RequestError
from lora2_search.execution.disk import DiskLimit
from lora2_search.execution.trainable import Run
from lora2_search.search.study import load_study, run_study, stored_space
from tests.support.spaces import space_of
from tests.support.stand_in import StandIn


class Bulky(StandIn):
    """Leaves 200 kB."""

    def _start(self, config: RunConfig, folder: Path) -> Run:
        (folder / "adapter").mkdir(parents=True, exist_ok=True)
        (folder / "adapter" / "weights").write_bytes(bytes(200_000))
        return super()._start(config, folder)


def test_a_run_begins_while_the_largest_so_far_would_still_fit(tmp_path: Path) -> None:
    assert not DiskLimit(tmp_path, 1e-9).refused
    assert DiskLimit(tmp_path / "absent", 1e-9).allows(0)
    for number, size in enumerate((100, 300)):
        (tmp_path / "trials" / str(number) / "adapter").mkdir(parents=True)
        (tmp_path / "trials" / str(number) / "adapter" / "w").write_bytes(bytes(size))
    (tmp_path / "study.db").write_bytes(bytes(50))
    assert DiskLimit(tmp_path, None).allows(100)
    assert DiskLimit(tmp_path, 750e-9).allows(0)
    limit = DiskLimit(tmp_path, 750e-9)
    assert not limit.allows(1)
    assert not limit.allows(0)  # once refused, for good
    assert limit.refused.endswith("might go beyond resources.max_disk_gb, 7.5e-07")


def test_a_study_stops_before_its_disk_is_full_and_goes_on_with_more_room(
    tmp_path: Path, ray_here: None
) -> None:
    space = space_of(
        trials=6, scheduler={"name": "none"}, resources={"concurrent": 1, "max_disk_gb": 1e-3}
    )
    with pytest.raises(RequestError, match="beyond resources.max_disk_gb") as caught:
        run_study(space, storage=tmp_path, reference=False, trainable=Bulky)
    assert str(caught.value).endswith("then resume with resume='tiny'")
    states = [trial.state for trial in load_study("tiny", tmp_path).trials]
    assert 2 <= states.count("COMPLETE") <= 5
    assert set(states) == {"COMPLETE", "RUNNING"}
    more = stored_space("tiny", tmp_path, ["resources.max_disk_gb=1"])
    study = run_study(more, storage=tmp_path, resume=True, reference=False, trainable=Bulky)
    assert [trial.state for trial in study.trials] == ["COMPLETE"] * 6
