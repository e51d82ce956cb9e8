"""``export``: an adapter for stock PEFT, LoRA² without what pruning zeroed, or the whole model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from ...errors import UserError
from ...experiments import find_adapter, merge_run
from ...store import RunRecord
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
    line = _lm_eval(found.record, exported.folder) if form == "lora" else None
    if as_json:
        sizes = {"bytes_before": exported.bytes_before, "bytes_after": exported.bytes_after}
        about = {"source": str(found.folder), "folder": str(exported.folder), "form": form}
        print_json({**about, "counts": counts, **sizes, **_evaluated_by(line)})
        return
    print(f"{found.what} as {_FORMS[form]}: {exported.folder}")
    shown = {name.removesuffix("_adapter"): f"{count:,}" for name, count in counts.items()}
    head = shown.pop("head")
    print(f"Parameters: {', '.join(f'{name} {count}' for name, count in shown.items())}")
    print(f"            and {head} of the head, included")
    print(f"On disk:    {mib(exported.bytes_after)}, before {mib(exported.bytes_before)}")
    print(f"Load it:    model = PeftModel.from_pretrained(model, {str(exported.folder)!r})")
    print(f"            {_needs(form)}; README.md there has the code")
    _print_lm_eval(line)


def run_merge(what: str, form: str, out: Path, storage: Path | None, as_json: bool) -> None:
    """Write the whole model of a run, its adapter merged; say what came of it.

    Raises:
        UserError: There is no such run, it is not complete or trained nothing, PEFT cannot merge
            its adapter, or ``out`` is in use.
    """
    if form != "lora":
        raise UserError(f"--merge writes the whole model, --as {form} an adapter; leave one out")
    found, merged = merge_run(what, out.expanduser(), storage)
    kind = "CausalLM" if merged.is_language else "SequenceClassification"
    line = _lm_eval(found.record, merged.folder, merged=True)
    if as_json:
        about = {"source": str(found.folder), "folder": str(merged.folder), "form": "merged"}
        size = {"parameters": merged.parameters, "bytes": merged.size}
        print_json({**about, **size, **_evaluated_by(line)})
        return
    print(f"{found.what} merged into its model: {merged.folder}")
    print(f"Parameters: {merged.parameters:,}")
    print(f"On disk:    {mib(merged.size)}")
    print(f"Load it:    model = AutoModelFor{kind}.from_pretrained({str(merged.folder)!r})")
    _print_lm_eval(line)


def _lm_eval(record: RunRecord | None, folder: Path, *, merged: bool = False) -> str | None:
    """Return the command by which lm-evaluation-harness scores a language model.

    ``None`` where it cannot load it: a classifier, or a base that is cut or in 4 bits.
    """
    from ...config import ModelConfig
    from ...training import is_language, model_location

    if record is None or not is_language(record):
        return None
    model: Mapping[str, Any] = record.config["model"]
    arguments = {"pretrained": str(folder.absolute())}
    if not merged:
        if model["layers"] is not None or model.get("quantization") is not None:
            return None
        base = ModelConfig(name_or_path=model["name_or_path"], revision=model["revision"])
        arguments = {"pretrained": model_location(base), "peft": str(folder.absolute())}
        if model["revision"] is not None:
            arguments["revision"] = model["revision"]
    arguments["dtype"] = model.get("dtype", "float32")
    chat = ""
    if record.config["data"].get("messages"):
        # Written there with the template of the run.
        arguments["tokenizer"] = str(folder.absolute())
        chat = " --apply_chat_template"
        if (system := record.config["language"]["system"]) is not None:
            chat += f" --system_instruction {shlex.quote(system)}"
    told = ",".join(f"{name}={value}" for name, value in arguments.items())
    return f"lm_eval --model hf --model_args {shlex.quote(told)} --tasks TASK --batch_size 8{chat}"


def _evaluated_by(line: str | None) -> dict[str, str]:
    return {} if line is None else {"lm_eval": line}


def _print_lm_eval(line: str | None) -> None:
    if line is not None:
        print(f"Score it:   {line}")


def _needs(form: str) -> str:
    if form == "lora":
        return "with peft alone, or in anything that serves PEFT's LoRA"
    return "after `import lora2_search.adapter`"
