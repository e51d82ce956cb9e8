"""``generate`` and ``eval``: a trained language model answers a prompt, or the rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas

from ..config import (
    LANGUAGE_KINDS,
    READING,
    TASKS,
    RunConfig,
    Source,
    validate,
    with_overrides,
)
from ..errors import ConfigError, Problem, RequestError, UserError, did_you_mean
from .find_run import FoundRun, find_run

if TYPE_CHECKING:
    from ..training import Scored

# What tells where a task's examples are; that of the run's own data fits no other.
_PLACES = ("path", "test_path", "revision", "text", "label", "kind", "messages", "options")

_TAKEN = ("data", "language")


@dataclass(frozen=True)
class Generated:
    """What a run answers to a prompt.

    Attributes:
        run: The run.
        prompt: As it was given.
        text: The answer.
    """

    run: FoundRun
    prompt: str
    text: str


@dataclass(frozen=True)
class Evaluated:
    """What a run scores on other data.

    Attributes:
        run: The run.
        task: The file or the packaged task.
        scored: Predictions and scores.
    """

    run: FoundRun
    task: str
    scored: Scored

    def frame(self) -> pandas.DataFrame:
        """Return a row per example: the prompt, the right answer, and what the model says."""
        return pandas.DataFrame(dict(self.scored.said.columns()))


def generate_text(
    run: str, prompt: str, storage: Path | None = None, most: int | None = None
) -> Generated:
    """Let a trained language model answer a prompt.

    Args:
        run: See `find_run`.
        prompt: What takes the place of a prompt, of a template's columns (a line for each), or of
            the user's turn.
        storage: Where ``studies/`` and ``suites/`` are.
        most: Tokens of the answer at most; default: as in the run's evaluations.

    Raises:
        ConfigError: The prompt has not a line for each column of the template, or there is no chat
            template.
        UserError: There is no such run, it is not complete, is of no language model, or has lost
            its adapter.
    """
    if not prompt.strip():
        raise RequestError("the prompt is blank; write one")
    try:
        prompt.encode()
    except UnicodeEncodeError:  # bytes of another encoding, as Python keeps them
        raise RequestError("the prompt is not valid UTF-8; write it in UTF-8") from None
    found = _language_run(run, storage)
    from ..training import TrainedLanguageModel

    model = TrainedLanguageModel(found.record, found.folder)
    return Generated(found, prompt, model.answer(prompt, most))


def evaluate_run(
    run: str, task: str, storage: Path | None = None, overrides: Sequence[str] = ()
) -> Evaluated:
    """Score a trained language model on other data.

    Args:
        run: See `find_run`.
        task: csv, tsv, jsonl, json or parquet, read as the run's own data were, every row of it;
            or the name of a packaged task, of which the test split is scored.
        storage: Where ``studies/`` and ``suites/`` are.
        overrides: Settings of ``data`` and ``language`` for this evaluation.

    Raises:
        ConfigError: The data cannot be read or lack a column.
        UserError: There is no such run, it is not complete, is of no language model, or has lost
            its adapter.
    """
    found = _language_run(run, storage)
    config = _on_other_data(found.config, task, overrides)
    from ..training import TrainedLanguageModel

    scored = TrainedLanguageModel(found.record, found.folder).score(config)
    return Evaluated(found, task, scored)


def _language_run(name: str, storage: Path | None) -> FoundRun:
    found = find_run(name, storage)
    found.check_complete()
    if not found.config.is_language:
        raise UserError(
            f"{found.what} is of no language model: it tells classes or numbers; use predict"
        )
    return found


def _on_other_data(config: RunConfig, task: str, overrides: Sequence[str]) -> RunConfig:
    plain: dict[str, Any] = config.model_dump(mode="python")
    data, own = plain["data"], TASKS.get(config.task)
    packaged = [name for name, known in TASKS.items() if known.kind in LANGUAGE_KINDS]
    if task in packaged:
        if task != config.task:
            data |= dict.fromkeys((*_PLACES, "template"))
        plain["task"] = task
    else:
        path = Path(task).expanduser()
        if not path.exists():
            hint = did_you_mean(task, packaged)
            raise UserError(f"--task {task}: no such file, nor a packaged task; {hint}")
        if own is not None:
            data |= {"kind": own.kind, "label": data["label"] or own.label}
            if not (data["template"] or data["messages"]):
                data["text"] = data["text"] or list(own.text)
        if not data["path"] or Path(data["path"]).suffix.lower() != path.suffix.lower():
            data |= dict.fromkeys(READING)
        plain["task"] = "custom"
        data |= {"path": str(path), "test_path": None, "revision": None}
    source = with_overrides(Source(plain), overrides)
    others = [
        Problem(".".join(key), "eval takes settings of data and language", place)
        for key, place in source.where.items()
        if key[0] not in _TAKEN
    ]
    if others:
        raise ConfigError(others)
    return validate(source, RunConfig)
