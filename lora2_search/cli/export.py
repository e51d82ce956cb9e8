"""``export``: a trained adapter in the form in which others load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..chosen_run import trial_run
from ..errors import UserError
from ..search.study import load_study
from ..training.record import ADAPTER_FOLDER, RunRecord, read_record
from .named import find
from .rows import print_json

# As in `training.export`, which imports more than a wrong name deserves.
_CONFIG_FILE = "adapter_config.json"
_FORMS = {"lora": "a plain LoRA", "pruned": "LoRA² with its zeroed ranks cut"}


@dataclass(frozen=True)
class Found:
    """An adapter to export.

    Attributes:
        what: What it is, for people.
        folder: Where it lies.
        record: Of the run that left it, where there is one.
    """

    what: str
    folder: Path
    record: RunRecord | None


def run_export(
    what: str, form: Literal["lora", "pruned"], out: Path, storage: Path | None, as_json: bool
) -> None:
    """Export the adapter of a study's winner, of a run, or in a folder; say what came of it.

    Raises:
        UserError: There is no such thing, it left no LoRA² adapter, or ``out`` is in use.
    """
    found = _found(what, storage)
    from ..training.export import export_adapter

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
    print(f"            and {head} of the head, which come along")
    print(f"On disk:    {_mib(exported.bytes_after)}, before {_mib(exported.bytes_before)}")
    print(f"Load it:    model = PeftModel.from_pretrained(model, {str(exported.folder)!r})")
    print(f"            {_needs(form)}; README.md there has the code")


def _needs(form: str) -> str:
    if form == "lora":
        return "from peft alone, or in whatever serves PEFT's LoRA"
    return "after `import lora2_search.adapter`"


def _mib(size: int) -> str:
    return f"{size / 2**20:.2f} MiB"


def _found(what: str, storage: Path | None) -> Found:
    path = Path(what).expanduser()
    if (path / _CONFIG_FILE).is_file():
        return Found(str(path), path, read_record(path.absolute().parent))
    if (path / ADAPTER_FOLDER).is_dir():
        return _of_run(str(path), path)
    if path.is_dir():
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


def _of_run(what: str, folder: Path) -> Found:
    record, adapter = read_record(folder), folder / ADAPTER_FOLDER
    if record is not None and record.status != "completed":
        raise UserError(f"{what} is not complete ({record.status}): it left no adapter yet")
    if not (adapter / _CONFIG_FILE).is_file():
        method = record.config["method"] if record else "unknown"
        raise UserError(f"{what} left no adapter: its method is {method}")
    return Found(what, adapter, record)
