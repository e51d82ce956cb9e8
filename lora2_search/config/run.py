"""The configuration of one run: typed once, strict, and named by what decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ..errors import ConfigError, Problem, nearest
from .adapter_settings import LORAS
from .messages import problems_of
from .peft_settings import PeftSettings
from .presets import with_presets
from .schema import (
    READING,
    AdapterConfig,
    AfterConfig,
    DataConfig,
    LanguageConfig,
    ModelConfig,
    Section,
    TrainingConfig,
)
from .tasks import CUSTOM_METRICS, GENERATED, LANGUAGE_KINDS, Kind
from .tasks import TASKS as TASK_OF
from .yaml import Source

Method = Literal[
    "lora2",
    "lora",
    "rslora",
    "pissa",
    "lora-plus",
    "dora",
    "adalora",
    "peft",
    "full",
    "head-only",
    "no-training",
]

# Those that spread a budget of singular values over the matrices while they train.
_ALLOCATING = ("lora2", "adalora")

Protocol = Literal["clean", "paper"]

GLUE_TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")

PACKAGED_TASKS = (
    *("sentiment", "ratings", "boolq", "reviews", "boolq-generation"),
    *("commonsense", "siqa", "asdiv"),
)

# Of the Hub, as GLUE; or of a folder, `data.path`.
METAMATH = "metamath"

TASKS = (*GLUE_TASKS, METAMATH, *PACKAGED_TASKS, "custom")

# What numpy's generator takes.
MOST_SEED = 2**32 - 1

# The key that tells what a file is, and the command that takes such a file.
_MARKS = {
    "search": "a search space; use tune --space",
    "arms": "an ablation suite; use ablate --suite",
    "factors": "an ablation suite; use ablate --suite",
    "designs": "an ablation suite; use ablate --suite",
}

# Settings that came later, by section.
_YOUNGER = {
    "adapter": ("gamma_u1", "init_lora_weights", "loraplus_lr_ratio"),
    "data": ("positive", "messages", "options", "template", *READING),
    "language": ("forgetting",),
    "model": ("dtype", "quantization", "attention"),
    "training": ("score_test", "gradient_checkpointing"),
}

# Methods that write into the weights of the model, by what they do.
_WRITE = {"full": "trains every weight", "pissa": "rewrites the weights that it adapts"}

Config = TypeVar("Config", bound="Section")


class RunConfig(Section):
    """Everything that decides the result of one run."""

    task: Literal[TASKS] = Field(  # type: ignore[valid-type]
        "custom", description="custom: your own file, `data.path`"
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: Method = Field(
        "lora2",
        description="full trains every weight; head-only trains only pooler and classifier; "
        "no-training takes a language model as it is",
    )
    adapter: AdapterConfig = AdapterConfig()
    peft: PeftSettings = PeftSettings()
    training: TrainingConfig = TrainingConfig()
    language: LanguageConfig = LanguageConfig()
    after: AfterConfig = AfterConfig()
    protocol: Protocol = Field(
        "clean", description="choose settings on a slice of train, or (paper) on dev"
    )
    seed: int = Field(
        0,
        ge=0,
        le=MOST_SEED,
        description="for the head, the factors, the order of examples and dropout",
    )

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        if self.task == "custom" and self.data.path is None:
            raise ValueError(
                "name a task or a file: set `task` to one of "
                f"{', '.join(TASKS[:-1])}, or `data.path` to a csv, tsv, jsonl or parquet file"
            )
        if problem := self._kind_problem() or self._model_problem():
            raise ValueError(problem)
        if self.method == "adalora" and (problem := self.adapter.adalora_problem()):
            raise ValueError(problem)
        if self.method in LORAS and (problem := self.adapter.no_rank_problem()):
            raise ValueError(problem)
        if self.starts_as_lora and (problem := self.adapter.lora_problem()):
            raise ValueError(problem)
        steps = self.training.steps
        if self.allocates and steps and (problem := self.adapter.schedule_problem(steps)):
            raise ValueError(f"adapter.{problem}")
        if problem := self.after.problem(self.method, self.adapter, self.peft.peft_type):
            raise ValueError(problem)
        return self

    def _kind_problem(self) -> str | None:
        """Say what does not fit the kind of task; ``None`` where all does."""
        if self.is_language:
            if self.method == "head-only":
                return (
                    "method head-only trains a classification head, and a language model has none; "
                    "take no-training, the model as it is"
                )
            if self.data.text is not None and len(self.data.text) > 1:
                return "a prompt is one column: name one in data.text, or write a data.template"
            given = [name for name in ("text", "messages", "template") if getattr(self.data, name)]
            if len(given) > 1:
                return f"data.{given[0]} and data.{given[1]} both give the prompt; leave one out"
            if self.kind == "choice" and self.data.messages is not None:
                return "data.messages is for data.kind: generation; options follow a prompt"
            if self.kind != "choice" and self.data.options is not None:
                return "data.options is for data.kind: choice"
            if self.language.train_on == "assistant" and self.data.messages is None:
                return "language.train_on: assistant is for conversations; name data.messages"
            return None
        if self.method == "no-training":
            return (
                "method no-training takes a language model as it is, and a classifier's head "
                f"begins at random; take head-only, or {self._as_text}"
            )
        for section, names in (("data", ("messages", "options", "template")), ("language", None)):
            values = getattr(self, section)
            known = type(values).model_fields
            for name in names or known:
                if getattr(values, name) != known[name].default:
                    return f"{section}.{name} is for language models; {self._as_text}"
        return None

    @property
    def _as_text(self) -> str:
        """Say how a task of classes or numbers becomes one of text."""
        if self.task == "custom":
            return "set data.kind: generation"
        twin = GENERATED.get(self.task)
        return f"take task {twin}" if twin else "take a task of text, such as reviews"

    def _model_problem(self) -> str | None:
        """Say what does not fit the way the model is kept in memory; ``None`` where all does."""
        model, mixed = self.model, self.training.mixed_precision
        if model.is_reduced:
            key = "quantization" if model.quantization else "dtype"
            setting = f"model.{key}={getattr(model, key)}"
            if not self.is_language:
                return f"model.{key} is for language models, but got {setting}; leave it out"
            if self.method in _WRITE:
                return (
                    f"method {self.method} {_WRITE[self.method]}, which must be float32, but got "
                    f"{setting}; leave it out, or take lora2 or lora"
                )
        if model.attention == "flash_attention_2" and (model.dtype, mixed) == ("float32", "no"):
            return (
                "model.attention=flash_attention_2 computes in 16 bits; set model.dtype to "
                "bfloat16, or training.mixed_precision to bf16 or fp16"
            )
        return None

    @property
    def is_language(self) -> bool:
        """Whether the model is a causal language model."""
        return self.kind in LANGUAGE_KINDS

    @property
    def kind(self) -> Kind | None:
        """The kind of task; ``None`` where the labels of a file decide."""
        task = TASK_OF.get(self.task)
        return task.kind if task else self.data.kind

    @property
    def language_metrics(self) -> tuple[str, ...]:
        """The metrics of a language model, the primary one first."""
        names = CUSTOM_METRICS[self.kind or "generation"]
        return names[1:] if self.is_judged_by_tokens else names

    @property
    def is_judged_by_tokens(self) -> bool:
        """Whether a language model gives no answers: it is judged by single tokens."""
        return self.kind == "generation" and not self.language.max_new_tokens

    @property
    def floor_method(self) -> str:
        """The method of the run that training must beat to have learnt anything."""
        return "no-training" if self.is_language else "head-only"

    @property
    def allocates(self) -> bool:
        """Whether the method has a budget schedule: LoRA² and AdaLoRA."""
        return self.method in _ALLOCATING

    @property
    def starts_as_lora(self) -> bool:
        """Whether `adapter.init_lora_weights` decides the start."""
        return self.method in LORAS and self.method != "pissa"

    @property
    def prunes(self) -> bool:
        """Whether ranks are cut while it trains; AdaLoRA, by either name, always cuts."""
        if self.method == "peft":
            return self.peft.peft_type == "ADALORA"
        return self.method == "adalora" or (self.method == "lora2" and self.adapter.prunes)

    @property
    def unpruned_end(self) -> int | float:
        """Steps at the end of training in which no rank is cut any more, or a fraction of all."""
        return self.peft.unpruned_end if self.method == "peft" else self.adapter.t_final

    def as_run_config(self) -> RunConfig:
        """Return the run's settings alone, without what a space or a suite adds to them."""
        return RunConfig(**{name: getattr(self, name) for name in RunConfig.model_fields})

    def identifying_settings(self) -> dict[str, Any]:
        """Return what tells the run from others, as JSON values."""
        settings = self.model_dump(mode="json")
        # They came later: runs that leave them at their defaults keep the name they had before.
        for section, names in _YOUNGER.items():
            default = type(getattr(self, section))().model_dump(mode="json")
            for name in names:
                if settings[section][name] == default[name]:
                    del settings[section][name]
        if self.method != "peft":
            del settings["peft"]
        if self.after == AfterConfig():
            del settings["after"]
        if self.language == LanguageConfig():
            del settings["language"]
        return settings

    def fingerprint(self) -> str:
        """Return 16 hex digits naming the run: equal for equal settings, whatever their order."""
        text = json.dumps(self.identifying_settings(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def validate(source: Source, kind: type[Config]) -> Config:
    """Turn a source into a configuration.

    Raises:
        ConfigError: Every mistake of the source, each with place, key and what would be right.
    """
    source.check_size()
    source = with_presets(source)
    if issubclass(kind, RunConfig):
        mark = next((mark for mark in _MARKS if mark in kind.model_fields), None)
        if (other := misplaced(source, mark)) is not None:
            raise ConfigError([other])
    return _validated(source, kind)


def _validated(source: Source, kind: type[Config]) -> Config:
    try:
        config = kind.model_validate(source.data)
    except ValidationError as error:
        raise source.error(problems_of(error, kind, source)) from None
    # Not a rule of the settings themselves: an older run that has such a kind is still read.
    if isinstance(config, RunConfig) and (problem := other_kind(config)):
        place = source.place(("data", "kind"))
        raise source.error([Problem("data.kind", problem, place)])
    return config


def other_kind(config: RunConfig) -> str | None:
    """Say that ``data.kind`` is not the kind of the task; ``None`` where it is, or says nothing."""
    asked = config.data.kind
    if asked in (None, config.kind):
        return None
    twin = GENERATED.get(config.task) if asked == "generation" else None
    remedy = f"take task {twin}" if twin else "leave it out"
    return f"is {asked}, but task {config.task} is {config.kind}; {remedy}"


def misplaced(source: Source, mark: str | None) -> Problem | None:
    """Say that a file is of another kind than the one asked for; ``None`` where it is not.

    Args:
        source: The file.
        mark: The key that tells the kind asked for: ``search`` of a space, ``arms`` of a suite,
            ``None`` for a run.
    """
    if mark in source.data:
        return None
    for other, what in _MARKS.items():
        if other in source.data:
            return Problem("", f"this is {what}", source.place((other,)))
    written = set(source.data) - {"name"}  # a file's own name may have been filled in
    if mark is None or not written or not written <= {*RunConfig.model_fields, "trials", "hours"}:
        return None
    message = f"this is a run configuration; use train --config, or add `{mark}` to it"
    return Problem("", message, source.name)


def mistyped(data: Mapping[str, Any], key: str) -> bool:
    """Whether ``key`` is absent but seems to be there under a misspelt name."""
    return (
        key not in data and nearest(key, map(str, data.keys() - RunConfig.model_fields)) is not None
    )


def with_settings(config: Config, settings: dict[str, Any]) -> Config:
    """Return ``config`` with dotted settings replaced: ``{"adapter.k": 4}``.

    Raises:
        ConfigError: A key is unknown or a value is wrong.
    """
    data = config.model_dump(mode="python")
    for key, value in settings.items():
        node = data
        *parents, last = key.split(".")
        for part in parents:
            child = node.get(part)
            node[part] = dict(child) if isinstance(child, dict) else {}
            node = node[part]
        node[last] = value
    return _validated(Source(data), type(config))


def setting_names(kind: type[BaseModel]) -> list[str]:
    """Return the dotted names of all settings of a configuration class."""
    return list(setting_fields(kind))


def setting_fields(kind: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Return how each setting of a configuration class is declared, by its dotted name.

    A section that may be left out (``Section | None``) is a setting too, beside those in it.
    """
    found: dict[str, FieldInfo] = {}
    for name, info in kind.model_fields.items():
        sections = [item for item in _alternatives(info.annotation) if _is_section(item)]
        if info.annotation not in sections:
            found[prefix + name] = info
        for section in sections:
            found |= setting_fields(section, f"{prefix}{name}.")
    return found


def known_values(info: FieldInfo) -> list[str]:
    """Return values of a setting as YAML writes them: its choices, else its default if plain."""
    types = _alternatives(info.annotation)
    if bool in types:
        return ["true", "false"]
    if choices := [str(c) for item in types if get_origin(item) is Literal for c in get_args(item)]:
        return choices
    if info.default is None:
        return ["null"]
    return [str(info.default)] if isinstance(info.default, int | float | str) else []


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union; of anything else, itself."""
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
