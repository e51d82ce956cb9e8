"""`export` and `compress`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ...errors import UserError
from ...experiments import find, trial_run
from ...search import load_study
from ...store import ADAPTER_FOLDER, RunRecord, command_line, read_record
from ...store import CONFIG_FILE as RUN_CONFIG_FILE
from ...training import CutAdapter, compress_adapter
from ..console.rows import print_json

# As in `training.export`, which imports more than a wrong name deserves.
_CONFIG_FILE = "adapter_config.json"


@dataclass(frozen=True)
class Found:
    """An adapter that was found.

    Attributes:
        what: What it is, for people.
        folder: Where it lies.
        record: Of the run that left it, where there is one.
    """

    what: str
    folder: Path
    record: RunRecord | None


def find_adapter(what: str, storage: Path | None) -> Found:
    """Return the adapter of a study's winner, of a run, or in a folder.

    Raises:
        UserError: There is no such thing, or it left no adapter.
    """
    path = Path(what).expanduser()
    if (path / _CONFIG_FILE).is_file():
        return Found(str(path), path, read_record(path.absolute().parent))
    if (path / ADAPTER_FOLDER).is_dir():
        return _of_run(str(path), path)
    if path.is_dir():
        _refuse_archived(str(path), path)
        raise UserError(f"{path} holds no adapter ({_CONFIG_FILE}), nor a run that left one")
    item = find(what, storage)
    if item.kind == "run":
        return _of_run(f"run {item.name}", item.folder)
    if item.kind == "verification":
        raise UserError(f"{item.name} is a verification, which keeps no adapter; name a run")
    if item.kind == "suite":
        raise UserError(
            f"{item.name} is a suite, which has no winner; name the folder of one of its runs: "
            f"{item.folder / 'runs'}/ARM-seedN"
        )
    winner = trial_run(load_study(item.name, storage))
    if winner is None or winner.folder is None:
        raise UserError(f"study {item.name} has no completed trial yet")
    return _of_run(f"{winner.name} of study {item.name}", winner.folder)


def _refuse_archived(what: str, folder: Path) -> None:
    record = read_record(folder)
    if record is not None and record.taken_from:
        again = command_line("train", "--config", str(folder / RUN_CONFIG_FILE))
        raise UserError(
            f"{what} was taken from the archive {record.taken_from}, which keeps no adapters; name "
            f"it on the machine where it was trained, or train it again: {again}"
        )


def _of_run(what: str, folder: Path) -> Found:
    record, adapter = read_record(folder), folder / ADAPTER_FOLDER
    if record is not None and record.status != "completed":
        raise UserError(f"{what} is not complete ({record.status}): it left no adapter yet")
    if not (adapter / _CONFIG_FILE).is_file():
        method = record.config["method"] if record else "unknown"
        if method not in ("full", "head-only"):
            lost = adapter / _CONFIG_FILE
            raise UserError(f"{what} has lost its adapter: {lost} is missing, or is not a file")
        raise UserError(f"{what} left no adapter: its method is {method}")
    return Found(what, adapter, record)


_FORMS = {"lora": "a plain LoRA", "pruned": "LoRA² with its zeroed ranks cut"}


def run_export(
    what: str, form: Literal["lora", "pruned"], out: Path, storage: Path | None, as_json: bool
) -> None:
    """Export the adapter of a study's winner, of a run, or in a folder; say what came of it.

    Raises:
        UserError: There is no such thing, it left no LoRA² adapter, or ``out`` is in use.
    """
    found = find_adapter(what, storage)
    from ...training import export_adapter

    exported = export_adapter(found.folder, out.expanduser(), form, found.record)
    counts = exported.counts
    if as_json:
        sizes = {"bytes_before": exported.bytes_before, "bytes_after": exported.bytes_after}
        told = {"source": str(found.folder), "folder": str(exported.folder), "form": form}
        print_json({**told, "counts": counts, **sizes})
        return
    print(f"{found.what} as {_FORMS[form]}: {exported.folder}")
    shown = {name.removesuffix("_adapter"): f"{count:,}" for name, count in counts.items()}
    head = shown.pop("head")
    print(f"Parameters: {', '.join(f'{name} {count}' for name, count in shown.items())}")
    print(f"            and {head} of the head, included")
    print(f"On disk:    {mib(exported.bytes_after)}, before {mib(exported.bytes_before)}")
    print(f"Load it:    model = PeftModel.from_pretrained(model, {str(exported.folder)!r})")
    print(f"            {_needs(form)}; README.md there has the code")


def _needs(form: str) -> str:
    if form == "lora":
        return "with peft alone, or in anything that serves PEFT's LoRA"
    return "after `import lora2_search.adapter`"


def mib(size: int) -> str:
    """Return a size in bytes for people."""
    return f"{size / 2**20:.2f} MiB"


def run_compress(
    what: str,
    rank: float | None,
    allocation: str,
    out: Path,
    storage: Path | None,
    as_json: bool,
) -> None:
    """Cut the adapter of a study's winner, of a run, or in a folder; say what came of it.

    Raises:
        UserError: There is no such thing, it left no adapter that can be cut, no rank would be
            left, or ``out`` is in use.
    """
    found = find_adapter(what, storage)
    cut = compress_adapter(found.folder, out.expanduser(), rank, allocation)
    if as_json:
        told = {"source": str(found.folder), "rank": rank, "allocation": allocation}
        print_json({**told, **asdict(cut), "folder": str(cut.folder)})
        return
    how = "exact" if rank is None else f"cut to mean rank {rank:g}, {allocation}"
    print(f"{found.what} as a plain LoRA, {how}: {cut.folder}")
    print(f"Ranks:      {_ranks(cut)}")
    print(f"Norm:       {cut.kept_norm:.2%} of the squared Frobenius norm kept")
    print(f"Parameters: {cut.parameters_after:,}, before {cut.parameters_before:,};")
    print(f"            and {cut.head:,} of the head, included")
    print(f"On disk:    {mib(cut.bytes_after)}, before {mib(cut.bytes_before)}")
    print(f"Load it:    model = PeftModel.from_pretrained(model, {str(cut.folder)!r})")
    print("            with peft alone, or in anything that serves PEFT's LoRA")


def _ranks(cut: CutAdapter) -> str:
    ranks = cut.ranks.values()
    return (
        f"{sum(ranks)} kept in {len(ranks)} matrices, {min(ranks)} to {max(ranks)} in each, "
        f"{sum(ranks) / len(ranks):.3g} on average"
    )
