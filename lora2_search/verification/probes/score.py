"""The test score after the last step."""

from __future__ import annotations

import numpy as np

from ..measurements import Measurements, ScoreResult
from .watch import Watch


class ScoreProbe:
    """Predicts the test split once, after the last step."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def step(self, step: int) -> None:
        """Nothing to see before the end."""

    def result(self) -> Measurements:
        """Return the primary metric, and by sentence whether the answer was right."""
        prepared = self._watch.prepared
        predictions, metric = prepared.predict("test"), prepared.data.metrics[0]
        right = predictions.right.astype(np.int64).tolist()
        found = ScoreResult(
            metric=metric,
            score=predictions.scores((metric,))[metric],
            majority=prepared.data.majority,
            kept_rank=prepared.trainer.progress.adaptive.kept_rank(),
            right=tuple(right) if metric == "accuracy" else None,
        )
        return Measurements(score=found)
