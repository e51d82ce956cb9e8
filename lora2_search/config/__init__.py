"""Runs, spaces and suites as typed values, and every check of them; no torch."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
