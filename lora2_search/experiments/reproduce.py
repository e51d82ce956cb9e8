"""``reproduce``: train a run again, and compare what both left behind to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig, with_settings
from ..store import ADAPTER_FOLDER, PREDICTIONS_FILE, RunRecord, reading
from .find_run import FoundRun, find_run
from .request import Request, RunOptions
from .train import resolve_run, run_folder, train_run

if TYPE_CHECKING:
    import pandas
    from torch import Tensor


@dataclass(frozen=True)
class Reproduction:
    """A run that was trained again.

    Attributes:
        run: The run.
        name: The name of the new one.
        folder: Its folder.
        compared: What both left behind and was compared: ``scores``, ``adapter`` ...
        missing: What could not be compared, one sentence each.
        differences: What came out otherwise, one sentence each; empty where all is equal, bit for
            bit.
        reasons: In what the two were made differently: code, versions, device, threads, files.
    """

    run: FoundRun
    name: str
    folder: Path
    compared: tuple[str, ...]
    missing: tuple[str, ...]
    differences: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether everything that was compared is equal, bit for bit."""
        return not self.differences


def reproduce_run(
    name: str,
    options: RunOptions | None = None,
    new_name: str | None = None,
) -> Reproduction:
    """Train a run of a study, a suite or ``train`` again in a fresh folder, and compare the two.

    It gets as many threads and processes as the run had, and the CPU where the run had no other
    device.

    Args:
        name: See `find_run`.
        options: How it is run.
        new_name: The name of the new run; by default the run's own with ``-again``.

    Raises:
        ConfigError: The model or the data cannot be used any more.
        UserError: There is no such run, it is not complete, or the new name is in use.
    """
    import torch

    options = options or RunOptions()
    found = find_run(name, options.storage)
    found.check_complete()
    config = _here(found)
    for line in _announced(found, config):
        options.say(line)
    request = Request(config, name=new_name or _free(f"{found.name}-again"))
    resolved = resolve_run(request)
    before = torch.get_num_threads()
    processes = found.record.processes
    torch.set_num_threads((found.record.threads or before) * processes)
    try:
        # Threads are divided among processes.
        again = train_run(resolved, replace(options, devices=processes))
    finally:
        torch.set_num_threads(before)
    return _compared(found, again, resolved.plan.name, resolved.plan.folder)


def _here(found: FoundRun) -> RunConfig:
    """Return the run's settings with the device that it really had, where those left it open."""
    config = found.config
    if found.record.device != "cpu" or config.training.device == "cpu":
        return config
    return with_settings(config, {"training.device": "cpu"})


def _announced(found: FoundRun, config: RunConfig) -> Iterator[str]:
    """Yield what is known beforehand to be different here."""
    from ..analysis import circumstances_between
    from ..training import InputsOnce, code_hash, commit, versions

    head, dirty = commit()
    own = {"code_hash": code_hash(), "versions": versions(), "commit": head, "dirty": dirty}
    now = found.record.model_copy(update=own)
    InputsOnce().of(config).note(now)
    for reason in circumstances_between(found.record, now):
        yield f"made differently: {reason}; it may not come out bit for bit"


def _free(name: str) -> str:
    free, number = name, 1
    while run_folder(free).exists():
        number += 1
        free = f"{name}-{number}"
    return free


def _compared(found: FoundRun, again: RunRecord, name: str, folder: Path) -> Reproduction:
    from ..analysis import circumstances_between

    result = Reproduction(found, name, folder, (), (), (), ())
    for part, compare in _PARTS.items():
        outcome = compare(found, again, folder)
        if isinstance(outcome, str):
            result = replace(result, missing=(*result.missing, outcome))
            continue
        result = replace(
            result,
            compared=(*result.compared, part),
            differences=(*result.differences, *outcome),
        )
    return replace(result, reasons=tuple(circumstances_between(found.record, again)))


def _scores(found: FoundRun, again: RunRecord, folder: Path) -> list[str]:
    before, after = found.record.scores, again.scores
    differing = [name for name in before if before[name] != after.get(name)]
    return [f"{name}: {before[name]!r}, then {after.get(name)!r}" for name in differing]


def _ranks(found: FoundRun, again: RunRecord, folder: Path) -> list[str]:
    before, after = found.record.rank_pattern, again.rank_pattern
    differing = [name for name in before if before[name] != after.get(name)]
    return [f"kept ranks: {len(differing)} of {len(before)} differ"] if differing else []


def _predictions(found: FoundRun, again: RunRecord, folder: Path) -> list[str] | str:
    path = found.folder / PREDICTIONS_FILE
    if not path.is_file():
        return f"{found.what} has lost its predictions"
    before, after = _read_predictions(path), _read_predictions(folder / PREDICTIONS_FILE)
    # An archive keeps no more than the test split.
    after = after[after["split"].isin(before["split"].unique())].reset_index(drop=True)
    if before.equals(after):
        return []
    if before.shape != after.shape:
        return [f"predictions: {len(before):,} rows, then {len(after):,}"]
    changed = int((before["prediction"] != after["prediction"]).sum())
    logits = [column for column in before if column.startswith("score_")]
    apart = (before[logits] - after[logits]).abs().to_numpy().max()
    return [f"predictions: {changed:,} of {len(before):,} differ, logits by up to {apart:.3g}"]


def _read_predictions(path: Path) -> pandas.DataFrame:
    import pandas

    with reading(path):
        frame: pandas.DataFrame = pandas.read_parquet(path)
        return frame.sort_values(["split", "example"], ignore_index=True)


def _adapter(found: FoundRun, again: RunRecord, folder: Path) -> list[str] | str:
    files = sorted((found.folder / ADAPTER_FOLDER).glob("*.safetensors"))
    if not files:
        return f"the adapter of {found.what} is not here, so only what else it left was compared"
    return [line for file in files for line in _tensors(file, folder / ADAPTER_FOLDER / file.name)]


def _tensors(before: Path, after: Path) -> Iterator[str]:
    from safetensors.torch import load_file

    if not after.is_file():
        yield f"adapter: {before.name} is not there"
        return
    with reading(before):
        old = load_file(before)
    new = load_file(after)
    if old.keys() != new.keys():
        yield f"adapter: {before.name} holds other tensors"
        return
    differing = [name for name in old if not _same_bits(old[name], new[name])]
    if differing:
        shapes = all(old[name].shape == new[name].shape for name in differing)
        most = max((old[n] - new[n]).abs().max().item() for n in differing) if shapes else None
        by = f" by up to {most:.3g}" if most is not None else " in shape"
        yield f"adapter: {len(differing)} of {len(old)} tensors differ{by}"


def _same_bits(one: Tensor, other: Tensor) -> bool:
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    bits = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(*bits)


_PARTS = {
    "scores": _scores,
    "kept ranks": _ranks,
    "predictions": _predictions,
    "adapter": _adapter,
}
