"""Find the best LoRA² fine-tuning settings, and show which part of the method earns its keep."""

import logging

import lazy_loader as lazy

__version__ = "0.1.0"
# Late, because the libraries behind the names take seconds to import.
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)

# Where bitsandbytes is installed, importing peft imports it, and it warns of an optional kernel.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
