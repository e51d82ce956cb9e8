"""The arms whose names mean something."""

BASE = "base"
FLOOR = "head-only"
