"""What a language model learns from: prompts with completions, or conversations, as rows of text.

No tokenizer is needed to read them: what is wrong with a row is said with its line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...config import TASKS, RunConfig
from ...errors import ConfigError, Problem, did_you_mean, listed
from .options import options_in, right_option
from .reading.table import HALF, Table, encodes, shown
from .sources import check_columns
from .splits import Split
from .template import template_of
from .wrong import Wrong, WrongRows

ROLES = ("system", "user", "assistant", "tool")

# A conversation's turns, as tokenizers' chat templates take them.
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Rows:
    """The rows of one table that are complete.

    Attributes:
        split: ``texts`` are prompts and completions, prompts and options (JSON lists), or one
            column of conversations (JSON). The labels are the number of the right option, or 1:
            every example is to be answered right.
        left_out: How many rows lack a prompt, a conversation, or of a choice options or answer.
    """

    split: Split
    left_out: int


def read_rows(tables: Mapping[str, Table], config: RunConfig) -> dict[str, Rows]:
    """Return the rows of each table.

    Raises:
        ConfigError: A column is missing, a template cannot be rendered, a completion is blank, or a
            conversation is not one.
    """
    source = _source(config, next(iter(tables.values())))
    return {name: _rows(table, source) for name, table in tables.items()}


def messages_of(text: str) -> Messages:
    """Return a conversation that ``read_rows`` has kept as JSON."""
    messages: Messages = json.loads(text)
    return messages


# The texts of an example and its label; ``None`` for a row that lacks text.
_Row = tuple[tuple[str, ...], float]

_Cells = Mapping[str, str | None]

_RowReader = Callable[[_Cells], _Row | None]

Prompt = Callable[[_Cells], str | None]


@dataclass(frozen=True)
class _Source:
    """Which columns are read and how.

    Attributes:
        columns: By the setting that names each.
        key: The setting that mistakes in a row are reported under.
        nested: Columns that may hold lists.
        row: Makes the texts of an example of the cells of a row.
    """

    columns: Mapping[str, str]
    key: str
    nested: tuple[str, ...]
    row: _RowReader


def _source(config: RunConfig, table: Table) -> _Source:
    data, task = config.data, TASKS.get(config.task)
    if data.messages is not None:
        column = data.messages
        columns = {"data.messages": column}
        return _Source(columns, "data.messages", (column,), _conversation(column))
    default = "answer" if config.kind == "choice" else "completion"
    label = data.label or (task.label if task else default)
    columns = {"data.label": label}
    if data.template is not None:
        asks, prompt = "data.template", _template(data.template, table)
    else:
        name = data.text[0] if data.text else task.text[0] if task else "prompt"
        columns = {"data.text": name, **columns}
        asks, prompt = "data.text", _cell(name)
    if config.kind != "choice":
        return _Source(columns, "data.label", (), _completed(prompt, asks, label, task is None))
    options = data.options or "options"
    columns["data.options"] = options
    return _Source(columns, "data.options", (options,), _chosen(prompt, asks, options, label))


def _cell(name: str) -> Prompt:
    return lambda cells: cells[name]


def _rows(table: Table, source: _Source) -> Rows:
    plain = {key: name for key, name in source.columns.items() if name not in source.nested}
    check_columns(table, plain, table.source)
    _check_present(table, source.columns)
    kept: list[_Row] = []
    places: list[str] = []
    wrong = WrongRows(source.key)
    names = list(table.columns)
    for number, cells in enumerate(zip(*(c.cells for c in table.columns.values()), strict=True)):
        place = f"{table.place(number)} of {table.source}"
        with wrong.row(place):
            row = source.row(dict(zip(names, cells, strict=True)))
            if row is not None:
                kept.append(row)
                places.append(place)
    wrong.check()
    if not kept:
        named = ", ".join(map(shown, source.columns.values()))
        raise ConfigError([Problem(source.key, f"no row of {table.source} has text in {named}")])
    texts = tuple(zip(*(row for row, _ in kept), strict=True))
    labels = np.array([label for _, label in kept], dtype=np.float64)
    return Rows(Split(texts, labels, tuple(places)), len(table) - len(kept))


def _check_present(table: Table, columns: Mapping[str, str]) -> None:
    for key, name in columns.items():
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            raise ConfigError([Problem(key, f"no column {name!r} in {table.source}; {hint}")])


def _completed(prompt: Prompt, asks: str, label: str, own: bool) -> _RowReader:
    def row(cells: _Cells) -> _Row | None:
        text, completion = prompt(cells), cells[label]
        # What is published stays as it is; in a file of one's own it is to be mended.
        if text is None or (completion is None and not own):
            return None
        if not text.strip():
            raise Wrong("the prompt is blank; write one", asks)
        if completion is None or not completion.strip():
            raise Wrong(f"the completion, column {shown(label)}, is blank: nothing can be learnt")
        return (text, completion), 1.0

    return row


def _chosen(prompt: Prompt, asks: str, column: str, label: str) -> _RowReader:
    def row(cells: _Cells) -> _Row | None:
        text, cell, answer = prompt(cells), cells[column], cells[label]
        if text is None or cell is None or answer is None:
            return None
        if not text.strip():
            raise Wrong("the prompt is blank; write one", asks)
        lettered = options_in(cell)
        return (text, json.dumps([option for _, option in lettered])), right_option(
            answer, lettered
        )

    return row


def _template(text: str, table: Table) -> Prompt:
    """Return what renders a row: ``None`` where every column that the template reads is empty.

    A template sees the columns of its row and nothing else; an empty cell is an empty text.
    """
    template = template_of(text)
    used = template.columns
    unknown = sorted(name for name in used if name not in table.columns)
    if unknown:
        hint = did_you_mean(unknown[0], table.columns)
        message = f"no column {unknown[0]!r} in {table.source}; {hint}"
        raise ConfigError([Problem("data.template", message)])
    if not used:
        message = f"names no column; write {{{{ column }}}}, one of {listed(table.columns)}"
        raise ConfigError([Problem("data.template", message)])

    def render(cells: _Cells) -> str | None:
        empty = [name for name in used if cells[name] is None]
        if len(empty) == len(used):
            return None
        prompt = template.render({name: cells[name] or "" for name in used})
        return None if empty and not prompt.strip() else prompt

    return render


def _conversation(column: str) -> _RowReader:
    def row(cells: _Cells) -> _Row | None:
        cell = cells[column]
        return None if cell is None else ((json.dumps(_checked(cell), ensure_ascii=False),), 1.0)

    return row


def _checked(cell: str) -> Messages:
    try:
        turns = json.loads(cell)
    except (ValueError, RecursionError):
        raise Wrong(f"not a conversation: {shown(cell)}; {_FORM}") from None
    if not isinstance(turns, list) or not turns:
        raise Wrong(f"not a list of messages: {shown(cell)}; {_FORM}")
    messages = [_message(turn, number) for number, turn in enumerate(turns, 1)]
    if not encodes(json.dumps(messages, ensure_ascii=False)):
        raise Wrong(f"a message holds {HALF}")
    if messages[0]["role"] == "assistant":
        raise Wrong("the first message is the assistant's: there is nothing that it replies to")
    if messages[-1]["role"] != "assistant":
        raise Wrong(
            "the last message must be the assistant's, which is learnt, but is of role "
            f"{messages[-1]['role']}"
        )
    return messages


_FORM = 'write [{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]'


def _message(turn: object, number: int) -> dict[str, Any]:
    """Return a message with all that a chat template may read in it, such as ``tool_calls``."""
    if not isinstance(turn, dict) or "role" not in turn:
        raise Wrong(f"message {number} has no role and content; {_FORM}")
    role, content = turn["role"], turn.get("content")
    if role not in ROLES:
        raise Wrong(
            f"message {number} is of an unknown role: {shown(str(role))}; "
            f"{did_you_mean(str(role), ROLES)}"
        )
    calls = role == "assistant" and turn.get("tool_calls")
    if calls and content is None:
        content = ""
    if not isinstance(content, str):
        found = "null" if content is None else shown(json.dumps(content))
        raise Wrong(f"the content of message {number} must be text, but is {found}; {_FORM}")
    if role == "assistant" and not content.strip() and not calls:
        raise Wrong(f"message {number}, the assistant's, is blank: nothing can be learnt")
    told = {"role": role, "content": content}
    return told | {key: turn[key] for key in turn if key not in told and turn[key] is not None}
