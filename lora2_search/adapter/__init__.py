"""LoRA² for PEFT: importing this package registers the method.

A process that loads a LoRA² adapter has to import it as well, or PEFT knows no "LORA2".
"""

from peft.mapping import (
    PEFT_TYPE_TO_CONFIG_MAPPING,
    PEFT_TYPE_TO_PREFIX_MAPPING,
    PEFT_TYPE_TO_TUNER_MAPPING,
)

from ..config import default_modules_to_save, default_targets
from .accounting import count_matrix, count_parameters
from .allocation import kept_in_values, shares, survivors, survivors_within
from .base_layers import is_quantized, keep_plain, read_weight, write_weight
from .compression import compress, compress_model, compress_saved, compress_state
from .config import Lora2Config, Lora2PeftType
from .factors import Factors, delta_weight, initial_factor, named_generator
from .layer import Lora2Layer
from .model import Lora2Model
from .orthogonality import overlap
from .pruning import active_adapter, adapted_layers, factors_in, prune, prune_state
from .regularization import mean_orthogonality_error, orthogonality_errors
from .schedule import BudgetSchedule, as_steps, schedule_for
from .scoring.interface import ScoringContext
from .scoring.registry import new_scoring
from .truncation import beside, ranks_in_all, why_uncuttable

__all__ = [
    "Lora2Config",
    "Lora2Model",
    "compress",
    "count_parameters",
    "default_modules_to_save",
    "default_targets",
    "prune",
    "BudgetSchedule",
    "Factors",
    "Lora2Layer",
    "ScoringContext",
    "active_adapter",
    "adapted_layers",
    "as_steps",
    "beside",
    "compress_model",
    "compress_saved",
    "compress_state",
    "count_matrix",
    "delta_weight",
    "factors_in",
    "initial_factor",
    "is_quantized",
    "keep_plain",
    "kept_in_values",
    "mean_orthogonality_error",
    "named_generator",
    "new_scoring",
    "orthogonality_errors",
    "overlap",
    "prune_state",
    "ranks_in_all",
    "read_weight",
    "schedule_for",
    "shares",
    "survivors",
    "survivors_within",
    "why_uncuttable",
    "write_weight",
]

# PEFT's own `register_peft_method` accepts only names that its enum already holds.
PEFT_TYPE_TO_CONFIG_MAPPING[Lora2PeftType.LORA2] = Lora2Config
PEFT_TYPE_TO_TUNER_MAPPING[Lora2PeftType.LORA2] = Lora2Model
PEFT_TYPE_TO_PREFIX_MAPPING[Lora2PeftType.LORA2] = Lora2Model.prefix
