"""An ablation suite: its schema, its checks, and the arms that a design stands for."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
