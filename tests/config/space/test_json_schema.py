"""The JSON Schema of a space agrees with what `load_space` takes, as far as a schema can."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from lora2_search.config.space.json_schema import space_schema
from lora2_search.config.space.schema import Space, load_space
from lora2_search.config.yaml import read_yaml
from lora2_search.store.paths import shipped
from tests.support.spaces import written

CHECKER = jsonschema.Draft202012Validator(space_schema())


def problems(data: dict[str, Any]) -> list[str]:
    return [".".join(map(str, error.path)) for error in CHECKER.iter_errors(data)]


def test_every_shipped_space_fits_it_as_written_and_spelled_out() -> None:
    files = sorted(shipped("search_spaces").glob("*.yaml"))
    assert len(files) == 12
    for path in files:
        assert problems(read_yaml(path).data) == []
        if not path.name.startswith("_"):
            assert problems(load_space(str(path)).model_dump(mode="json")) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"trails": 4}, ""),
        ({"trials": 0}, "trials"),
        ({"method": "lora3"}, "method"),
        ({"sampler": {"name": "tpes"}}, "sampler.name"),
        ({"adapter": {"scaling": "none"}}, "adapter.scaling"),
        ({"search": {"adapter.kk": {"type": "int", "low": 1, "high": 2}}}, "search"),
        ({"search": {"adapter.k": {"type": "int", "lo": 1}}}, "search.adapter.k"),
    ],
)
def test_a_mistake_of_a_key_a_type_or_a_choice_is_found(change: dict[str, Any], where: str) -> None:
    assert problems(written(**change)) == [where]


def test_what_may_stand_in_a_file_that_extends_another_fits() -> None:
    assert problems({"extends": "rte.yaml", "references": None}) == []
    assert problems(written(search={"peft.r": {"type": "int", "low": 1, "high": 2}})) == []


def test_every_setting_of_a_space_is_described_or_a_section() -> None:
    schema = space_schema()
    assert set(schema["properties"]) == {*Space.model_fields, "extends", "preset"}
    adapter = schema["$defs"]["AdapterConfig"]["properties"]
    assert [name for name, item in adapter.items() if "description" not in item] == []
