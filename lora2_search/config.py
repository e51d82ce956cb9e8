"""The configuration of one run: typed once, strict, and named by what decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import ConfigError, Problem, nearest
from .mistakes import problems_of
from .source import Source

Method = Literal["lora2", "lora", "head-only"]
Protocol = Literal["clean", "paper"]

GLUE_TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")
PACKAGED_TASKS = ("sentiment", "sentiment-rating")
TASKS = (*GLUE_TASKS, *PACKAGED_TASKS, "custom")

# The key that tells what a file is, and the command that takes such a file.
_MARKS = {
    "search": "a search space; use tune --space",
    "arms": "an ablation suite; use ablate --suite",
}

Config = TypeVar("Config", bound="Section")


class Section(BaseModel):
    """A frozen, strict part of a configuration: an unknown key or a wrong type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _steps_or_fraction(value: int | float) -> int | float:
    if value < 0 or (isinstance(value, float) and value >= 1):
        raise ValueError(
            f"must be a number of steps (0, 1, 2 ...) or a fraction below 1, got {value}"
        )
    return value


def _count_or_fraction(value: int | float) -> int | float:
    if value <= 0 or (isinstance(value, float) and value >= 1):
        raise ValueError(f"must be a count (1, 2 ...) or a fraction between 0 and 1, got {value}")
    return value


StepsOrFraction = Annotated[int | float, AfterValidator(_steps_or_fraction)]
CountOrFraction = Annotated[int | float, AfterValidator(_count_or_fraction)]


class ModelConfig(Section):
    """Which pretrained model is adapted."""

    name_or_path: str = Field("minilm", description="hub id, local folder or packaged `minilm`")
    revision: str | None = Field(None, description="hub commit; pin it for a reproducible study")
    trust_remote_code: bool = Field(False, description="run code that the model brings")
    layers: int | None = Field(None, ge=1, description="keep only the first n encoder layers")
    classifier_dropout: float | None = Field(
        None, ge=0, lt=1, description="default: the model's own"
    )


class DataConfig(Section):
    """Where the sentences come from and how they are split.

    ``split_seed`` alone decides the splits, so every seed of a suite sees the same test sentences.
    """

    path: str | None = Field(None, description="csv, tsv, jsonl, parquet or GLUE-shaped folder")
    test_path: str | None = Field(None, description="held-out file; else a slice of `path`")
    revision: str | None = Field(None, description="hub commit of the data set")
    text: list[str] | None = Field(None, min_length=1, max_length=2, description="text column(s)")
    label: str | None = Field(None, description="label column")
    kind: Literal["classification", "regression"] | None = Field(
        None, description="default: told from the labels"
    )
    train_size: int | None = Field(None, ge=2, description="use at most n training sentences")
    validation_size: CountOrFraction = Field(0.1, description="slice of train to choose on")
    test_size: CountOrFraction = Field(0.1, description="slice held out where no test set exists")
    max_length: int = Field(128, ge=2, description="tokens; longer inputs are cut")
    split_seed: int = Field(0, ge=0, description="decides the splits, whatever `seed` is")


class AdapterConfig(Section):
    """The adapter (arXiv 2408.06854). Step counts may be fractions of all steps."""

    k: int = Field(8, ge=1, description="width of the outer plane")
    r: int = Field(8, ge=1, description="width of the inner plane: the starting rank")
    target_rank: int | None = Field(None, ge=1, description="mean rank left after pruning")
    lora_alpha: float = Field(16.0, gt=0, description="the increment is scaled by lora_alpha / r")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="on the adapter's input")
    gamma: Annotated[float, Field(ge=0)] | list[Annotated[float, Field(ge=0)]] = Field(
        0.1, description="weight of the orthogonality regularisers; or one a plane"
    )
    init: Literal["gaussian", "orthonormal"] = Field(
        "gaussian", description="start of the four factors; λ starts at 0"
    )
    init_std: float = Field(0.02, gt=0, description="of the Gaussian start")
    scoring: Literal["reduced", "random", "none"] = Field(
        "reduced", description="which singular values survive; none prunes nothing"
    )
    t_init: StepsOrFraction = Field(0.1, description="steps before pruning begins")
    t_final: StepsOrFraction = Field(0.5, description="steps after pruning has ended")
    delta_t: StepsOrFraction = Field(1, description="steps between two prunings")
    beta1: float = Field(0.85, gt=0, lt=1, description="decay of the averaged sensitivity")
    beta2: float = Field(0.85, gt=0, lt=1, description="decay of the averaged uncertainty")
    target_modules: list[str] | str | None = Field(
        None, description="default: all linear layers of each block"
    )

    @property
    def prunes(self) -> bool:
        """Whether anything is to be cut: a scoring, and a target below the starting rank."""
        return self.scoring != "none" and self.target_rank not in (None, self.r)

    @model_validator(mode="after")
    def _check(self) -> AdapterConfig:
        if self.target_rank is not None and self.target_rank > self.r:
            raise ValueError(
                f"target_rank must be at most r, but got target_rank={self.target_rank}, r={self.r}"
            )
        both = (self.t_init, self.t_final)
        if all(isinstance(value, float) for value in both) and sum(both) >= 1:
            raise ValueError(
                "t_init + t_final must be less than the total steps (fractions: less than 1), "
                f"but got t_init={self.t_init}, t_final={self.t_final}"
            )
        if isinstance(self.gamma, list) and len(self.gamma) != 2:
            raise ValueError(f"gamma must be one number or one per plane (2), got {self.gamma}")
        return self

    def schedule_problem(self, total_steps: int) -> str | None:
        """Say why the budget schedule does not fit ``total_steps``; ``None`` where it does."""
        first, last = (
            value if isinstance(value, int) else int(value * total_steps)
            for value in (self.t_init, self.t_final)
        )
        if first + last < total_steps:
            return None
        return (
            f"t_init + t_final must be less than the total steps, but got t_init={first}, "
            f"t_final={last}, total steps={total_steps}; shorten them, or write fractions"
        )


class TrainingConfig(Section):
    """The training loop. `lr` drives the adapter, `head_lr` the classification head."""

    epochs: float = Field(3.0, gt=0, description="passes over the training sentences")
    steps: int | None = Field(None, ge=1, description="optimiser steps; wins over `epochs`")
    batch_size: int = Field(32, ge=1, description="sentences per forward")
    accumulation: int = Field(1, ge=1, description="forwards per optimiser step")
    lr: float = Field(1e-3, gt=0, description="of the adapter")
    head_lr: float | None = Field(None, gt=0, description="of pooler and classifier; default: `lr`")
    weight_decay: float = Field(0.0, ge=0, description="not on biases")
    warmup: StepsOrFraction = Field(0.1, description="steps of rising learning rate")
    lr_schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="after the warm-up"
    )
    max_grad_norm: float | None = Field(1.0, gt=0, description="null clips nothing")
    mixed_precision: Literal["no", "fp16", "bf16"] = Field("no", description="of Accelerate")
    evaluations: int = Field(5, ge=1, description="equal intervals, each ending in an evaluation")
    eval_batch_size: int = Field(64, ge=1, description="sentences per forward")
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU where there is one")


class RunConfig(Section):
    """Everything that decides the result of one run."""

    task: Literal[TASKS] = Field(  # type: ignore[valid-type]
        "custom", description="custom: a file of your own, `data.path`"
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    method: Method = Field("lora2", description="head-only trains pooler and classifier alone")
    adapter: AdapterConfig = AdapterConfig()
    training: TrainingConfig = TrainingConfig()
    protocol: Protocol = Field("clean", description="choose on a slice of train, or (paper) on dev")
    seed: int = Field(0, ge=0, description="of head, factors, order and dropout")

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        if self.task == "custom" and self.data.path is None:
            raise ValueError(
                "name a task or a file: set `task` to one of "
                f"{', '.join(TASKS[:-1])}, or `data.path` to a csv, tsv, jsonl or parquet file"
            )
        steps = self.training.steps
        if self.method == "lora2" and steps and (problem := self.adapter.schedule_problem(steps)):
            raise ValueError(f"adapter.{problem}")
        return self

    def fingerprint(self) -> str:
        """Return 16 hex digits naming the run: equal for equal settings, whatever their order."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def validate(source: Source, kind: type[Config]) -> Config:
    """Turn a source into a configuration.

    Raises:
        ConfigError: Every mistake of the source, each with place, key and what would be right.
    """
    if issubclass(kind, RunConfig):
        mark = next((mark for mark in _MARKS if mark in kind.model_fields), None)
        if (other := misplaced(source, mark)) is not None:
            raise ConfigError([other])
    try:
        return kind.model_validate(source.data)
    except ValidationError as error:
        raise ConfigError(problems_of(error, kind, source)) from None


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
    return validate(Source(data), type(config))


def setting_names(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings of a configuration class."""
    names: list[str] = []
    for name, info in kind.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names += setting_names(inner, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names
