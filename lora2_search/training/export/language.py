"""A trained language model answers prompts, and is scored on rows that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import TASKS, RunConfig, with_settings
from ...errors import Argument, ConfigError, RequestError
from ...store import ADAPTER_FOLDER, RunRecord
from ..data.conversation import read_rows
from ..data.load import Data, load_data
from ..data.prompts import encode_prompts, prompt_tokens, turn_end
from ..data.reading.table import Table
from ..data.sources import read_tables
from ..data.splits import hash_of
from ..data.template import filled, template_of
from ..kinds.generation import ends_of, generate
from ..kinds.kind import Predictions
from ..kinds.language import language_kind
from ..models.accelerator import possible_precision
from ..models.fit import places_problem
from ..models.headers import architecture
from ..models.load import fresh_copy, load_base, load_tokenizer
from .chat import as_trained
from .reload import reload_model

# Of an answer, where the run itself generated none.
_MOST_TOKENS = 32


@dataclass(frozen=True)
class Scored:
    """What a run scores on other data.

    Attributes:
        said: Its predictions.
        scores: Metrics by name, the primary one first.
        left_out: Rows that lack text.
        notes: What was recognised and cut, in plain sentences.
    """

    said: Predictions
    scores: dict[str, float]
    left_out: int
    notes: tuple[str, ...]


class TrainedLanguageModel:
    """The language model that a run ended with, loaded once.

    Args:
        record: Of the run, which is complete and of a language model.
        folder: The run's folder.

    Raises:
        ConfigError: The pretrained model is missing.
        Damaged: The run's adapter is missing or cannot be loaded.
        UserError: The hub cannot be reached.
    """

    def __init__(self, record: RunRecord, folder: Path) -> None:
        config = as_trained(RunConfig.model_validate(record.config), folder / ADAPTER_FOLDER)
        self.config = config
        accelerator = possible_precision(config.training)
        base = load_base(config.model, None)
        model: Any = (
            fresh_copy(base, [], config.seed)
            if config.method == "no-training"
            else reload_model(base, config, folder / ADAPTER_FOLDER)
        )
        self._model = accelerator.prepare(model.to(accelerator.device)).eval()
        self._tokenizer = load_tokenizer(config.model)
        shape: Any = base.model.config
        self._positions = architecture(shape.to_dict()).positions

    def answer(self, prompt: str, most: int | None = None) -> str:
        """Return what the model writes after a prompt: always the likeliest token.

        The prompt is made of the text as those of the run's own examples: by the template of the
        run, of a packaged task, or of both, or as the user's turn of a conversation.

        Args:
            prompt: The text; a line for each column, where a template reads several.
            most: Tokens of the answer at most; default: as in the run's evaluations.

        Raises:
            ConfigError: The template needs other lines, or there is no chat template.
            RequestError: Prompt and answer are longer than the model's positions.
        """
        config, text = self.config, prompt
        task = TASKS.get(config.task)
        for template in (task.template if task else None, config.data.template):
            text = text if template is None else filled(template, text)
        tokens = prompt_tokens(text, self._tokenizer, config)
        most = most or config.language.max_new_tokens or _MOST_TOKENS
        self._check_places(len(tokens), most)
        found = generate(
            self._model,
            [tokens],
            pad=self._tokenizer.pad_token_id,
            ends=ends_of(self._model, self._tokenizer, turn_end(self._tokenizer, config)),
            most=most,
            batch_size=1,
        )
        return str(self._tokenizer.decode(found[0], skip_special_tokens=True))

    def _check_places(self, tokens: int, most: int) -> None:
        positions, needed = self._positions, tokens + most
        if positions is not None and needed > positions:
            raise RequestError(
                f"{self.config.model.name_or_path} has {positions} positions, but an answer takes "
                f"{needed}: the {tokens} tokens of its prompt and ",
                Argument("max_new_tokens", str(most)),
                "; lower one of the two",
            )

    def score(self, config: RunConfig) -> Scored:
        """Return what the model scores on other data.

        Args:
            config: The run's, with other ``data``, ``task`` or ``language``. Of a file all rows
                are scored, of a packaged task its test split.

        Raises:
            ConfigError: The data cannot be read, lack a column, or have texts longer than the
                model's positions.
        """
        data = _test_rows(config, self.config.task)
        encoded, masking = encode_prompts(data, self._tokenizer, config)
        if problem := places_problem(config, self._positions, [*encoded.values()]):
            raise ConfigError([problem])
        kind = language_kind(config, self._tokenizer, masking)
        said = kind.predict(self._model, encoded["test"], config.training.eval_batch_size)
        cut = masking.cut.get("test", 0)
        most = config.data.max_length
        notes = (*data.said, *([f"{cut:,} examples are longer than {most} tokens"] if cut else ()))
        return Scored(said, said.scores(data.metrics), data.left_out, notes)


def _test_rows(config: RunConfig, trained_on: str) -> Data:
    """Return what is scored as the one split of its data.

    Args:
        config: The run's, with other data.
        trained_on: The run's own task.
    """
    if config.task != "custom":
        data = load_data(config)
        splits, said, left_out = {"test": data.splits["test"]}, data.said, data.left_out
    else:
        tables = read_tables(config.task, config.data)
        config = _with_template(config, next(iter(tables.values())), trained_on)
        (rows,) = read_rows(tables, config).values()
        splits, left_out = {"test": rows.split}, rows.left_out
        said = tuple(line for table in tables.values() for line in table.said)
    return Data(
        kind=config.kind or "generation",
        metrics=config.language_metrics,
        classes=(),
        splits=splits,
        hash=hash_of(splits),
        left_out=left_out,
        said=said,
    )


def _with_template(config: RunConfig, table: Table, trained_on: str) -> RunConfig:
    """Return settings that read a file as the run's own task does, where it has its columns."""
    task, data = TASKS.get(trained_on), config.data
    if task is None or task.template is None or data.text != list(task.text):
        return config
    own = template_of(task.template).columns
    if data.text[0] in table.columns or not set(own) <= table.columns.keys():
        return config
    return with_settings(config, {"data.text": None, "data.template": task.template})
