"""A driver in a process of its own, for tests that kill it: ``python -m tests.support.driver``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lora2_search.search.study import run_study, stored_space
from lora2_search.store.storage import storage_folder
from tests.support.spaces import space_of
from tests.support.stand_in import LongStandIn, Recorder, SlowStandIn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("storage", type=Path)
    parser.add_argument("--bucket")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--address")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--winner", action="store_true")
    parser.add_argument("--evaluations", type=int, default=5)
    arguments = parser.parse_args()
    winner = {"top": 2, "seeds": 2} if arguments.winner else None
    storage = storage_folder(arguments.bucket or arguments.storage)
    space = space_of(
        trials=arguments.trials,
        training={"evaluations": arguments.evaluations},
        scheduler={"name": "none"},
        winner=winner,
    )
    if arguments.resume:
        space = stored_space("tiny", storage)
    seen = Recorder()
    study = run_study(
        space,
        resume=arguments.resume,
        storage=storage,
        address=arguments.address,
        observers=[seen],
        trainable=LongStandIn if arguments.long else SlowStandIn,
    )
    outcome = {"interrupted": study.interrupted, "ended": sorted(seen.of("ended"))}
    (arguments.storage / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
