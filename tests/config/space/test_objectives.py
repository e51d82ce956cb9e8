from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.space.rules import parse_rule
from lora2_search.config.space.schema import load_space
from lora2_search.errors import ConfigError
from tests.support.spaces import K, space_of

ACCURACY, SIZE = {"metric": "accuracy"}, {"metric": "compressed_parameters"}


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        (
            {"objectives": [ACCURACY, {"metric": "compresed_parameters"}]},
            "objectives.1.metric",
            "no run on task sentiment measures 'compresed_parameters'; did you mean \"compressed",
        ),
        ({"objectives": [SIZE, ACCURACY]}, "objectives.0.metric", "must be a score that is meas"),
        (
            {"objectives": [ACCURACY, {**SIZE, "direction": "maximize"}]},
            "objectives.1.direction",
            "of compressed_parameters, lower is better: minimize it",
        ),
        (
            {"objectives": [{**ACCURACY, "direction": "up"}]},
            "objectives.0.direction",
            "must be 'maximize' or 'minimize', but got 'up'",
        ),
        ({"objectives": [ACCURACY, ACCURACY]}, "objectives.1.metric", "is an objective already"),
        ({"objectives": [ACCURACY, {}]}, "objectives.1.metric", "is missing; known: accuracy"),
        (
            {"objectives": [ACCURACY, {"metric": "kept_rank"}], "method": "lora"},
            "objectives.1.metric",
            "a run of method lora has no kept_rank",
        ),
        (
            {"objective": {"metric": "f1"}, "objectives": [ACCURACY, SIZE], "task": "mrpc"},
            "objectives",
            "begin with accuracy, but objective.metric is f1",
        ),
        ({"objective": {"direction": "minimize"}}, "objective.direction", "is maximized"),
        ({"pick": {"max_drop": 0.01}}, "pick", "several `objectives`"),
        (
            {"objectives": [ACCURACY, SIZE], "pick": {"max_drop": -1.0}},
            "pick.max_drop",
            "greater than or equal to 0",
        ),
        (
            {"objectives": [ACCURACY, {"metric": "forgetting"}]},
            "objectives.1.metric",
            "forgetting is measured on a text file; name it in language.forgetting",
        ),
        (
            {"objectives": [ACCURACY, {"metric": "exact_match"}], "task": "commonsense"},
            "objectives.1.metric",
            "no run on task commonsense measures 'exact_match'",
        ),
        ({"constraints": {"secnds": {"max": 3}}}, "constraints.secnds", 'did you mean "seconds"?'),
        ({"constraints": {"seconds": {"max": -3}}}, "constraints.seconds.max", "no run can meet"),
        ({"constraints": {"accuracy": {"min": 80}}}, "constraints.accuracy.min", "at most 1, got"),
        ({"constraints": {"seconds": {}}}, "constraints.seconds", "give `min`, `max` or both"),
        (
            {"constraints": {"seconds": {"min": 3, "max": 2}}},
            "constraints.seconds",
            "got min=3, max=2",
        ),
        ({"rules": ["adapter.kk < 3"]}, "rules.0", "no setting is called adapter.kk; did you mean"),
        ({"rules": ["adapter.k < 0"]}, "rules.0", "none of 2,000 random settings obeys it"),
        ({"rules": ["adapter.k < 5", "adapter.k > 6"]}, "rules", "obeys all of them at once"),
        ({"rules": ["adapter.r < 9"]}, "rules.0", "no setting in it is searched"),
        ({"rules": ["adapter.k < model.revision"]}, "rules.0", "which is no number"),
        ({"rules": ["adapter.k"]}, "rules.0", "compares nothing"),
        ({"rules": ["adapter.k <"]}, "rules.0", "cannot be read"),
        ({"rules": ["adapter.k < open('x')"]}, "rules.0", "holds something else"),
        ({"rules": ["adapter.k < 2 ** 99"]}, "rules.0", "holds something else"),
        ({"rules": "adapter.k < 2"}, "rules", "must be a valid list"),
    ],
)
def test_each_mistake_in_objectives_constraints_and_rules_is_told(
    changes: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(**changes)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert words in problem.message


def test_the_place_of_a_rule_and_of_an_objective_is_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "task: sentiment\ntrials: 2\nsearch: {adapter.k: {type: int, low: 1, high: 4}}\n"
        "objectives:\n  - metric: accuracy\n  - metric: second\n"
        "constraints:\n  kept_rank: {max: 200_000}\n  seconds: {max: -1}\n"
        "rules:\n  - adapter.k < 3\n  - adapter.q < 3\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_space(str(path))
    found = {problem.key: problem.where for problem in caught.value.problems}
    lines = {"objectives.1.metric": 6, "constraints.seconds.max": 9, "rules.1": 12}
    assert found == {key: f"{path}:{line}" for key, line in lines.items()}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("adapter.r * 2 <= adapter.k", True),
        ("1 < adapter.r < adapter.k != 5", True),
        ("(adapter.k - 1) // 2 % 2 == 1", True),
        ("-adapter.k / 3 > +2.5", False),
        ("adapter.k / (adapter.r - 4) > 0", False),  # divides by zero
        ("adapter.alpha > 0", False),  # is no number
    ],
)
def test_a_rule_is_arithmetic(text: str, holds: bool) -> None:
    values = {"adapter.k": 8, "adapter.r": 4, "adapter.alpha": None}
    assert parse_rule(text).holds(values.__getitem__) is holds


def test_no_text_makes_a_rule_run_code_or_fail_with_anything_but_its_own_error() -> None:
    parts = ["adapter.k", "<", "<=", "3", "1e999", "(", ")", "-", "/", "0", "**", "lambda", ":"]
    parts += [
        "__import__('os')",
        "[1]",
        "if",
        "\x00",
        "'",
        "#",
        "\n",
        "  ",
        "0x_",
        "1if",
        "==",
        "é",
    ]
    draw = random.Random(0)
    for _ in range(500):
        text = "".join(draw.choices(parts, k=draw.randint(1, 12)))
        try:
            parse_rule(text).holds(lambda name: 7)
        except ValueError as error:
            assert "a rule compares settings and numbers" in str(error), text
    parse_rule("-" * 200 + "1 < adapter.k")
    for text in ("(" * 290, "1" * 400, "a" + ".a" * 140 + " < 1"):
        try:
            parse_rule(text)
        except ValueError:
            continue


def test_a_rule_keeps_apart_what_would_clash() -> None:
    ranks = {
        name: {"type": "int", "low": 1, "high": 8} for name in ("adapter.r", "adapter.target_rank")
    }
    with pytest.raises(ConfigError, match="target_rank must be at most r"):
        space_of(search=K | ranks)
    space_of(search=K | ranks, rules=["adapter.target_rank <= adapter.r"])


LR = {"training.lr": {"type": "float", "low": 1e-3, "high": 1e-2}}

METHOD = {"method": {"type": "categorical", "choices": ["lora2", "lora"]}}


@pytest.mark.parametrize(
    ("sampler", "changes", "key", "words"),
    [
        ("cmaes", {"objectives": [ACCURACY, SIZE]}, "name", "here there are several; use nsgaii"),
        ("cmaes", {"search": K | METHOD}, "name", "here some are conditional"),
        ("cmaes", {"search": K}, "name", "here there is one"),
        ("cmaes", {"constraints": {"seconds": {"max": 9}}}, "name", "does not see constraints"),
        ("gp", {"search": K | METHOD}, "name", "gp models only settings that every trial searches"),
        ("grid", {}, "name", "training.lr has none; give it `step`"),
        ("grid", {"search": K, "trials": 20}, "name", "has 16 points, fewer than trials=20"),
        ("tpe", {"options": {"n_ei_candidate": 3}}, "options.n_ei_candidate", "did you mean"),
        ("tpe", {"options": {"n_ei_candidates": 0}}, "options.n_ei_candidates", "greater than"),
        ("qmc", {"options": {"qmc_type": "sobel"}}, "options.qmc_type", "must be 'sobol' or"),
        ("random", {"options": {"seed": 3}}, "options.seed", "sampler random has no options"),
        ("bayes", {}, "name", "'tpe', 'gp', 'cmaes', 'nsgaii', 'qmc', 'grid' or 'random'"),
    ],
)
def test_a_sampler_that_cannot_search_a_space_is_refused_with_the_reason(
    sampler: str, changes: dict[str, Any], key: str, words: str
) -> None:
    changes = dict(changes)
    given = {"name": sampler, "options": changes.pop("options", {})}
    with pytest.raises(ConfigError) as caught:
        space_of(**{"search": K | LR, "sampler": given, **changes})
    (problem,) = caught.value.problems
    assert problem.key == f"sampler.{key}"
    assert words in problem.message
