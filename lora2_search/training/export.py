"""What was trained, as files that PEFT and others load."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_adapter(model: Any, folder: Path) -> None:
    """Save what was trained: a PEFT adapter folder, or ``head.safetensors`` for the head alone."""
    from safetensors.torch import save_file

    if hasattr(model, "peft_config"):
        # "auto" could ask the hub whether the vocabulary grew; it never does here.
        model.save_pretrained(str(folder), save_embedding_layers=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    trained = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(trained, folder / "head.safetensors")
