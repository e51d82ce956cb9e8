"""The settings of a study's winner, or of any other run, as a file that ``train`` takes."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..config import RunConfig, Source, validate
from .find_run import FoundRun, find_run


def best_settings(name: str, storage: Path | None = None) -> str:
    """Return YAML that trains a run again: what it sets, without the defaults of this version.

    Args:
        name: A study (its winner), or any run; see `find_run`.
        storage: Where ``studies/`` and ``suites/`` are.

    Raises:
        UserError: There is no such run.
    """
    run = find_run(name, storage)
    config = run.config
    settings = config.model_dump(mode="json", exclude_defaults=True)
    # These tell at first sight what is trained, whether they are defaults or not.
    settings = {"task": config.task, "method": config.method, **settings}
    ordered = {key: settings[key] for key in RunConfig.model_fields if key in settings}
    assert validate(Source(ordered), RunConfig).fingerprint() == config.fingerprint()
    return "\n".join([*_heading(run), yaml.safe_dump(ordered, sort_keys=False)])


def _heading(run: FoundRun) -> list[str]:
    record, metric = run.record, run.metric or run.record.metric
    scores = [
        f"{split} {record.scores[f'{split}/{metric}']:.4f}"
        for split in ("validation", "test")
        if f"{split}/{metric}" in record.scores
    ]
    said = f": {metric} {', '.join(scores)}" if scores else f" ({record.status})"
    return [
        f"# {run.what}{said}",
        f"# Fingerprint {record.fingerprint}; settings not here are defaults.",
    ]
