"""Write a search space for a user's own file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from ...config import (
    READING,
    DataConfig,
    Kind,
    ModelConfig,
    RunConfig,
    Source,
    validate,
    with_overrides,
)
from ...errors import ConfigError, Problem
from ...experiments import check_model, modeline, write_schema
from ...store import command_line
from ...training import PACKAGED_MODEL, Inspection, inspect, read_architecture
from ..console.screen import tell

TEMPLATE = """\
{modeline}
# Written by `lora2-search init` from {file}.
{found}
name: {name}
task: custom

data:
  path: {path}
  text: {text}
  label: {label}
  kind: {kind}
{reading}  validation_size: {held_out}   # chosen on
  test_size: {held_out}         # only reported
  max_length: {max_length}

model:
  name_or_path: {model}

adapter:
  k: 8
  r: 8
  t_init: 0.1
  t_final: 0.5

training:
  epochs: {epochs}
  batch_size: {batch_size}
  head_lr: 1e-3
  warmup: 0.1
  evaluations: 5

# Any setting may be searched: name it with its dots.
search:
  training.lr: {{type: float, low: 5e-4, high: 2e-2, log: true}}
  adapter.k: {{type: categorical, choices: [4, 8, 16]}}
  adapter.target_rank: {{type: int, low: 2, high: 8}}
  adapter.gamma: {{type: float, low: 0.01, high: 1.0, log: true}}

{objective}sampler: {{name: tpe, seed: 0}}
scheduler: {{name: asha}}   # stops no trial before its rank budget is settled, after half a run
trials: 20
"""

# It may not be fetched yet, and need not be for a space.
_PACKAGED_POSITIONS = 512


def run_init(
    data: Path,
    model: str,
    out: Path | None,
    text: list[str] | None,
    label: str | None,
    kind: Kind | None,
    force: bool,
    settings: Sequence[str] = (),
) -> None:
    """Look at a file, say what it was taken for, and write a space for it.

    Raises:
        ConfigError: The file cannot serve, the model is missing, or the space exists already.
    """
    path = out or default_path(data)
    refuse_to_replace(path, force)
    found = inspect(data, text, label, kind, reading(settings))
    named, limit = checked_model(model)
    found = replace(found, max_length=min(found.max_length, limit or found.max_length))
    content = space_text(found, named, default_path(path).stem)
    write_space(content, path)
    for sentence in found.sentences():
        tell(sentence)
    print(
        "Wrong? Use --text COLUMN (twice for pairs), --label COLUMN, --kind classification or "
        "--kind regression."
    )
    print(f"Wrote {path}. Next: {command_line('tune', '--space', str(path))}")


def space_text(found: Inspection, model: str, name: str) -> str:
    """Return a space called ``name``, its training sized to the rows that the file holds."""
    batch_size = 32 if found.rows >= 500 else 16
    held_out = 0.1 if found.rows >= 1000 else 0.2
    positive = {"positive": found.rarest} if found.metric == "f1" else {}
    settings = found.settings | positive
    steps_an_epoch = max(1.0, found.rows * (1 - held_out) ** 2 / batch_size)
    return TEMPLATE.format(
        modeline=modeline(write_schema()),
        file=found.path.name,
        name=name,
        found="\n".join(f"# {sentence}" for sentence in found.sentences()),
        path=_scalar(str(found.path.expanduser().absolute())),
        text=_scalar(list(found.text)),
        label=_scalar(found.label),
        kind=found.kind,
        objective=f"objective: {{metric: {found.metric}}}\n" if found.metric else "",
        reading="".join(f"  {name}: {_scalar(value)}\n" for name, value in settings.items()),
        held_out=held_out,
        max_length=found.max_length,
        model=_scalar(model),
        # Below some 300 steps the published start hardly trains; big files need one pass or two.
        epochs=min(20, max(2, round(300 / steps_an_epoch))),
        batch_size=batch_size,
    )


def reading(assignments: Sequence[str]) -> DataConfig:
    """Return how a file is to be read, from ``data.separator=;`` and the like.

    Raises:
        ConfigError: A value is wrong, or another setting is named.
    """
    assigned = with_overrides(Source({"data": {}}), assignments)
    known = {("data", name) for name in READING}
    others = [
        Problem(".".join(path), f"init takes {', '.join(map('data.'.__add__, READING))}", place)
        for path, place in assigned.where.items()
        if path not in known
    ]
    if others:
        raise ConfigError(others)
    return validate(Source({**assigned.data, "task": "sentiment"}, assigned.where), RunConfig).data


def default_path(data: Path) -> Path:
    """Return ``my.yaml`` in the current folder for ``my.csv``, odd characters replaced."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", data.stem).strip("-._") or "space"
    return Path(f"{stem[:100]}.yaml")


def refuse_to_replace(path: Path, force: bool) -> None:
    """Check that a space may be written.

    Raises:
        ConfigError: The file exists (and ``force`` is false), or its folder is absent.
    """
    if path.exists() and not force:
        message = f"{path} exists; add --force to replace it, or name another file"
        raise ConfigError([Problem("--out", message)])
    if not path.parent.is_dir():
        raise ConfigError([Problem("--out", f"no folder {path.parent}; create it first")])


def write_space(text: str, path: Path) -> None:
    """Write a space once it is known to be valid: one that cannot run is never left behind.

    Raises:
        ConfigError: The space is not valid, or the file cannot be written.
    """
    from ...config.space import load_space

    draft = path.with_name(f"draft-{os.getpid()}.yaml")
    try:
        draft.write_text(text, encoding="utf-8")
        load_space(str(draft))
        draft.replace(path)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise ConfigError([Problem("--out", message)]) from None
    finally:
        draft.unlink(missing_ok=True)


def checked_model(model: str) -> tuple[str, int | None]:
    """Return the model as a space names it, and how many positions it has, where it tells.

    A folder is named by its absolute path, anything else as given.

    Raises:
        ConfigError: There is no such folder, or it has no ``config.json``, or a broken one.
        UserError: The hub cannot be reached, or has no such model.
    """
    if model == PACKAGED_MODEL:
        return model, _PACKAGED_POSITIONS
    limit = read_architecture(check_model(ModelConfig(name_or_path=model))).positions
    folder = Path(model).expanduser()
    return str(folder.absolute()) if folder.is_dir() else model, limit


def _scalar(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()
