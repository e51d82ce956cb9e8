"""Everything a run needs before its first step: data, model, optimiser, schedule."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from ...config import LANGUAGE_KINDS, RunConfig
from ...errors import ConfigError, Problem, first_line
from ..data.inputs import reading
from ..data.load import Data, load_data
from ..data.prompts import Masking, encode_prompts
from ..data.stamps import data_files, stamps
from ..data.tokens import Encoded, encode
from ..kinds.generation import Generation
from ..kinds.kind import Predictions, TaskKind
from ..kinds.labelled import Labelled
from ..kinds.language import language_kind
from ..kinds.plain_text import readable_texts, text_loss
from ..models.accelerator import new_accelerator
from ..models.files import model_files, model_hash
from ..models.load import fresh_copy, load_base, load_tokenizer
from ..models.methods import attach
from .checkpoint import Progress
from .plan import check_schedule, plan_of
from .trainer import Trainer, named_dropout, optimizer_for, schedule_for


@dataclass(frozen=True)
class Prepared:
    """A run ready for its first step.

    Attributes:
        data: The splits as text.
        encoded: The same, tokenised.
        trainer: The loop, with model, optimiser and schedule inside.
        eval_batch_size: Examples per forward in an evaluation.
    """

    data: Data
    encoded: dict[str, Encoded]
    trainer: Trainer
    eval_batch_size: int

    def predict(self, split: str) -> Predictions:
        """Return the model's predictions for a split."""
        trainer = self.trainer
        return trainer.kind.predict(
            trainer.progress.model, self.encoded[split], self.eval_batch_size
        )


_inputs: dict[Any, tuple[Data, dict[str, Encoded], Masking | None]] = {}


def prepare(config: RunConfig) -> Prepared:
    """Load or take from memory what a run needs, and build its model, optimiser and schedule.

    Raises:
        ConfigError: Data, columns or model are missing.
        ValueError: The schedule does not fit the number of steps.
        UserError: The hub cannot be reached.
    """
    data, encoded, kind = load_inputs(config)
    base = load_base(config.model, data.outputs, data.kind == "regression")
    accelerator = new_accelerator(config.training)
    check_schedule(config, len(encoded["train"]))
    steps = plan_of(config, len(encoded["train"]))
    model, adaptive = attach(base, config, steps.total)
    if config.training.gradient_checkpointing:
        _compute_again(model, config)
    _name_classes(model, data.classes)
    adaptive.set_total_steps(steps.total)
    ratio = config.adapter.loraplus_lr_ratio if config.method == "lora-plus" else 1.0
    optimizer = optimizer_for(model.to(accelerator.device), config.training, base.heads, ratio)
    # In its `evaluation_mode` Accelerate leaves the mean over processes to us; see `processes`.
    model = accelerator.prepare_model(model, evaluation_mode=True)
    optimizer = accelerator.prepare_optimizer(optimizer)
    scheduler = schedule_for(optimizer, config.training, steps.total)
    named_dropout(config.seed)
    trainer = Trainer(
        accelerator=accelerator,
        progress=Progress(model, adaptive, optimizer, scheduler, accelerator.scaler),
        train=encoded["train"],
        training=config.training,
        kind=kind,
        seed=config.seed,
        plan=steps,
    )
    return Prepared(data, encoded, trainer, config.training.eval_batch_size)


def forgetting(prepared: Prepared, config: RunConfig) -> float | None:
    """Return the loss on plain text with what was trained, minus that of the model as it was.

    ``None`` where no text is named.

    Raises:
        ConfigError: The file of texts cannot be read.
    """
    if config.language.forgetting is None:
        return None
    trainer, tokenizer = prepared.trainer, load_tokenizer(config.model)
    texts = readable_texts(config.language.forgetting, tokenizer)
    base = load_base(config.model, None)
    # Shares the weights of the base, and computes on the device and in the precision of the run.
    before = fresh_copy(base, [], config.seed).to(trainer.accelerator.device)
    before = trainer.accelerator.prepare_model(before, evaluation_mode=True)
    after_loss, before_loss = (
        text_loss(model, tokenizer, texts, config.data.max_length, prepared.eval_batch_size)
        for model in (trainer.progress.model, before)
    )
    return after_loss - before_loss


def check_loading(config: RunConfig) -> None:
    """Load sentences and model as a run will, and let the model read the longest sentence.

    Where text is generated one token is, whatever the run will: this is on the CPU.
    What was loaded stays in memory, so that the run does not wait for it again.

    Raises:
        ConfigError: They cannot be loaded, or do not fit each other.
        UserError: The hub cannot be reached.
    """
    data, encoded, kind = load_inputs(config)
    base = load_base(config.model, data.outputs, data.kind == "regression")
    kind = kind.shortened() if isinstance(kind, Generation) else kind
    for split in encoded.values():
        longest = int(split.lengths.argmax())
        try:
            kind.predict(base.model, split.only(longest), 1)
        except (IndexError, RuntimeError, TypeError) as error:
            message = f"{config.model.name_or_path} cannot read a sentence of the data: {error}"
            raise ConfigError([Problem("model.name_or_path", message)]) from error


def _compute_again(model: Any, config: RunConfig) -> None:
    """Keep no activations inside layers: the backward pass computes them again.

    Raises:
        ConfigError: The model's class cannot.
    """
    try:
        with warnings.catch_warnings():
            # transformers 5.23 has a new name for it, which earlier ones lack.
            warnings.filterwarnings("ignore", message="`gradient_checkpointing_enable`")
            # The other kind finds no gradient where only what is inside a layer is trained.
            model.gradient_checkpointing_enable({"use_reentrant": False})
    except (ValueError, NotImplementedError) as error:
        message = f"{config.model.name_or_path} cannot: {first_line(error)}"
        raise ConfigError([Problem("training.gradient_checkpointing", message)]) from None


def _name_classes(model: Any, classes: tuple[str, ...]) -> None:
    """Write the class names into the model's configuration; numbers have no classes."""
    if classes:
        model.config.id2label = dict(enumerate(classes))
        model.config.label2id = {name: index for index, name in enumerate(classes)}


def load_inputs(config: RunConfig) -> tuple[Data, dict[str, Encoded], TaskKind]:
    """Return a run's examples, the same tokenised, and their kind of task.

    From memory, unless a file of the data or the model has changed since it was read.

    Raises:
        ConfigError: Data, columns or model are missing.
        UserError: The hub cannot be reached.
    """
    from transformers import DataCollatorWithPadding

    tokenizer = load_tokenizer(config.model)
    # Before they are read: files that change meanwhile are read again the next time.
    key = (reading(config), stamps(data_files(config)), model_hash(model_files(config.model)))
    if key not in _inputs:
        data = load_data(config)
        _inputs.clear()
        _inputs[key] = (data, *_encoded(data, tokenizer, config))
    data, encoded, masking = _inputs[key]
    if masking is not None:
        return data, encoded, language_kind(config, tokenizer, masking)
    assert data.kind in ("classification", "regression")
    return data, encoded, Labelled(data.kind, DataCollatorWithPadding(tokenizer))


def _encoded(
    data: Data, tokenizer: Any, config: RunConfig
) -> tuple[dict[str, Encoded], Masking | None]:
    if data.kind in LANGUAGE_KINDS:
        return encode_prompts(data, tokenizer, config)
    return encode(data, tokenizer, config.data.max_length), None
