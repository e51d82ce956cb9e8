from __future__ import annotations

from typing import Any

import pytest

from lora2_search.config.presets import PRESETS, with_presets
from lora2_search.config.run import RunConfig, validate
from lora2_search.config.settings import known_settings, value_of
from lora2_search.config.space.schema import validate_space
from lora2_search.config.suite.schema import load_suite, validate_suite
from lora2_search.config.yaml import Source, with_overrides
from lora2_search.errors import ConfigError

ARM = {"preset": "recommended"}


def run(**data: Any) -> RunConfig:
    return validate(Source({"task": "sentiment", **data}), RunConfig)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_what_it_says_and_nothing_else(name: str) -> None:
    config, plain = run(preset=name), run()
    for setting in known_settings():
        expected = PRESETS[name].get(setting, value_of(plain, setting))
        assert value_of(config, setting) == expected


def test_published_is_what_the_defaults_are() -> None:
    assert run(preset="published") == run()


def test_what_is_written_beside_a_preset_wins() -> None:
    config = run(preset="recommended", adapter={"gamma": 0.5, "r": 2})
    assert (config.adapter.gamma, config.adapter.init) == (0.5, "lora")
    # Half of the preset's own r would be more than this r.
    assert (config.adapter.r, config.adapter.target_rank) == (2, None)


def test_a_preset_may_be_assigned() -> None:
    source = with_overrides(Source({"task": "sentiment"}), ["preset=recommended"])
    assert validate(source, RunConfig).adapter.init == "lora"


def test_an_arm_a_level_and_a_reference_may_name_one() -> None:
    suite = validate_suite(
        Source({"name": "s", "task": "sentiment", "arms": {"ours": ARM, "head-only": HEAD}})
    )
    assert suite.run_config("ours", 0).adapter.init == "lora"
    assert suite.base.adapter.init == "gaussian"
    rates = {"low": {}, "high": {"training.lr": 2e-3}}
    factors = {"start": {"published": {}, "ours": ARM}, "rate": rates}
    crossed = validate_suite(
        Source({"name": "s", "task": "sentiment", "factors": factors, "design": "crossed"})
    )
    assert "lora" in {crossed.run_config(arm, 0).adapter.init for arm in crossed.arms}
    space = validate_space(
        Source(
            {
                "name": "s",
                "task": "sentiment",
                "trials": 2,
                "search": {"training.lr": {"type": "float", "low": 1e-4, "high": 1e-2}},
                "references": {"ours": {"preset": "recommended"}},
            }
        )
    )
    assert space.references["ours"]["adapter.init"] == "lora"


HEAD = {"method": "head-only"}


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"preset": "recomended"}, "preset"),
        ({"preset": 3}, "preset"),
        ({"preset": {"type": "categorical"}}, "preset"),
    ],
)
def test_an_unknown_preset_is_refused_with_the_nearest(data: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*must be one of published, recommended"):
        run(**data)


def test_an_unknown_preset_of_an_arm_is_named_with_its_place() -> None:
    source = Source({"task": "sentiment", "arms": {"ours": {"preset": "publish"}}})
    with pytest.raises(ConfigError, match=r"arms.ours.preset.*did you mean \"published\""):
        validate_suite(source)


def test_a_module_called_preset_is_none() -> None:
    source = Source({"adapter": {"rank_pattern": {"preset": 3}}})
    assert with_presets(source).data == source.data


def test_a_stored_suite_spells_it_out() -> None:
    suite = load_suite("start", ["preset=recommended"])
    assert "preset" not in suite.spelled_out()
