"""Which modules to adapt and which to train whole, by transformers' model type."""

from __future__ import annotations

# Suffixes, as PEFT matches them: "output.dense" takes both the attention's and the block's.
_BERT_TARGETS = ["query", "key", "value", "intermediate.dense", "output.dense"]

_LLAMA_TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

TARGETS: dict[str, list[str]] = {
    "bert": _BERT_TARGETS,
    "deberta-v2": [
        "query_proj",
        "key_proj",
        "value_proj",
        "intermediate.dense",
        "output.dense",
    ],
    "distilbert": ["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
    "electra": _BERT_TARGETS,
    "gpt2": ["c_attn", "c_proj", "c_fc"],  # Conv1D, whose weight is kept transposed
    "llama": _LLAMA_TARGETS,
    "mistral": _LLAMA_TARGETS,
    "qwen2": _LLAMA_TARGETS,
    "qwen3": _LLAMA_TARGETS,
    "roberta": _BERT_TARGETS,
    "xlm-roberta": _BERT_TARGETS,
}

# Language models; the others are encoders.
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3")

# Whatever a sequence classifier adds to a pretrained model starts at random, so it must be
# trained: DeBERTa's pooler too, which PEFT's own default leaves frozen as it was drawn.
MODULES_TO_SAVE: dict[str, list[str]] = {
    "bert": ["pooler", "classifier"],
    "deberta-v2": ["pooler", "classifier"],
    "distilbert": ["pre_classifier", "classifier"],
    "electra": ["classifier"],
    "gpt2": ["score"],
    "llama": ["score"],
    "mistral": ["score"],
    "qwen2": ["score"],
    "qwen3": ["score"],
    "roberta": ["classifier"],
    "xlm-roberta": ["classifier"],
}


def default_targets(model_type: str) -> list[str]:
    """All linear layers of each block, as suffixes for `target_modules`.

    Poolers and heads are never among them: they are trained whole (`default_modules_to_save`).

    Raises:
        ValueError: the type is not known; the sentence lists those that are.
    """
    return list(_lookup(TARGETS, model_type, "target_modules"))


def default_modules_to_save(model_type: str) -> list[str]:
    """The freshly initialised modules of a sequence classifier, for `modules_to_save`.

    Raises:
        ValueError: the type is not known; the sentence lists those that are.
    """
    return list(_lookup(MODULES_TO_SAVE, model_type, "modules_to_save"))


def _lookup(table: dict[str, list[str]], model_type: str, setting: str) -> list[str]:
    if model_type not in table:
        raise ValueError(
            f"No default `{setting}` for the model type {model_type!r} (known: "
            f"{', '.join(sorted(table))}). Please specify `{setting}`."
        )
    return table[model_type]
