from __future__ import annotations

import time
import tracemalloc

import pytest

from lora2_search.config.space.schema import validate_space
from lora2_search.config.yaml import Source, parse_yaml
from lora2_search.errors import ConfigError


def read(text: str) -> object:
    return parse_yaml(text, lambda line: f"line {line + 1}")[0]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: " + "[" * 900 + "]" * 900,
            "line 1: nests deeper than 30 levels",
        ),
        ("b: 1\na: " + "{a: " * 900, "line 2: nests deeper than 30 levels"),
        ("a: [" + "1, " * 30_000 + "]", "line 1: holds more than 20,000 values"),
        ("\na: !!int abc", "line 2: a: 'abc' is no int"),
        ("a: !!int ''", "line 1: a: '' is no int"),
        ("a: !!float abc", "line 1: a: 'abc' is no float"),
        ("a: !!bool perhaps", "line 1: a: 'perhaps' is no bool"),
        ("a: " + "9" * 5000, "line 1: a: has 5,000 digits; a whole number has at most 30"),
        ("a: -" + "9" * 31, "line 1: a: has 31 digits"),
        ("a: 010", "line 1: a: 010 is ambiguous in YAML; write a plain number, or quote it"),
        ("hours: 1:30", "line 1: hours: 1:30 is ambiguous in YAML"),
        ("a: " + "x" * 9000, "line 1: a: has 9,000 characters; a text has at most 5,000"),
        (f"{'x' * 900}: 1\n{'x' * 900}: 1", "written twice (first at line 1)"),
        ("b: 1\na: x\x00y", "line 2: contains a character that is not allowed in text (U+0000)"),
        ('a: "x\\0y"', "line 1: a: 'x\\x00y' contains a character that is not allowed in names"),
        ('a: "\\ud800"', "line 1: a: '\\ud800' contains a character"),
        ('a: "\\UFFFFFFFF"', "line 1: invalid YAML"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: 1", "line 1: invalid YAML"),
        ("yes: 1", "line 1: YAML reads the key 'yes' as true or false; put it in quotes"),
        ("a: {~: 1}", "line 1: a: YAML reads the key '~' as nothing; put it in quotes"),
        ("? [a, b]\n: 1", "line 1: a key must be a string, but got a list or a mapping"),
        ("{a: 1, a: 2}", "line 1: a: written twice (first at line 1)"),
        ("1: a\n'1': b", "line 2: 1: written twice (first at line 1)"),
        ("a: !!set {x, y}", "line 1: a: tag 'set': only plain values are read here, never code"),
        ("a: !!omap [x: 1]", "line 1: a: tag 'omap'"),
        ("a: !!binary aGk=", "line 1: a: tag 'binary'"),
        ("a: !!timestamp 2024-13-45", "line 1: a: tag 'timestamp'"),
        ("a: !mine 4", "line 1: a: tag '!mine'"),
        ("a: !!str [x]", "line 1: invalid YAML"),
        ("a: *nowhere", "line 1: invalid YAML: found undefined alias"),
        ("a: &a {<<: *a}", "line 1: a.<<: contains itself through an alias"),
        ("a: &a [*a]", "line 1: a.0: contains itself through an alias"),
        ("a: {<<: 4}", "line 1: invalid YAML"),
        ("a: 1\n---\nb: 2", "line 2: invalid YAML"),
        ("a:\n\t- 1", "line 2: invalid YAML"),
        ("1" * 400_000 + "x: 1", "invalid YAML"),
    ],
    ids=lambda value: value[:24],
)
def test_whatever_a_text_holds_one_message_names_its_line_at_once(text: str, message: str) -> None:
    started = time.process_time()
    said = refusal(text)
    assert time.process_time() - started < 10
    assert message in said
    assert "\n" not in said and len(said) < 500


@pytest.mark.parametrize("text", ["[1, ", "{a: ", "- ", "&a [*a, "])
def test_the_largest_text_takes_less_than_100_megabytes(text: str) -> None:
    whole = (text * 50_000)[:100_000]
    tracemalloc.start()
    refusal(whole)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory < 50e6


def test_all_that_is_wrong_with_the_values_comes_together() -> None:
    said = refusal("a: !!int x\nb: !!set {y}\nc: 010\nc: 1\n").splitlines()
    assert [line.partition(":")[0] for line in said] == ["line 1", "line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2024-01-01", "2024-01-01"),
        ("a: 2024-13-45", "2024-13-45"),
        ("a: =", "="),
        ("a: 0x1F", 31),
        ("a: 1_000", 1000),
        ("a: 0", 0),
        ("a: '010'", "010"),
        ("a: [1, 2.5, 1e-3, .5, -1.]", [1, 2.5, 1e-3, 0.5, -1.0]),
        ("b: &b {x: 1}\na: {<<: *b, y: 2}", {"x": 1, "y": 2}),
        ("a: {8: x, 1e-3: y, 01: z}", {"8": "x", "1e-3": "y", "01": "z"}),
        ("a: ü 日本", "ü 日本"),
    ],
)
def test_plain_values_are_read_and_keys_stay_as_they_are_written(text: str, value: object) -> None:
    read_value = parse_yaml(text, str)[0]["a"]
    assert read_value == value and type(read_value) is type(value)


def test_merges_of_merges_do_not_explode() -> None:
    lines = ["a0: &a0 {x0: 1}"]
    lines += [
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}], x{i}: 1}}" for i in range(1, 20)
    ]
    started = time.process_time()
    read("\n".join(lines))
    assert time.process_time() - started < 10


def _bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, y]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join([*lines, f"choices: *a{levels - 1}"])


@pytest.mark.parametrize("levels", [3, 6, 12, 29])
@pytest.mark.parametrize("under", ["search", "arms", "adapter", "data"])
def test_the_message_about_an_alias_bomb_does_not_grow_with_it(levels: int, under: str) -> None:
    data = {"name": "x", under: {"adapter.k": parse_yaml(_bomb(levels), str)[0]}}
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        validate_space(Source(data))
    assert time.process_time() - started < 10
    assert len(str(caught.value)) < 2500


def test_a_chain_of_aliases_is_as_deep_as_what_it_stands_for() -> None:
    lines = ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{k: *a{i - 1}}}" for i in range(1, 900))]
    with pytest.raises(ConfigError, match="nests deeper than 30 levels, aliases unfolded"):
        validate_space(Source(parse_yaml("\n".join(lines), str)[0]))


def test_data_from_python_that_contain_themselves_are_refused() -> None:
    data: dict[str, object] = {"name": "x"}
    data["search"] = data
    with pytest.raises(ConfigError, match="nests deeper than 30 levels"):
        validate_space(Source(data))
