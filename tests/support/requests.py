"""What a request means, asked for in one call, and what is said of a name that is in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora2_search.config.run_info import RunInfo
from lora2_search.config.space.schema import Space
from lora2_search.config.suite.schema import Suite
from lora2_search.experiments.ablate import SuiteRequest, resolve_suite
from lora2_search.experiments.request import Request, Resolved
from lora2_search.experiments.train import resolve_run
from lora2_search.experiments.tune import resolve_space

Say = Callable[[str], None]


def asked_space(
    what: Any = None, *, storage: Path | None = None, say: Say = print, **asked: Any
) -> Resolved[Space]:
    resolved = resolve_space(Request(what, **asked), storage)
    resolved.say_name_taken(say)
    return resolved


def asked_suite(
    what: Any = None, *, storage: Path | None = None, say: Say = print, **asked: Any
) -> Resolved[Suite]:
    resolved = resolve_suite(SuiteRequest(what, **asked), storage)
    resolved.say_name_taken(say)
    return resolved


def asked_run(what: Any = None, **asked: Any) -> Resolved[RunInfo]:
    return resolve_run(Request(what, **asked))
