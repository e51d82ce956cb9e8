"""Use cases: what each command and each function of `lora2_search.api` does."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
