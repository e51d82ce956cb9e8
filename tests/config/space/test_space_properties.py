from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lora2_search.config.run import RunConfig
from lora2_search.config.space.schema import Space
from tests.support.spaces import space_of

METHODS = ["lora2", "lora", "head-only"]


def _rank(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, **more}


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    low, width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    target = draw(st.integers(2, low + 1))
    start = draw(st.floats(0.01, 0.4))
    listed = st.sampled_from([["lora2"], METHODS])
    search: dict[str, Any] = {
        "adapter.r": _rank(low + 1, low + 1 + 2 * width, step=draw(st.sampled_from([1, 2]))),
        "adapter.target_rank": _rank(1, target, log=draw(st.booleans())),
        "training.lr": {"type": "float", "low": start * 1e-3, "high": 1e-2, "log": True},
        "adapter.t_init": {"type": "float", "low": 0.0, "high": start},
        "adapter.t_final": {"type": "float", "low": 0.1, "high": 0.5, "step": 0.1},
        "method": {"type": "categorical", "choices": METHODS},
        "adapter.k": _rank(1, 64, log=True, when={"method": draw(listed)}),
    }
    names = draw(st.permutations(sorted(search)))[: draw(st.integers(1, len(search)))]
    chosen = {name: search[name] for name in names}
    if "method" not in chosen:
        chosen.pop("adapter.k", None)
    chosen = chosen or {"method": search["method"]}
    return space_of(search=chosen, adapter={"r": 9} if "adapter.r" not in chosen else None)


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_whatever_optuna_draws_from_a_space_is_a_valid_run(space: Space, seed: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    params = space.suggest(trial)
    config = space.run_config(params)
    assert isinstance(config, RunConfig)
    assert trial.distributions == {name: space.distributions()[name] for name in params}
    assert ("adapter.k" in params) == (
        "adapter.k" in space.search
        and params["method"] in (space.search["adapter.k"].when or {})["method"]
    )
