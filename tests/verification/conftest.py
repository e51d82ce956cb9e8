from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.verification.plan import Plan, make_plan


def settings(folder: Path, data: Path) -> dict[str, object]:
    """Arguments of a verification that takes a second."""
    return {
        "model": str(folder),
        "data": str(data),
        "seeds": 2,
        "overrides": (
            "data.text=[review]",
            "data.label=verdict",
            "data.train_size=64",
            "adapter.k=4",
            "adapter.r=4",
            "adapter.target_rank=2",
            "training.steps=10",
            "training.device=cpu",
        ),
    }


@pytest.fixture
def plan(tiny_bert: Path, reviews_csv: Path) -> Plan:
    return make_plan(**settings(tiny_bert, reviews_csv), quick=True)  # type: ignore[arg-type]
