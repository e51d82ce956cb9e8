"""``export``: an adapter for stock PEFT, or LoRA² without what pruning zeroed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ...experiments import find_adapter
from ..console.rows import mib, print_json

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
        about = {"source": str(found.folder), "folder": str(exported.folder), "form": form}
        print_json({**about, "counts": counts, **sizes})
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
