from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.training.loop.estimate import adapter_size, measure
from lora2_search.training.loop.run import run
from tests.training.test_run import settings


def test_an_estimate_names_what_the_run_then_has(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    config = settings(tiny_bert, reviews_csv)
    said = measure(config)
    record = run(config, tmp_path)
    assert said.sizes == record.sizes and said.steps == record.total_steps
    assert said.counts["trained_adapter"] == record.counts["trained_adapter"]
    assert adapter_size(config) == record.counts["trained_adapter"]
    assert said.seconds == pytest.approx(
        said.steps * said.seconds_per_step
        + (4 * said.sizes["validation"] + said.sizes["test"]) * said.seconds_per_example
    )
    assert said.seconds_per_step > 0 and said.seconds_per_example > 0
    on_disk = sum(p.stat().st_size for p in (tmp_path / "adapter").iterdir()) / 2**20
    # A run writes its own README over the longer one of PEFT: some KiB, whatever the model.
    assert said.disk_mb == pytest.approx(on_disk, abs=0.006)
