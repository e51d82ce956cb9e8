"""One declaration of the adapter's settings, for PEFT and for YAML."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, PeftConfig

from lora2_search.adapter.config import Lora2Config
from lora2_search.config.adapter_settings import AdapterSettings
from lora2_search.config.schema import NOT_LORA2, AdapterConfig

DECLARED = {item.name: item for item in fields(AdapterSettings)}


def test_peft_and_yaml_have_the_declared_settings_and_few_more() -> None:
    of_peft = {item.name for item in fields(PeftConfig)}
    ours = {item.name for item in fields(Lora2Config)} - of_peft
    assert ours - DECLARED.keys() == {"modules_to_save", "seed"}
    assert AdapterConfig.model_fields.keys() - DECLARED.keys() == set(NOT_LORA2)
    assert DECLARED.keys() <= ours and DECLARED.keys() <= AdapterConfig.model_fields.keys()


def test_both_have_the_declared_defaults() -> None:
    defaults = {name: item.default for name, item in DECLARED.items()}
    assert AdapterConfig().lora2_settings() == defaults
    assert {name: getattr(Lora2Config(), name) for name in DECLARED} == defaults


def test_every_field_tells_its_meaning_as_those_of_peft_do() -> None:
    assert fields(LoraConfig)[-1].metadata["help"]
    own = {item.name for item in fields(PeftConfig)}
    assert all(item.metadata["help"] for item in fields(Lora2Config) if item.name not in own)


@pytest.mark.parametrize(
    ("names", "heavy"),
    [
        ("AdapterSettings, whole", {"torch", "peft", "pydantic"}),
        ("AdapterConfig, RunConfig", {"torch", "peft", "transformers"}),
    ],
)
def test_neither_declaration_nor_section_loads_what_is_heavy(names: str, heavy: set[str]) -> None:
    code = f"import sys; from lora2_search.config import {names}; print({heavy} & {{*sys.modules}})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


# As version 0.1.0 saved it, before there was one declaration.
SAVED = {
    "k": 8, "r": 8, "lora_alpha": 16, "scaling": "published", "lora_dropout": 0.0,
    "target_modules": ["query"], "exclude_modules": None, "modules_to_save": None,
    "layers_to_transform": None, "layers_pattern": None, "rank_pattern": None,
    "orthogonality": "soft", "gamma": 0.1, "gamma_u1": None, "gamma_cross": 0.0,
    "penalty": "frobenius", "init": "gaussian", "init_std": 0.02, "seed": 0,
    "scoring": "reduced", "score_loss": "total", "allocation": "global", "budget": "cubic",
    "target_rank": None, "t_init": 0.1, "t_final": 0.5, "delta_t": 1, "beta1": 0.85,
    "beta2": 0.85, "peft_type": "LORA2", "task_type": None, "inference_mode": True,
}  # fmt: skip


def test_what_is_saved_is_what_was_saved(tmp_path: Path) -> None:
    Lora2Config(target_modules=["query"], inference_mode=True).save_pretrained(tmp_path)
    text = (tmp_path / "adapter_config.json").read_text()
    saved = json.loads(text)
    assert {name: saved[name] for name in SAVED} == SAVED and '"lora_alpha": 16,' in text
    own = {item.name for item in fields(PeftConfig)}
    assert saved.keys() <= SAVED.keys() | own


@pytest.mark.parametrize("settings", [{"scoring": "of-a-package"}, {"delta_t": 0.0}])
def test_an_adapter_that_is_only_applied_is_not_asked_how_it_was_pruned(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({**SAVED, **settings}))
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, Lora2Config)
    assert asdict(loaded) | settings == asdict(loaded)
    with pytest.raises(ValueError, match=next(iter(settings))):
        Lora2Config(**settings)
