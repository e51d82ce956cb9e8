"""Named seeds: each source of chance has its own, so that one never shifts another."""

from __future__ import annotations

import hashlib


def named_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for one purpose, the same on every machine.

    Args:
        seed: The run's (or the split's) seed.
        names: The purpose: ``"order", epoch`` or ``"head", "classifier.weight"``.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
