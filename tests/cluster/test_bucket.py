"""Two nodes that share nothing but a bucket, one of which is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lora2_search.store.bucket import BucketCopy
from lora2_search.store.environment import variables
from lora2_search.store.storage import storage_folder
from tests.execution.test_faults import Driver
from tests.support.bucket import bucket, s3
from tests.support.exactly_once import assert_every_point_once

__all__ = ["bucket", "s3"]

pytestmark = pytest.mark.cluster


@pytest.fixture
def nodes(s3: None, workers_find_tests: None, tmp_path: Path) -> Iterator[Any]:
    """Two Ray nodes of one CPU each, each with a home of its own."""
    from ray.cluster_utils import Cluster

    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "head")}):
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "worker")}):
        made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def test_the_trial_of_a_lost_node_goes_on_from_what_the_bucket_has(
    bucket: str, nodes: Any, tmp_path: Path
) -> None:
    driver, at = Driver(tmp_path), BucketCopy(bucket, "studies/tiny/trials")
    homes = {}
    for name in ("driver", "head", "worker"):
        with variables({"LORA2_SEARCH_HOME": str(tmp_path / name)}):
            homes[name] = at.folder
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "driver")}):
        driver.start(
            *("--bucket", bucket, "--address", nodes.address, "--trials", "4", "--long"),
        )
        driver.wait_for(lambda: bool(list(homes["worker"].glob("*/record.json"))), 180)
        (lost,) = nodes.worker_nodes
        nodes.remove_node(lost, allow_graceful=False)
        driver.finish(600)
    assert (homes["head"].parents[2] / "url.json").is_file()
    with variables({"LORA2_SEARCH_HOME": str(tmp_path / "other")}):
        storage = storage_folder(bucket)
        assert storage is not None
        folder = storage / "studies" / "tiny"
        assert len(list(folder.glob("trials/*/record.json"))) == 4
        assert_every_point_once(folder)
