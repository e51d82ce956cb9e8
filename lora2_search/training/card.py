"""The README of a trained adapter: what it is, what it scored, how it is loaded."""

from __future__ import annotations

from .record import RunRecord

_LOAD = """import torch
{imports}from transformers import AutoModelForSequenceClassification, AutoTokenizer

base = "{base}"
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForSequenceClassification.from_pretrained(base, num_labels={outputs}{layers})
{load}
model.eval()

options = dict(truncation=True, max_length={max_length}, padding=True, return_tensors="pt")
batch = tokenizer({texts}, **options)
with torch.no_grad():
    {read}
"""


def adapter_card(record: RunRecord, base: str, *, pair: bool) -> str:
    """Return the text of the adapter's README.

    Args:
        record: Of the run, complete.
        base: Folder or hub id of the pretrained model.
        pair: Whether the task reads two texts.
    """
    config = record.config
    scores = [f"| {name} | {value:.4f} |" for name, value in sorted(record.scores.items())]
    lines = [
        f"# {config['method']} adapter of {config['model']['name_or_path']} for {config['task']}",
        "",
        f"Trained by lora2_search, run {record.fingerprint}.",
        *(
            [f"Classes, in order of the logits: {', '.join(record.classes)}."]
            if record.classes
            else []
        ),
        "",
        "| score | value |",
        "| --- | --- |",
        *scores,
        "",
        "```python",
        _snippet(record, base, pair) + "```",
        "",
        "transformers says that the head is newly initialised: the line after it loads the head.",
        "",
    ]
    return "\n".join(lines)


def _snippet(record: RunRecord, base: str, pair: bool) -> str:
    config = record.config
    peft = config["method"] != "head-only"
    register = "import lora2_search.adapter  # registers LoRA² with PEFT\n"
    layers = config["model"]["layers"]
    return _LOAD.format(
        imports=(register if config["method"] == "lora2" else "")
        + ("from peft import PeftModel\n" if peft else "from safetensors.torch import load_file\n"),
        base=base,
        outputs=len(record.classes) or 1,
        layers=f", num_hidden_layers={layers}" if layers else "",
        load='model = PeftModel.from_pretrained(model, ".")'
        if peft
        else 'model.load_state_dict(load_file("head.safetensors"), strict=False)',
        texts='["a sentence"], ["another"]' if pair else '["a sentence"]',
        max_length=config["data"]["max_length"],
        read="print(model(**batch).logits.argmax(-1))"
        if record.classes
        else "print(model(**batch).logits.squeeze(-1))",
    )
