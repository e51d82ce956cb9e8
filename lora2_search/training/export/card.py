"""The README of a trained adapter: what it is, what it scored, how it is loaded."""

from __future__ import annotations

from pathlib import Path

from ...config import LANGUAGE_KINDS, TASKS
from ...store import RunRecord
from ..models.files import padding_side
from .chat import Chat

_LOAD = """import torch
{imports}from transformers import AutoModelForSequenceClassification, AutoTokenizer

base = "{base}"
tokenizer = AutoTokenizer.from_pretrained(base)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token  # decoders bring none
tokenizer.padding_side = "{side}"  # as in training
{load}
{names}model.config.pad_token_id = tokenizer.pad_token_id
model.eval()

options = dict(truncation=True, max_length={max_length}, padding=True, return_tensors="pt")
batch = tokenizer({texts}, **options)
with torch.no_grad():
    {read}
"""

_LOAD_LANGUAGE = """import torch
{imports}from transformers import AutoModelForCausalLM, AutoTokenizer

base = "{base}"
tokenizer = AutoTokenizer.from_pretrained(base)
{template}{load}
model.eval()

{batch}
length = batch["input_ids"].shape[1]
end = tokenizer.eos_token_id
with torch.no_grad():
    answer = model.generate(
        **batch, do_sample=False, max_new_tokens={most}, pad_token_id=end{ends}
    )
print(tokenizer.decode(answer[0, length:], skip_special_tokens=True))
"""

_PROMPT = 'batch = tokenizer("a prompt", return_tensors="pt")'

_TEMPLATE = """with open("chat_template.jinja", encoding="utf-8") as file:
    tokenizer.chat_template = file.read()
"""

_CHAT = """messages = [
{system}    {{"role": "user", "content": "a question"}},
]
batch = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)"""

_SYSTEM = '    {{"role": "system", "content": {}}},\n'

_NAMES = """model.config.id2label = dict(enumerate({}))
model.config.label2id = {{name: index for index, name in model.config.id2label.items()}}
"""

# The base may have a head for other classes: the trained one takes its place below.
_BASE = """model = AutoModelForSequenceClassification.from_pretrained(
    base, num_labels={}, ignore_mismatched_sizes=True
)"""

_LANGUAGE_BASE = "model = AutoModelForCausalLM.from_pretrained(base{})"

_PACKED = """packed = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="{}",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.{},
)"""

_REGISTER = "import lora2_search.adapter  # registers LoRA² with PEFT"

_PEFT = "from peft import PeftModel"

_ADAPTER = 'model = PeftModel.from_pretrained(model, ".")'

# By what the folder holds: the imports, and the code that builds the model.
_FORMS = {
    "lora2": ([_REGISTER, _PEFT], [_BASE, _ADAPTER]),
    "peft": ([_PEFT], [_BASE, _ADAPTER]),
    "full": ([], ['model = AutoModelForSequenceClassification.from_pretrained(".")']),
    "head-only": (
        ["from safetensors.torch import load_file"],
        [_BASE, 'model.load_state_dict(load_file("head.safetensors"), strict=False)'],
    ),
}


# The same of a language model, which has no head.
_LANGUAGE_FORMS = {
    "lora2": ([_REGISTER, _PEFT], [_LANGUAGE_BASE, _ADAPTER]),
    "peft": ([_PEFT], [_LANGUAGE_BASE, _ADAPTER]),
    "full": ([], ['model = AutoModelForCausalLM.from_pretrained(".")']),
    "no-training": ([], [_LANGUAGE_BASE]),
}


def adapter_card(
    record: RunRecord,
    base: str,
    *,
    pair: bool,
    form: str | None = None,
    chat: Chat | None = None,
) -> str:
    """Return the text of the adapter's README.

    Args:
        record: Of the run, complete.
        base: Folder or hub id of the pretrained model.
        pair: Whether the task reads two texts.
        form: What lies in the folder: ``lora2``, ``peft``, ``full`` or ``head-only``; by default
            what the run's method leaves.
        chat: How it renders conversations, of a language model.
    """
    config = record.config
    form = form or _form(record)
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
        *_about_the_cut(record),
        "",
        "| score | value |",
        "| --- | --- |",
        *scores,
        "",
        "```python",
        _snippet(record, base, pair, form, chat) + "```",
        "",
    ]
    if form != "full" and not is_language(record):
        said = "transformers reports the head as newly initialised; the next line loads it."
        lines += [said, ""]
    return "\n".join(lines)


def _form(record: RunRecord) -> str:
    """Return what a run's method leaves in its folder."""
    method: str = record.config["method"]
    is_cut = (record.config.get("after") or {}).get("svd_rank") is not None
    forms = _LANGUAGE_FORMS if is_language(record) else _FORMS
    return method if method in forms and not is_cut else "peft"


def is_language(record: RunRecord) -> bool:
    """Whether a run is of a causal language model."""
    task = TASKS.get(record.config["task"])
    return (task.kind if task else record.config["data"].get("kind")) in LANGUAGE_KINDS


def _about_the_cut(record: RunRecord) -> list[str]:
    if record.kept_norm is None:
        return []
    after = record.config["after"]
    return [
        f"Cut after training to mean rank {after['svd_rank']} ({after['svd_allocation']}) by "
        f"truncated SVD, which keeps {record.kept_norm:.2%} of the squared Frobenius norm: a "
        "plain LoRA. The scores are its own."
    ]


def _snippet(record: RunRecord, base: str, pair: bool, form: str, chat: Chat | None) -> str:
    if is_language(record):
        return _language_snippet(record, base, form, chat or Chat(None, None))
    config = record.config
    imports, load = _FORMS[form]
    layers = config["model"]["layers"]
    shape = f"{len(record.classes) or 1}" + (f", num_hidden_layers={layers}" if layers else "")
    return _LOAD.format(
        side=padding_side(Path(base)),
        imports="".join(f"{line}\n" for line in imports),
        base=base,
        load="\n".join(line.format(shape) for line in load),
        names=_NAMES.format(record.classes) if record.classes else "",
        texts='["a sentence"], ["another"]' if pair else '["a sentence"]',
        max_length=config["data"]["max_length"],
        read="print(model(**batch).logits.argmax(-1))"
        if record.classes
        else "print(model(**batch).logits.squeeze(-1))",
    )


def _language_snippet(record: RunRecord, base: str, form: str, chat: Chat) -> str:
    config, language = record.config, record.config["language"]
    is_chat = bool(config["data"].get("messages"))
    system = "" if language["system"] is None else _SYSTEM.format(repr(language["system"]))
    imports, load = _LANGUAGE_FORMS[form]
    model = config["model"]
    shape = f", num_hidden_layers={layers}" if (layers := model["layers"]) else ""
    # Records from before these settings have neither.
    dtype = model.get("dtype", "float32")
    shape += f", dtype=torch.{dtype}"
    packed = model.get("quantization")
    if packed is not None and form != "full":
        imports = ["from transformers import BitsAndBytesConfig", *imports]
        load = [_PACKED.format(packed, dtype), *load]
        shape += ", quantization_config=packed"
    return _LOAD_LANGUAGE.format(
        imports="".join(f"{line}\n" for line in imports),
        base=base,
        load="\n".join(line.replace("(base{})", f"(base{shape})") for line in load),
        template="" if chat.template is None else _TEMPLATE,
        batch=_CHAT.format(system=system) if is_chat else _PROMPT,
        most=language["max_new_tokens"] or 32,
        ends="" if chat.turn_end is None else f", eos_token_id=[end, {chat.turn_end}]",
    )
