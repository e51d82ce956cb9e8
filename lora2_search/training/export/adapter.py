"""What was trained, as files that PEFT, transformers and others load."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...config import TASKS, RunConfig
from ...errors import UserError
from ...store import Damaged, RunRecord, reading, write_text
from .card import adapter_card
from .chat import CHAT_TEMPLATE_FILE, Chat, as_trained, chat_of, tokenizer_of

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import Tensor

Form = Literal["lora", "pruned"]

ADAPTER_CONFIG_FILE = "adapter_config.json"

ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"

_REMEDY = "train the run again, or restore it from a copy"

PLAIN_CARD = """# {what}

Made by lora2_search from {source}. With the base model and head that it was trained on:

```python
{register}from peft import PeftModel

model = PeftModel.from_pretrained(model, ".")
```
"""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        folder: Where it lies.
        form: ``lora`` or ``pruned``.
        counts: ``trained_adapter``, ``kept_adapter``, ``compressed_adapter`` and ``head``: numbers
            of parameters.
        bytes_before: Size of the adapter's weights file, the head in it.
        bytes_after: The same of the exported one.
    """

    folder: Path
    form: Form
    counts: dict[str, int]
    bytes_before: int
    bytes_after: int


def save_adapter(model: Any, folder: Path) -> None:
    """Save what was trained, in the form that fits it.

    A PEFT adapter folder; the whole model, where all of it was trained; ``head.safetensors``
    for the head alone; nothing, where nothing was trained.
    """
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    if hasattr(model, "peft_config"):
        with warnings.catch_warnings():
            # A matrix that AdaLoRA has cut to rank 0 looks to PEFT like a shard gone missing.
            warnings.filterwarnings("ignore", message=".*have invalid shape")
            # "auto" could ask the hub whether the vocabulary grew; it never does here.
            model.save_pretrained(str(folder), save_embedding_layers=False)
        return
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    if all(parameter.requires_grad for parameter in model.parameters()):
        model.save_pretrained(str(folder))
        return
    trained = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(trained, folder / "head.safetensors")


def export_adapter(
    source: Path, out: Path, form: Form, record: RunRecord | None = None
) -> Exported:
    """Write a saved LoRA² adapter as a plain LoRA, or with its zeroed ranks cut; exact either way.

    The base model is not needed, so this takes seconds for a model of any size. Of a run on
    conversations its tokenizer is: it is written too, with the run's chat template.

    Args:
        source: The adapter's folder, as PEFT saved it.
        out: The new folder; must not exist or be empty.
        form: ``lora`` for what stock PEFT loads without this package, ``pruned`` for LoRA².
        record: Of the run that left it; the README then says what it scored and holds code to run.

    Raises:
        ConfigError: The tokenizer or the chat template of a run on conversations cannot be read.
        UserError: The source holds no LoRA² adapter, all its ranks are 0, or ``out`` is in use.
    """
    from ...adapter import compress_state, prune_state

    kind = kind_of_adapter(source)
    if kind != "LORA2":
        raise UserError(
            f"{source} holds a {kind} adapter, not LoRA²: PEFT loads it as it is, there is nothing "
            "to export"
        )
    check_new(out)
    state, config = read_adapter(source)
    counts = _count(state)
    try:
        if form == "lora":
            state, written = compress_state(state, config)
        else:
            state, written = prune_state(state, config), config
    except ValueError as error:
        raise UserError(f"{source}: {error}") from None
    tokenizer, chat = (None, None) if record is None else _conversations(source, record)
    card = _card(source, form, record, config.base_model_name_or_path or "", chat)
    write_adapter(out, state, written, card)
    if tokenizer is not None:
        tokenizer.save_pretrained(str(out))
    else:
        copy_chat_template(source, out)
    sizes = [(folder / ADAPTER_WEIGHTS_FILE).stat().st_size for folder in (source, out)]
    return Exported(out, form, counts, *sizes)


def kind_of_adapter(source: Path) -> str:
    """Return PEFT's name for the kind of adapter in a folder: ``LORA2``, ``LORA`` ...

    Raises:
        UserError: There is no whole adapter.
    """
    try:
        kind = json.loads((source / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))["peft_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{source} holds no adapter: no readable {ADAPTER_CONFIG_FILE}") from None
    if not (source / ADAPTER_WEIGHTS_FILE).is_file():
        raise UserError(f"{source} holds no {ADAPTER_WEIGHTS_FILE}")
    return str(kind)


def read_adapter(source: Path) -> tuple[dict[str, Tensor], PeftConfig]:
    """Return the tensors and the configuration of a saved adapter.

    Raises:
        Damaged: One of its files cannot be read.
    """
    from peft import PeftConfig
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(source / ADAPTER_WEIGHTS_FILE)
    except (OSError, ValueError, SafetensorError) as error:
        raise Damaged(source / ADAPTER_WEIGHTS_FILE, str(error), _REMEDY) from None
    with reading(source / ADAPTER_CONFIG_FILE, _REMEDY):
        return state, PeftConfig.from_pretrained(str(source))


def check_new(out: Path) -> None:
    """Make sure that a folder to write into is not in use.

    Raises:
        UserError: It is.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists and is not empty; name a new folder with --out")


def write_adapter(out: Path, state: dict[str, Tensor], config: PeftConfig, card: str) -> None:
    """Write an adapter's tensors, configuration and README as PEFT saves them."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(out))
    save_file(state, out / ADAPTER_WEIGHTS_FILE, metadata={"format": "pt"})
    write_text(out / "README.md", card)


def copy_chat_template(source: Path, out: Path) -> None:
    """Copy the chat template that a run kept beside its adapter, if there is one."""
    kept = source / CHAT_TEMPLATE_FILE
    if kept.is_file():
        write_text(out / CHAT_TEMPLATE_FILE, kept.read_text(encoding="utf-8"))


def _conversations(source: Path, record: RunRecord) -> tuple[Any, Chat | None]:
    """Return the tokenizer of a run on conversations with the run's template, and how it renders.

    ``None`` for both where it is on none.
    """
    config = as_trained(RunConfig.model_validate(record.config), source)
    if config.data.messages is None:
        return None, None
    tokenizer = tokenizer_of(config)
    return tokenizer, chat_of(tokenizer, config)


def _count(state: dict[str, Tensor]) -> dict[str, int]:
    from ...adapter import count_matrix, factors_in, kept_in_values

    matrices = list(factors_in(state).values())
    kept = kept_in_values([matrix.values for matrix in matrices])
    each = [count_matrix(matrix, rank) for matrix, rank in zip(matrices, kept, strict=True)]
    trained = sum(count["scored_full"] for count in each)
    return {
        "trained_adapter": trained,
        **{
            name: sum(count[name] for count in each)
            for name in ("kept_adapter", "compressed_adapter")
        },
        "head": sum(tensor.numel() for tensor in state.values()) - trained,
    }


def _card(source: Path, form: Form, record: RunRecord | None, base: str, chat: Chat | None) -> str:
    if record is not None:
        task = TASKS.get(record.config["task"])
        text = record.config["data"]["text"] or (task.text if task else ())
        kind = "peft" if form == "lora" else "lora2"
        return adapter_card(record, base, pair=len(text) == 2, form=kind, chat=chat)
    return PLAIN_CARD.format(
        what="A LoRA² adapter as a plain LoRA" if form == "lora" else "A pruned LoRA² adapter",
        source=source.name,
        register="" if form == "lora" else "import lora2_search.adapter\n",
    )
