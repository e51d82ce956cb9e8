"""What the constant answer scores: the least that an arm or a trial must beat."""

from __future__ import annotations

from collections.abc import Iterable

from ...config import named_metric
from ...store import RunRecord
from ..tables.text import level

SPLITS = ("validation", "test")


def always(record: RunRecord) -> str:
    """Return the constant answer in words: ``always 'good'``, ``always the mean``."""
    return f"always {record.commonest!r}" if record.classes else "always the mean"


def constant_line(
    records: Iterable[RunRecord], metric: str | None = None, splits: Iterable[str] = SPLITS
) -> str | None:
    """Say what the constant answer scores; ``None`` where no record tells (older ones do not).

    Args:
        records: Of runs on the same sentences.
        metric: Its name; ``None`` for the primary one.
        splits: Where.
    """
    record = next((record for record in records if record.constant), None)
    if record is None:
        return None
    name = metric or record.metric
    constants = {split: record.constant.get(f"{split}/{name}") for split in splits}
    scores = [f"{level(v, name)} on {split}" for split, v in constants.items() if v is not None]
    if not scores:
        return None
    answer = always(record)
    return (
        f"{answer[0].upper()}{answer[1:]} would score {named_metric(name, record.classes)} "
        f"{' and '.join(scores)}."
    )
