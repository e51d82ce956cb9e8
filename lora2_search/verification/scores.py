"""What a run scores on the test split at its end."""

from __future__ import annotations

from typing import Any

import numpy as np

from .watch import Watch


class ScoreProbe:
    """Predicts the test split once, after the last step."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def step(self, step: int) -> None:
        """Nothing to see before the end."""

    def result(self) -> dict[str, Any]:
        """Return the primary metric, and by sentence whether the answer was right."""
        prepared = self._watch.prepared
        said, metric = prepared.predict("test"), prepared.data.metrics[0]
        found: dict[str, Any] = {
            "metric": metric,
            "score": said.scores((metric,))[metric],
            "majority": prepared.data.majority,
            "kept_rank": prepared.trainer.progress.adaptive.kept_rank(),
        }
        if metric == "accuracy":
            found["right"] = (said.values == said.labels).astype(np.int64).tolist()
        return found
