"""Any method of PEFT by its own name: its configuration, and what is wrong with one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import torch
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, get_peft_model

from ...config import PeftSettings, RunConfig, default_targets
from ...errors import Problem, UserError, did_you_mean, first_line
from .attached import attached_problems
from .files import model_location
from .load import heads_of
from .sizes import empty_model

# What the run decides, whatever stands in an adapter_config.json.
_DECIDED = (
    *("task_type", "inference_mode", "auto_mapping", "peft_version", "total_step"),
    *("base_model_name_or_path", "revision"),
)

# Types that no run of this package can train, and why.
_UNFIT = {
    "ADAPTION_PROMPT": "adapts the attention of language models",
    "CPT": "is for language models",
    "LORA2": "has its own section: set `method: lora2` and `adapter`",
    "MULTITASK_PROMPT_TUNING": "needs the number of a task with every sentence",
    "POLY": "needs the number of a task with every sentence",
    "SHADOW": "is for language models",
    "TRAINABLE_TOKENS": "trains no classification head beside it",
    "XLORA": "mixes adapters that are trained already",
}

# Types that prepend virtual tokens.
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")

# Not the linear layers that the other methods adapt: PEFT has defaults of its own for them.
_OWN_TARGETS = ("IA3", "LN_TUNING")


def any_peft_config(
    settings: PeftSettings,
    model_type: str,
    heads: list[str],
    total_steps: int,
    *,
    is_language: bool = False,
) -> PeftConfig:
    """Return PEFT's own configuration of these settings.

    Without ``target_modules`` it adapts the linear layers that every method here adapts.

    Raises:
        ValueError: PEFT refuses the settings, or the model type has no default modules.
    """
    kind, known = _kind(settings), _fields(settings)
    given = {key: copy.deepcopy(v) for key, v in settings.own().items() if key not in _DECIDED}
    given["task_type"] = "CAUSAL_LM" if is_language else "SEQ_CLS"
    if "modules_to_save" in known:
        given["modules_to_save"] = [*heads, *(given.get("modules_to_save") or ())] or None
    if "total_step" in known:
        given["total_step"] = total_steps
        given.pop("rank_pattern", None)  # an earlier training's masks
    own_targets = settings.peft_type in _OWN_TARGETS
    if "target_modules" in known and not given.get("target_modules") and not own_targets:
        given["target_modules"] = "all-linear" if is_language else default_targets(model_type)
    return kind(**given)


def peft_problems(config: RunConfig, total_steps: int | None = None) -> list[Problem]:
    """Return what is wrong with the section ``peft``; no weights are loaded.

    Args:
        config: A run of method peft.
        total_steps: Of the run. Where it is known, the model is laid out without weights and the
            adapter with it, to see whether they go together.
    """
    problems = [*_wrong_type(config.peft)]
    if not problems and config.is_language and config.peft.peft_type in _PROMPTS:
        why = "puts tokens of its own before the prompt, which decoding here does not expect"
        return [Problem("peft.peft_type", f"{config.peft.peft_type} {why}; take another type")]
    problems = problems or [*_wrong_keys(config.peft, config.is_language), *_wrong_base(config)]
    if not problems and config.peft.peft_type == "ADALORA":
        problems = [*_wrong_budget(config.peft, total_steps)]
    # An adapter that does not fit a language model is refused when it is attached.
    if problems or total_steps is None or config.is_language or config.model.trust_remote_code:
        return problems
    return [*_misfit(config, total_steps)]


def _kind(settings: PeftSettings) -> Any:
    return PEFT_TYPE_TO_CONFIG_MAPPING[settings.peft_type]


def _fields(settings: PeftSettings) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(_kind(settings)) if item.init}


def _wrong_type(settings: PeftSettings) -> Iterator[Problem]:
    known = [str(getattr(name, "value", name)) for name in PEFT_TYPE_TO_CONFIG_MAPPING]
    fit = sorted(set(known) - set(_UNFIT))
    if settings.peft_type is None:
        yield Problem("peft.peft_type", f"method peft needs the name of one: {', '.join(fit)}")
    elif settings.peft_type in _UNFIT:
        why = _UNFIT[settings.peft_type]
        yield Problem("peft.peft_type", f"{settings.peft_type} {why}, so it cannot be trained here")
    elif settings.peft_type not in known:
        hint = did_you_mean(settings.peft_type, fit)
        yield Problem("peft.peft_type", f"PEFT has no {settings.peft_type!r}; {hint}")


def _wrong_keys(settings: PeftSettings, is_language: bool) -> Iterator[Problem]:
    known, task_type = _fields(settings), "CAUSAL_LM" if is_language else "SEQ_CLS"
    for key, value in settings.own().items():
        if key not in known and key not in _DECIDED:
            hint = did_you_mean(key, known)
            yield Problem(f"peft.{key}", f"{settings.peft_type} of PEFT has no such key; {hint}")
        elif key == "task_type" and value not in (None, task_type):
            message = f"must be {task_type}, which is trained here, got {value}"
            yield Problem("peft.task_type", message)
        elif key == "alora_invocation_tokens" and value and is_language:
            message = (
                "starts at a token that it seeks in the whole text, and decoding here shows it "
            )
            yield Problem("peft.alora_invocation_tokens", f"{message}one at a time; leave it out")
        elif key == "use_asa" and value:
            message = "AdaMSS allocates by averages that no checkpoint holds; leave it out"
            yield Problem("peft.use_asa", message)
        elif _is_rank(key) and known[key].default and not _is_count(value):
            yield Problem(f"peft.{key}", f"must be a whole number of at least 1, but got {value!r}")
    tokens = "num_virtual_tokens"
    if tokens in known and not _is_count(settings.own().get(tokens)):
        message = f"{settings.peft_type} needs a whole number of at least 1, but got "
        yield Problem(f"peft.{tokens}", f"{message}{settings.own().get(tokens)!r}")


def _is_rank(key: str) -> bool:
    return key in ("r", "init_r", "target_r", "rank")


def _is_count(value: Any, at_least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= at_least


def _wrong_budget(settings: PeftSettings, total_steps: int | None) -> Iterator[Problem]:
    """Yield what PEFT would stumble over, or pass over, only while AdaLoRA trains."""
    defaults = {key: item.default for key, item in _fields(settings).items()}
    given: dict[str, Any] = defaults | settings.own()
    for key, least in (("tinit", 0), ("tfinal", 0), ("deltaT", 1)):
        if not _is_count(given[key], least):
            message = f"must be a number of steps, at least {least}, but got {given[key]!r}"
            yield Problem(f"peft.{key}", message)
            return
    for key in ("beta1", "beta2"):
        if not isinstance(given[key], float) or not 0 < given[key] < 1:
            message = f"must be between 0 and 1, both excluded, but got {given[key]!r}"
            yield Problem(f"peft.{key}", message)
    if given["target_r"] >= given["init_r"]:
        ranks = f"target_r={given['target_r']}, init_r={given['init_r']}"
        message = f"must be below init_r, the rank at the start, but got {ranks}"
        yield Problem("peft.target_r", message)
    if given["r"] != _fields(settings)["r"].default:
        message = "ADALORA does not look at it; its rank at the start is peft.init_r"
        yield Problem("peft.r", message)
    if any(not isinstance(mask, list) for mask in (given["rank_pattern"] or {}).values()):
        message = "ADALORA starts every matrix with the rank init_r; leave it out"
        yield Problem("peft.rank_pattern", message)
    if total_steps is not None and given["tinit"] + given["tfinal"] >= total_steps:
        message = (
            f"tinit + tfinal must be less than the total steps, but got tinit={given['tinit']}, "
            f"tfinal={given['tfinal']}, total steps={total_steps}; shorten them"
        )
        yield Problem("peft.tfinal", message)


def _wrong_base(config: RunConfig) -> Iterator[Problem]:
    of, name = config.peft.own().get("base_model_name_or_path"), config.model.name_or_path
    if of is None or of in (name, model_location(config.model)) or Path(of).name == name:
        return
    message = f"is of the base {of}, but the model of this run is {name}; leave the key out"
    yield Problem("peft.base_model_name_or_path", message)


def _misfit(config: RunConfig, total_steps: int) -> Iterator[Problem]:
    name = config.peft.peft_type
    try:
        base, model_type = empty_model(config.model.name_or_path, labels=2)
        heads = heads_of(base, model_type)
        settings = any_peft_config(config.peft, model_type, heads, total_steps)
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            adapted = get_peft_model(base, settings)
        problems = attached_problems(config, adapted)
    except (NotImplementedError, RuntimeError):
        return  # it reads weights as it begins, and there are none: seen when it is attached
    except UserError as error:
        yield Problem("model.name_or_path", str(error))
    except Exception as error:
        yield Problem("peft", f"PEFT's {name} does not fit: {first_line(error)}")
    else:
        head = {*heads, "modules_to_save"}
        weights = {k: w for k, w in adapted.named_parameters() if w.requires_grad and w.numel()}
        if all(head & {*key.split(".")} for key in weights):
            yield Problem("peft", f"PEFT's {name} has nothing to train with these settings")
        yield from problems
