"""The sections of a run's configuration: model, data, adapter, training."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .adapter_settings import AdapterSettings, Rule
from .vocabulary import Allocation, LoraInit


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


def _two_or_fraction(value: int | float) -> int | float:
    if value == 1 or isinstance(value, int) and value < 2:
        raise ValueError(f"must be at least 2 examples, or a fraction between 0 and 1, got {value}")
    return _count_or_fraction(value)


def _mean_rank(value: int | float) -> int | float:
    # 4.0 is 4: two ways to write one setting would make two runs of one.
    return int(value) if value == int(value) else value


def _separator(name: str) -> str:
    separator = {"tab": "\t", "\\t": "\t", "bar": "|"}.get(name, name)
    if len(separator) != 1 or separator in '"\r\n\0' or separator.isalnum():
        raise ValueError(
            f"must be one character that is no letter, digit or quote, `tab` or `bar`, got {name!r}"
        )
    return separator


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError):
        raise ValueError(
            f"no encoding of that name: {name!r}; for example utf-8, utf-16, cp1252, latin-1"
        ) from None
    return name


StepsOrFraction = Annotated[int | float, AfterValidator(_steps_or_fraction)]

MeanRank = Annotated[int | float, Field(ge=0), AfterValidator(_mean_rank)]

CountOrFraction = Annotated[int | float, AfterValidator(_count_or_fraction)]

TrainSize = Annotated[int | float, AfterValidator(_two_or_fraction)]


class ModelConfig(Section):
    """Which pretrained model is adapted."""

    name_or_path: str = Field(
        "minilm",
        description="hub id, local folder or packaged: `minilm`, an encoder, or `smollm2`, a "
        "decoder",
    )
    revision: str | None = Field(None, description="hub commit; pin it for a reproducible study")
    trust_remote_code: bool = Field(False, description="run code that comes with the model")
    layers: int | None = Field(None, ge=1, description="keep only the first n layers")
    classifier_dropout: float | None = Field(
        None, ge=0, lt=1, description="default: the model's own"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of a language model's frozen weights, and of what is computed with them; what "
        "is trained beside them stays float32",
    )
    quantization: Literal["nf4"] | None = Field(
        None,
        description="nf4: the linear layers of a language model in 4 bits, doubly quantised "
        "(bitsandbytes); they compute in `model.dtype`",
    )
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        None, description="how transformers computes attention; default: its own choice"
    )

    @property
    def is_reduced(self) -> bool:
        """Whether the weights are kept in fewer bits than they would be trained in."""
        return self.quantization is not None or self.dtype != "float32"


class DataConfig(Section):
    """Where the sentences come from and how they are split.

    ``split_seed`` alone decides the splits, so every seed of a suite sees the same test sentences.
    """

    path: str | None = Field(
        None, description="csv, tsv, jsonl, json, parquet or GLUE-shaped folder"
    )
    test_path: str | None = Field(None, description="held-out file; else a slice of `path`")
    revision: str | None = Field(None, description="hub commit of the data set")
    text: list[str] | None = Field(
        None,
        min_length=1,
        max_length=2,
        description="text column(s); with generation the prompt's, by default `prompt`",
    )
    label: str | None = Field(
        None,
        description="label column; with generation the completion's, by default `completion`; "
        "with choice the right option's, by default `answer`",
    )
    kind: Literal["classification", "regression", "generation", "choice"] | None = Field(
        None,
        description="default: classification or regression, decided from the labels; "
        "generation: a causal language model learns to complete a prompt; choice: to prefer the "
        "right one of several completions",
    )
    messages: str | None = Field(
        None, description="with generation: the column of conversations, instead of prompts"
    )
    options: str | None = Field(
        None,
        description="with choice: the column of options, lists or lines; default: `options`",
    )
    template: str | None = Field(
        None,
        description="with generation and choice: Jinja text over the columns that gives the "
        "prompt, such as `Review: {{ text }}`",
    )
    positive: str | None = Field(
        None,
        description="with two classes, the class whose F1 is `f1`; default: the second by name",
    )
    separator: Annotated[str, AfterValidator(_separator)] | None = Field(
        None, description="field separator: a character, `tab` or `bar`; default: detected"
    )
    quotes: bool | None = Field(
        None, description='whether `"` encloses fields or is a character; default: detected'
    )
    header: bool | None = Field(
        None, description="whether the first line names the columns; if not, they are `0`, `1` …"
    )
    encoding: Annotated[str, AfterValidator(_encoding)] | None = Field(
        None,
        description="encoding of csv, tsv and json; default: UTF-8, or what a byte order mark says",
    )
    train_size: TrainSize | None = Field(
        None, description="use at most n training examples, or a fraction of them"
    )
    validation_size: CountOrFraction = Field(
        0.1, description="slice of train for choosing settings"
    )
    test_size: CountOrFraction = Field(0.1, description="slice held out if there is no test set")
    max_length: int = Field(128, ge=2, description="in tokens; longer inputs are truncated")
    split_seed: int = Field(0, ge=0, description="decides the splits, independently of `seed`")


# How a file is read, where it does not tell so itself.
READING = ("separator", "quotes", "header", "encoding")

# Runs that differ in one of these are not scored on the same test sentences.
SENTENCE_SETTINGS = (
    "task",
    *(
        f"data.{name}"
        for name in (
            *("path", "test_path", "revision", "text", "label", "kind", "split_seed"),
            *("positive", "messages", "options", "template", *READING),
        )
    ),
    "data.test_size",
)

# What decides which answers of a language model are right.
JUDGING_SETTINGS = ("language.answer",)

_RULES: dict[str, Rule] = {item.name: item.metadata["rule"] for item in fields(AdapterSettings)}

# What LoRA² alone does not look at.
NOT_LORA2 = ("init_lora_weights", "loraplus_lr_ratio")


class AdapterConfig(Section, AdapterSettings):
    """The adapter (arXiv 2408.06854). Step counts may be fractions of all steps."""

    # A default is written in records as its type is: 16.0, not 16.
    model_config = ConfigDict(validate_default=True)

    # Narrower in YAML: one way to write a rank, and no sets.
    target_rank: Annotated[int | float, AfterValidator(_mean_rank)] | None = None
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    init_lora_weights: LoraInit = Field(
        "default",
        description="LoRA factors, as in PEFT; orthonormal: rows of A, B = 0; not for pissa",
    )
    loraplus_lr_ratio: float = Field(
        16.0, ge=1, description="method lora-plus: learning rate of B as a multiple of that of A"
    )

    def lora2_settings(self) -> dict[str, Any]:
        """Return what ``Lora2Config`` takes: all but what only PEFT's own methods look at."""
        return self.model_dump(exclude=set(NOT_LORA2))

    @field_validator("*")
    @classmethod
    def _check_rule(cls, value: Any, info: ValidationInfo) -> Any:
        rule = _RULES.get(info.field_name or "")
        if rule is not None and value is not None:
            rule(value)
        return value

    @model_validator(mode="after")
    def _check_together(self) -> AdapterConfig:
        self.check_together()
        return self

    def adalora_problem(self) -> str | None:
        """Say why PEFT's AdaLoRA cannot run with these settings; ``None`` where it can."""
        if isinstance(self.target_rank, float) or self.target_rank == 0:
            return (
                "method adalora ends at a whole number of ranks, at least 1, but got "
                f"adapter.target_rank={self.target_rank}"
            )
        if self.target_rank is None or self.target_rank >= self.r:
            return (
                "method adalora must end below the rank that it starts with, but got "
                f"adapter.target_rank={self.target_rank}, adapter.r={self.r}; set "
                "adapter.target_rank below adapter.r, or take method lora, which keeps its rank"
            )
        if self.orthogonality == "hard" or isinstance(self.gamma, list):
            return (
                "method adalora has one plane and keeps it orthonormal softly, but got "
                f"adapter.orthogonality={self.orthogonality}, adapter.gamma={self.gamma}; set "
                "adapter.orthogonality to soft or none and adapter.gamma to one number"
            )
        if self.rank_pattern is not None:
            return (
                "method adalora starts every matrix with the same rank, but got "
                f"adapter.rank_pattern={self.rank_pattern}; leave it out"
            )
        return None

    def no_rank_problem(self) -> str | None:
        """Say which matrix would get no rank, which PEFT's LoRA refuses; ``None`` where none."""
        empty = next((name for name, rank in (self.rank_pattern or {}).items() if rank == 0), None)
        if empty is None:
            return None
        return (
            f"a LoRA has at least rank 1, but got adapter.rank_pattern.{empty}=0; leave the module "
            "out with adapter.exclude_modules"
        )

    def lora_problem(self) -> str | None:
        """Say why PEFT's LoRA cannot start with these settings; ``None`` where it can."""
        ranks = {"r": self.r} | {
            f"rank_pattern.{m}": r for m, r in (self.rank_pattern or {}).items()
        }
        odd = next((name for name, rank in ranks.items() if rank % 2), None)
        if self.init_lora_weights != "orthogonal" or odd is None:
            return None
        return (
            "init_lora_weights orthogonal needs even ranks, because PEFT deals one orthogonal "
            f"matrix out to A and B, but got adapter.{odd}={ranks[odd]}; set it to an even number, "
            "or init_lora_weights to orthonormal"
        )

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


def _pattern(pattern: str) -> str:
    import regex

    try:
        groups = re.compile(pattern).groups
        # It looks for answers, since it can be given a time limit.
        regex.compile(pattern)
    except (re.error, regex.error) as error:
        raise ValueError(f"not a regular expression: {error}, got {pattern!r}") from None
    if groups > 1:
        raise ValueError(f"must have one group at most, the answer, got {pattern!r}")
    return pattern


class LanguageConfig(Section):
    """Text to generate: what is learnt of an example, and how an answer is judged.

    Decoding is greedy, always.
    """

    train_on: Literal["completion", "all", "assistant"] = Field(
        "completion",
        description="tokens with a loss: of the completion (with messages, of the last turn), of "
        "every assistant turn, or all",
    )
    system: str | None = Field(
        None, description="system prompt of conversations that have none of their own"
    )
    chat_template: str | None = Field(
        None, description="file with a Jinja chat template; default: the tokenizer's"
    )
    max_new_tokens: int = Field(
        32,
        ge=0,
        description="an answer ends there, or before at the end-of-sequence token; 0: nothing is "
        "generated, and token_accuracy is the primary metric",
    )
    answer: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None,
        description="regular expression whose last match in a text (its group, if it has one) is "
        "the answer; default: the whole text",
    )
    forgetting: str | None = Field(
        None,
        description="text file (a blank line between two texts), or jsonl with a column `text`: "
        "the loss on its first 100 texts after training, minus that of the model as it was, is "
        "recorded",
    )


class AfterConfig(Section):
    """What is done to the adapter once it is trained; nothing by default."""

    svd_rank: Annotated[MeanRank, Field(gt=0)] | None = Field(
        None, description="cut lora2, adalora or a LoRA to this mean rank by truncated SVD"
    )
    svd_allocation: Allocation = Field(
        "global", description="one budget for all matrices, or svd_rank in each"
    )

    def problem(self, method: str, adapter: AdapterConfig, peft_type: str | None) -> str | None:
        """Say why a run of this method cannot be cut so; ``None`` where it can.

        Args:
            method: The run's.
            adapter: Its section.
            peft_type: PEFT's name of the method, of method ``peft``. What PEFT's own settings ask
                for is known once PEFT has read them.
        """
        if self.svd_rank is None:
            return None
        if method == "peft":
            return self._problem_of_peft(peft_type)
        if method in _UNCUTTABLE:
            return (
                f"after.svd_rank cuts an increment of low rank, but method {method} "
                f"{_UNCUTTABLE[method]}; leave it out, or take lora2, lora or adalora"
            )
        if self.svd_rank > adapter.r:
            return (
                "after.svd_rank must be at most adapter.r, the rank that is trained, but got "
                f"after.svd_rank={self.svd_rank}, adapter.r={adapter.r}"
            )
        if method == "lora2" and adapter.target_rank == 0:
            return "after.svd_rank has nothing to cut where adapter.target_rank is 0; leave it out"
        return None

    def _problem_of_peft(self, peft_type: str | None) -> str | None:
        if peft_type in (None, *_CUTTABLE_OF_PEFT):
            return None
        return (
            f"after.svd_rank cuts an increment of low rank, which of PEFT's methods "
            f"{' and '.join(_CUTTABLE_OF_PEFT)} have, but got peft.peft_type={peft_type}; leave it "
            "out, or take one of them"
        )


# Methods whose increment is not of low rank, and why.
_UNCUTTABLE = {
    "dora": "also rescales the rows of every weight",
    "pissa": "also rewrites the weights that it adapts",
    "full": "trains every weight",
    "head-only": "has no adapter",
    "no-training": "has no adapter",
}

_CUTTABLE_OF_PEFT = ("LORA", "ADALORA")


class TrainingConfig(Section):
    """The training loop. `lr` drives the adapter, `head_lr` the classification head."""

    epochs: float = Field(3.0, gt=0, description="passes over the training examples")
    steps: int | None = Field(
        None, ge=1, description="optimiser steps; takes precedence over `epochs`"
    )
    batch_size: int = Field(32, ge=1, description="examples per forward pass")
    accumulation: int = Field(1, ge=1, description="forward passes per optimiser step")
    lr: float = Field(1e-3, gt=0, description="learning rate of the adapter")
    head_lr: float | None = Field(
        None, gt=0, description="learning rate of pooler and classifier; default: `lr`"
    )
    weight_decay: float = Field(0.0, ge=0, description="not applied to biases")
    warmup: StepsOrFraction = Field(0.1, description="steps during which the learning rate rises")
    lr_schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="shape after the warm-up"
    )
    max_grad_norm: float | None = Field(1.0, gt=0, description="null: no clipping")
    mixed_precision: Literal["no", "fp16", "bf16"] = Field("no", description="passed to Accelerate")
    gradient_checkpointing: bool = Field(
        False,
        description="compute activations again in the backward pass: less memory, more time",
    )
    evaluations: int = Field(
        5, ge=1, description="number of equal intervals, each ending in an evaluation"
    )
    eval_batch_size: int = Field(64, ge=1, description="examples per forward pass")
    diagnostics: int = Field(
        1, ge=0, description="evaluations between two measurements of planes and ranks; 0: none"
    )
    score_test: bool = Field(
        True, description="score the test split at the end; tuning runs of a suite never do"
    )
    device: Literal["auto", "cpu"] = Field("auto", description="auto: a GPU if there is one")
