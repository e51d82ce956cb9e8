"""MetaMathQA to learn from and GSM8K to be judged by, as in PEFT's method comparison.

Source: huggingface/peft, ``method_comparison/MetaMathQA``, at 5d602fd.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...config import DataConfig
from ...errors import ConfigError, Problem, UserError, did_you_mean, first_line
from ...store import display_path
from .reading.file import read_file
from .reading.table import Column, Table

METAMATH_ID = "meta-math/MetaMathQA"

METAMATH_REVISION = "aa4f34d3d2d3231299b5b03d9b3e5a20da45aa18"

GSM8K_ID = "openai/gsm8k"

GSM8K_REVISION = "740312add88f781978c0658806c59bc2815b9866"

# Of a query and its response, with a blank between them; 94 % of the rows are no longer.
_MOST_CHARACTERS = 1300

# Where the files lie in a folder, as the Hub's two repositories have them.
_TRAIN = "MetaMathQA/*.json"
_GSM8K = "gsm8k/main/{}-*.parquet"

_QUESTION = ("question", "answer")


def metamath_tables(data: DataConfig) -> dict[str, Table]:
    """Return ``train``, ``validation`` and ``test``, each with columns ``query`` and ``response``.

    ``train`` is MetaMathQA without its longest rows, ``test`` is GSM8K's test set. ``validation``
    is ``data.validation_size`` of GSM8K's training questions, always those that PEFT draws.

    Raises:
        ConfigError: A file or a column is missing in ``data.path``, or a file cannot be read.
        UserError: The Hub cannot be reached.
    """
    if data.path is None:
        learnt, asked, test = _from_hub(data)
    else:
        folder = Path(data.path).expanduser()
        learnt = _columns(_local(folder, _TRAIN), ("query", "response"))
        asked, test = (
            _columns(_local(folder, _GSM8K.format(split)), _QUESTION) for split in ("train", "test")
        )
    lengths = (
        len(query or "") + 1 + len(response or "")
        for query, response in zip(
            *(column.cells for column in learnt.columns.values()), strict=True
        )
    )
    short = [row for row, length in enumerate(lengths) if length <= _MOST_CHARACTERS]
    return {"train": _rows(learnt, short), "validation": _drawn(asked, data), "test": test}


def metamath_files(folder: Path) -> list[Path]:
    """Return the files that are read of a folder."""
    patterns = (_TRAIN, _GSM8K.format("train"), _GSM8K.format("test"))
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _drawn(table: Table, data: DataConfig) -> Table:
    size = data.validation_size
    count = size if isinstance(size, int) else max(1, round(size * len(table)))
    if count > len(table):
        message = f"is {count:,}, but GSM8K has {len(table):,} training questions; make it smaller"
        raise ConfigError([Problem("data.validation_size", message)])
    order = np.arange(len(table))
    np.random.RandomState(0).shuffle(order)
    return _rows(table, order[:count].tolist())


def _rows(table: Table, rows: list[int]) -> Table:
    columns = {
        name: replace(column, cells=tuple(column.cells[row] for row in rows))
        for name, column in table.columns.items()
    }
    return replace(table, columns=columns, places=tuple(table.places[row] for row in rows))


def _columns(table: Table, names: tuple[str, str]) -> Table:
    """Return the columns of a question and its answer, as ``query`` and ``response``."""
    for name in names:
        if name not in table.columns:
            hint = did_you_mean(name, table.columns)
            message = f"no column {name!r} in {table.source}; {hint}"
            raise ConfigError([Problem("data.path", message)])
    return replace(
        table, columns={"query": table.columns[names[0]], "response": table.columns[names[1]]}
    )


def _local(folder: Path, pattern: str) -> Table:
    found = sorted(folder.glob(pattern))
    if not found:
        message = (
            f"no {pattern} in {display_path(folder)}; it must hold the Hub's repositories "
            f"{METAMATH_ID} and {GSM8K_ID} as MetaMathQA and gsm8k"
        )
        raise ConfigError([Problem("data.path", message)])
    if len(found) > 1:
        message = f"{len(found)} files are named {pattern} in {display_path(folder)}; keep one"
        raise ConfigError([Problem("data.path", message)])
    return read_file(found[0], "data.path")


def _from_hub(data: DataConfig) -> tuple[Table, Table, Table]:
    from datasets import load_dataset

    try:
        learnt = load_dataset(
            METAMATH_ID, split="train", revision=data.revision or METAMATH_REVISION
        )
        gsm8k = load_dataset(GSM8K_ID, "main", revision=GSM8K_REVISION)
    except (OSError, ValueError) as error:
        # datasets reports an unreachable hub as ConnectionError (an OSError) or ValueError.
        raise UserError(
            f"cannot load {METAMATH_ID} and {GSM8K_ID} from the Hub: {first_line(error)}\n"
            "offline, set data.path to a folder that holds both"
        ) from None
    return (
        _table("MetaMathQA", learnt["query"], learnt["response"]),
        _table("GSM8K's training set", *(gsm8k["train"][name] for name in _QUESTION)),
        _table("GSM8K's test set", *(gsm8k["test"][name] for name in _QUESTION)),
    )


def _table(source: str, queries: Iterable[str], responses: Iterable[str]) -> Table:
    columns = {
        "query": Column(tuple(queries), "text"),
        "response": Column(tuple(responses), "text"),
    }
    return Table(source, columns, tuple(range(1, len(columns["query"].cells) + 1)))
