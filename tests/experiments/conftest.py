from __future__ import annotations

from tests.support.stores import fresh_store, home_with_store

__all__ = ["fresh_store", "home_with_store"]
