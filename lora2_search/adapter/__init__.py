"""LoRA² for PEFT: importing this package registers the method.

A process that loads a LoRA² adapter has to import it as well, or PEFT knows no "LORA2".
"""

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from ..model_types import default_modules_to_save, default_targets
from .accounting import count_parameters
from .compression import compress
from .config import Lora2Config, Lora2PeftType
from .model import Lora2Model
from .pruning import prune

__all__ = [
    "Lora2Config",
    "Lora2Model",
    "compress",
    "count_parameters",
    "default_modules_to_save",
    "default_targets",
    "prune",
]

# PEFT's own `register_peft_method` accepts only names that its enum already holds.
PEFT_TYPE_TO_CONFIG_MAPPING[Lora2PeftType.LORA2] = Lora2Config
PEFT_TYPE_TO_TUNER_MAPPING[Lora2PeftType.LORA2] = Lora2Model
PEFT_TYPE_TO_PREFIX_MAPPING[Lora2PeftType.LORA2] = Lora2Model.prefix
