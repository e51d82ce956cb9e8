"""Many runs at once on Ray, each begun, resumed and recorded exactly once."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
