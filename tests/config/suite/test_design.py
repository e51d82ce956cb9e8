from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lora2_search.config.suite.schema import Suite, load_suite, validate_suite
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError

HEAD = {"head-only": {"method": "head-only"}}
PLANES = {"one-plane": {"adapter.k": []}, "two-planes": {}}
REGULARISED = {"unregularised": {"adapter.gamma": 0.0}, "regularised": {}}
RANDOM = {"random": {"adapter.scoring": "random"}, "importance": {}}
KIND = {"outer": {"adapter.gamma": [0.1, 0.0]}, "inner": {"adapter.gamma": [0.0, 0.1]}, "dual": {}}
SCORE = {"full": {"adapter.scoring": "full"}, "reduced": {}}
CROSSED = {"planes": PLANES, "regularisation": REGULARISED}


def data(**changes: Any) -> dict[str, Any]:
    base = {"name": "small", "task": "sentiment", "adapter": {"target_rank": 4}, "arms": HEAD}
    return {**base, **changes}


def suite(**changes: Any) -> Suite:
    return validate_suite(Source(data(**changes)))


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        suite(**changes)
    return [str(problem) for problem in caught.value.problems]


def test_a_crossed_design_makes_every_cell_an_arm_that_sets_what_its_levels_set() -> None:
    made = suite(design="crossed", factors=CROSSED)
    assert made.arms == {
        "base": {},
        "unregularised": {"adapter.gamma": 0.0},
        "one-plane": {"adapter.k": []},
        "one-plane.unregularised": {"adapter.k": [], "adapter.gamma": 0.0},
        **HEAD,
    }
    assert made.cells["main"]["one-plane"] == {
        "planes": "one-plane",
        "regularisation": "regularised",
    }
    assert list(made.contrasts) == [
        "planes: one-plane",
        "regularisation: unregularised",
        "planes × regularisation: one-plane, unregularised",
    ]
    assert made.pairs == []


@pytest.mark.parametrize("design", ["leave-one-out", "one-at-a-time", "grid"])
def test_the_other_designs_compare_their_arms_with_the_base(design: str) -> None:
    made = suite(design=design, factors=CROSSED)
    expected = [["one-plane", "base"], ["unregularised", "base"]]
    if design == "grid":
        expected.append(["one-plane.unregularised", "base"])
    assert sorted(made.comparisons or []) == sorted(expected) and made.contrasts == {}
    assert len(made.arms) == len(expected) + 2


def test_a_comparison_that_a_design_makes_as_a_contrast_too_counts_once() -> None:
    factors = {"regularisation": REGULARISED}
    made = suite(
        designs={
            "apart": {"design": "leave-one-out", "factors": {"planes": PLANES, **factors}},
            "together": {"design": "crossed", "factors": factors},
        }
    )
    assert made.pairs == [("one-plane", "base")]
    assert list(made.contrasts) == ["regularisation: unregularised"]


def test_a_list_of_values_is_a_factor_named_like_its_setting() -> None:
    made = suite(design="one-at-a-time", factors={"adapter.k": [1, 8, 32]})
    assert made.arms == {"base": {}, "k-1": {"adapter.k": 1}, "k-32": {"adapter.k": 32}, **HEAD}
    assert made.levels("base") == {"adapter.k": "k-8"}
    words = suite(design="grid", factors={"adapter.budget": ["cubic", "linear"]})
    assert list(words.arms) == ["base", "budget-linear", "head-only"]


BLOCKS = {
    "parts": {"design": "crossed", "factors": CROSSED},
    "inside": {
        "design": "nested",
        "within": {},
        "factors": {"kind": {"none": {"adapter.orthogonality": "none"}, **KIND}, "score": SCORE},
    },
}


def test_a_cell_that_an_earlier_block_has_is_shared_and_runs_once() -> None:
    made = suite(designs=BLOCKS)
    assert "none" not in made.arms and made.cells["inside"]["unregularised"]["kind"] == "none"
    assert made.contrasts["kind: none"]["unregularised"] == 0.5
    # 4 cells, 7 new ones beside the shared two, and the head alone.
    assert len(made.arms) == 4 + 6 + 1
    assert len({run.config.fingerprint() for run in made.runs(Path())}) == len(made.arms) * 6


def test_an_arm_that_is_written_lends_its_name_to_the_cell_that_it_is() -> None:
    written = {**HEAD, "plain": {"adapter.gamma": 0.0}, "lone": {"adapter.scoring": "none"}}
    made = suite(arms=written, design="crossed", factors=CROSSED)
    assert "unregularised" not in made.arms and made.arms["plain"] == {"adapter.gamma": 0.0}
    assert made.contrasts["regularisation: unregularised"]["plain"] == 0.5
    assert made.pairs == [("lone", "base")]


def test_a_block_within_another_level_has_a_reference_of_its_own() -> None:
    block = {"design": "one-at-a-time", "within": {"adapter.k": []}, "factors": {"a": RANDOM}}
    made = suite(designs={"flat": block})
    assert made.arms == {
        "base": {},
        "flat": {"adapter.k": []},
        "flat.random": {"adapter.k": [], "adapter.scoring": "random"},
        **HEAD,
    }
    assert made.pairs == [("flat.random", "flat")]
    shared = suite(designs={"parts": BLOCKS["parts"], "flat": block})
    assert ("flat.random", "one-plane") in shared.pairs and "flat" not in shared.arms


def test_two_blocks_may_ask_the_same_of_different_arms() -> None:
    flat = {"design": "nested", "within": {"adapter.k": []}, "factors": {"allocation": RANDOM}}
    deep = {"design": "nested", "factors": {"allocation": RANDOM}}
    made = suite(designs={"deep": deep, "flat": flat})
    assert list(made.contrasts) == ["allocation: random", "flat, allocation: random"]
    assert made.contrasts["flat, allocation: random"] == {"flat": -1.0, "flat.random": 1.0}


def test_contrasts_and_comparisons_of_ones_own_stand_beside_a_design() -> None:
    own = {"both at once": {"one-plane.unregularised": 1.0, "base": -1.0}}
    made = suite(
        design="crossed", factors=CROSSED, contrasts=own, comparisons=[["one-plane", "base"]]
    )
    assert made.contrasts["both at once"] == own["both at once"] and len(made.contrasts) == 4
    assert made.pairs == [("one-plane", "base")]


def test_runs_are_tagged_with_the_levels_of_their_arm(tmp_path: Path) -> None:
    tags = {run.arm: run.tags for run in suite(designs=BLOCKS).runs(tmp_path)}
    assert tags["unregularised"] == {
        "arm": "unregularised",
        "factor.planes": "two-planes",
        "factor.regularisation": "unregularised",
    }
    assert tags["outer.full"]["factor.score"] == "full" and tags["head-only"] == {
        "arm": "head-only"
    }


def test_a_stored_suite_has_no_design_and_is_the_suite(tmp_path: Path) -> None:
    made = suite(designs=BLOCKS, equivalence=[{"arm": "one-plane", "margin": 0.02}])
    path = made.write(tmp_path)
    again = load_suite(str(path))
    assert again.spelled_out() == made.spelled_out()
    assert not {"design", "factors", "designs"} & set(yaml.safe_load(path.read_text()))


ONE = {"a": {"x": {"adapter.k": 1}, "y": {}}}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"design": "crossed", "factors": {}}, ["factors", "the design is empty"]),
        ({"design": "crossed"}, ["factors", "the design is empty"]),
        ({"factors": ONE}, ["design", "say how", "one-at-a-time"]),
        ({"design": "crosed", "factors": ONE}, ["design", 'mean "crossed"']),
        ({"designs": {}}, ["designs", "at least one"]),
        ({"design": "crossed", "factors": CROSSED, "arms": 3}, ["arms", "dictionary", "3"]),
        ({"design": "crossed", "factors": CROSSED, "contrasts": 3}, ["contrasts", "3"]),
        ({"designs": {"b": 3}}, ["designs.b", "{design, factors}", "3"]),
        ({"designs": {"b": {"design": "grid", "factor": ONE}}}, ["designs.b.factor", '"factors"']),
        ({"desing": "crossed", "factors": ONE}, ["desing", 'mean "design"']),
        ({"design": "grid", "factors": {"a": {"x": {}}}}, ["factors.a", "two levels", "1"]),
        (
            {"design": "grid", "factors": {"adapter.k": [4, 8, 4]}},
            ["factors.adapter.k", "the level 4 appears twice"],
        ),
        ({"design": "grid", "factors": {"a": 3}}, ["factors.a", "a list of values", "3"]),
        (
            {"design": "leave-one-out", "factors": {"adapter.k": [1, 2, 8]}},
            ["leave-one-out", "3", "one-at-a-time"],
        ),
        (
            {"design": "grid", "factors": {"a": {"x": {"adapter.gama": 0}, "y": {}}}},
            ["factors.a.x.adapter.gama", "adapter.gamma"],
        ),
        (
            {"design": "grid", "factors": {"width": [1, 8]}},
            ["factors.width", "no setting of that name"],
        ),
        ({"design": "grid", "factors": {"a": {True: {}, "y": {"adapter.k": 1}}}}, ["quotes"]),
        ({"design": "grid", "factors": ONE, "floor": ["head-only"]}, ["floor", "valid string"]),
        (
            {"design": "grid", "factors": {"a": {"x": {"seed": 3}, "y": {}}}},
            ["factors.a.x.seed", "every seed"],
        ),
        (
            {"design": "grid", "factors": {**ONE, "b": {"z": {"adapter.k": 2}, "y": {}}}},
            ["factors.b.z.adapter.k", "factor 'a' sets it too"],
        ),
        (
            {"designs": {"b": {"design": "nested", "within": {"adapter.k": 4}, "factors": ONE}}},
            ["designs.b.factors.a.x.adapter.k", "`within` sets it too"],
        ),
        (
            {"design": "grid", "factors": {"a": {"x": {"adapter.target_rank": 9}, "y": {}}}},
            ["factors.a.x", "breaks the base", "at most r"],
        ),
        (
            {"design": "grid", "factors": {"adapter.k": [1, 2]}},
            ["factors.adapter.k", "no level is the base's own", "`name: {}`"],
        ),
        (
            {"design": "grid", "factors": {"a": {"x": {"adapter.k": [8]}, "y": {}}}},
            ["factors.a", "x and y are both the base"],
        ),
        (
            {"design": "crossed", "factors": {"planes": PLANES, "score": SCORE}},
            [
                "(one-plane, full)",
                "equals the cell (one-plane, reduced)",
                "with one plane",
                "nested",
            ],
        ),
        (
            {"design": "crossed", "factors": {"planes": PLANES, "kind": KIND}},
            ["(one-plane, outer)", "cannot exist", "one per plane"],
        ),
        (
            {
                "designs": {
                    "b": {"design": "grid", "factors": {"a": {"x": {"adapter.k": 1}, "y": {}}}},
                    "c": {"design": "grid", "factors": {"a": {"x": {"adapter.k": 2}, "y": {}}}},
                }
            },
            ["designs.c.factors", "'x'", "rename a level"],
        ),
        (
            {
                "design": "crossed",
                "factors": ONE,
                "contrasts": {"a: x": {"head-only": 1, "base": -1}},
            },
            ["contrasts.a: x", "a design makes"],
        ),
        (
            {"design": "grid", "factors": ONE, "adapter": {"k": 0}, "comparisons": [["x", "base"]]},
            ["adapter.k", "0"],
        ),
    ],
)
def test_a_design_that_cannot_be_is_refused_with_the_reason(
    changes: dict[str, Any], words: list[str]
) -> None:
    told = "\n".join(problems(**changes))
    assert [word for word in words if word not in told] == []
    # One mistake is told once: nothing that follows from it is told beside it.
    assert len({line.partition(":")[0] for line in told.splitlines()}) == 1


def test_every_mistake_of_a_design_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "task: sentiment\n"
        "arms: {head-only: {method: head-only}}\n"
        "designs:\n"
        "  one:\n"
        "    design: crossd\n"
        "    factors:\n"
        "      a: {x: {adapter.k: 1}, y: {}}\n"
        "  two:\n"
        "    design: grid\n"
        "    factors:\n"
        "      b:\n"
        "        x: {adapter: {kk: 1}}\n"
        "        y: {}\n"
        "comparisons: [[x, base]]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_suite(str(file))
    told = {(p.where.rpartition(":")[2], p.key) for p in caught.value.problems}
    assert told == {("5", "designs.one.design"), ("12", "designs.two.factors.b.x.adapter.kk")}


def test_a_design_makes_a_suite_also_without_arms() -> None:
    made = validate_suite(
        Source({"name": "x", "task": "sentiment", "floor": None, "design": "grid", "factors": ONE})
    )
    assert list(made.arms) == ["base", "x"]
