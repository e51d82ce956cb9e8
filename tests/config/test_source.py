from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora2_search.config.space.schema import load_space
from lora2_search.config.yaml import Source, merge, read_yaml, with_overrides
from lora2_search.errors import ConfigError, UserError
from lora2_search.store.paths import find_file


def write(folder: Path, text: str, name: str = "space.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("1.5e-4", 1.5e-4),
        (".5", 0.5),
        ("-2e0", -2.0),
        ("4", 4),
        ("-4", -4),
        ("0.1", 0.1),
        ("1e", "1e"),
        ("e-3", "e-3"),
        ("'1e-3'", "1e-3"),
        ("true", True),
        ("null", None),
    ],
)
def test_numbers_are_read_as_people_write_them(tmp_path: Path, text: str, value: object) -> None:
    read = read_yaml(write(tmp_path, f"a: {text}\n")).data["a"]
    assert read == value
    assert type(read) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_that_python_prints_comes_back(value: float) -> None:
    assert with_overrides(Source({}), [f"a={value!r}"]).data == {"a": value}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1\n", 3, "invalid YAML"),
        ("a: 1\n\tb: 2\n", 2, "invalid YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "a: written twice (first at line 1)"),
        ("a:\n  b: 1\n  b: 2\n", 3, "a.b: written twice (first at line 2)"),
        ("a: 1\nb: !!python/object/apply:os.system ['exit 1']\n", 2, "never code"),
        ("a: 1\nb: !!python/name:os.system\n", 2, "never code"),
        ("a: &a {b: *a}\n", 1, "contains itself"),
    ],
)
def test_a_broken_file_names_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert words in str(caught.value)
    assert caught.value.problems[0].where == f"{path}:{line}"


def test_a_bracket_that_is_never_closed_is_named_by_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="started in line 2") as caught:
        read_yaml(write(tmp_path, "a: 1\nb: [1,\n\nc: 2\nd: 3\n"))
    assert caught.value.problems[0].where.endswith(":5")


@pytest.mark.parametrize("text", ["- a\n", "just words\n", "4\n"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="must be a mapping of settings"):
        read_yaml(write(tmp_path, text))


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert read_yaml(write(tmp_path, "")).data == {}


def test_a_missing_or_undecodable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="is a folder; name a YAML file"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read"):
        read_yaml(tmp_path / "latin.yaml")


def test_merge_keys_are_not_mistaken_for_repeated_keys(tmp_path: Path) -> None:
    text = "base: &base {k: 4, r: 2}\nadapter: {<<: *base, k: 3}\n"
    assert read_yaml(write(tmp_path, text)).data["adapter"] == {"k": 3, "r": 2}


def test_nested_aliases_do_not_explode(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    started = time.monotonic()
    read_yaml(write(tmp_path, "\n".join(lines)))
    assert time.monotonic() - started < 2


def test_a_file_overrides_what_it_extends_key_by_key(tmp_path: Path) -> None:
    base = write(tmp_path, "task: rte\nadapter:\n  k: 8\n  r: 8\n", "base.yaml")
    middle = write(tmp_path, "extends: base.yaml\nadapter:\n  r: 4\n", "middle.yaml")
    top = write(tmp_path, "extends: middle.yaml\ntask: cola\n", "top.yaml")
    source = read_yaml(top)
    assert source.data == {"task": "cola", "adapter": {"k": 8, "r": 4}}
    assert source.place(("adapter", "k")) == f"{base}:3"
    assert source.place(("adapter", "r")) == f"{middle}:3"
    assert source.place(("task",)) == f"{top}:2"


def test_a_searched_setting_replaces_the_inherited_one_whole(tmp_path: Path) -> None:
    write(tmp_path, "search:\n  adapter.k: {low: 1, high: 8}\n", "base.yaml")
    top = write(tmp_path, "extends: base.yaml\nsearch:\n  adapter.k: {choices: [1, 2]}\n")
    assert read_yaml(top).data == {"search": {"adapter.k": {"choices": [1, 2]}}}


@pytest.mark.parametrize("name", ["mine.yaml", "quickstart.yaml"])
def test_a_shipped_file_can_be_extended_from_anywhere(name: str, tmp_path: Path) -> None:
    top = write(tmp_path, "extends: quickstart.yaml\ntrials: 3\n", name)
    shipped = find_file("quickstart", "search_spaces")
    source, theirs = read_yaml(top), read_yaml(shipped)
    assert source.data == {**theirs.data, "trials": 3}
    assert source.place(("search",)) == theirs.place(("search",))
    assert source.place(("search",)).startswith(f"{shipped}:")


def test_a_file_beside_wins_over_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, "task: rte\n", "quickstart.yaml")
    assert read_yaml(write(tmp_path, "extends: quickstart.yaml\n")).data == {"task": "rte"}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_files_that_extend_each_other_are_refused(tmp_path: Path, length: int) -> None:
    for i in range(length):
        write(tmp_path, f"extends: f{(i + 1) % length}.yaml\n", f"f{i}.yaml")
    with pytest.raises(ConfigError, match="extend each other") as caught:
        read_yaml(tmp_path / "f0.yaml")
    assert str(caught.value).count("f0.yaml") >= 2


@pytest.mark.parametrize(
    ("text", "words"), [("absent.yaml", "no file"), ("[a, b]", "must be a file name")]
)
def test_a_wrong_extends_names_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, f"task: rte\nextends: {text}\n")
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(path)
    assert caught.value.problems[0].where == f"{path}:2"


def test_an_override_wins_and_says_where_it_stood(tmp_path: Path) -> None:
    source = read_yaml(write(tmp_path, "adapter:\n  k: 8\n  r: 8\n"))
    changed = with_overrides(source, ["adapter.k=4", "training.lr=1e-3", "data.text=[a, b]"])
    assert changed.data == {
        "adapter": {"k": 4, "r": 8},
        "training": {"lr": 1e-3},
        "data": {"text": ["a", "b"]},
    }
    assert changed.place(("adapter", "k")) == "--set adapter.k=4"
    assert source.data == {"adapter": {"k": 8, "r": 8}}


def test_a_setting_that_is_assigned_is_no_longer_searched() -> None:
    source = Source({"search": {"adapter.k": {"low": 1, "high": 8}, "training.lr": {}}})
    changed = with_overrides(source, ["adapter.k=4"])
    assert changed.data == {"adapter": {"k": 4}, "search": {"training.lr": {}}}


def test_a_searched_range_can_be_assigned_by_its_dotted_name() -> None:
    source = Source({"search": {"adapter.k": {"low": 1, "high": 8}}})
    changed = with_overrides(source, ["search.adapter.k={low: 2, high: 4}"])
    assert changed.data == {"search": {"adapter.k": {"low": 2, "high": 4}}}


def test_all_broken_assignments_come_together() -> None:
    with pytest.raises(ConfigError) as caught:
        with_overrides(Source({}), ["adapter.k", "=4", "seed=[", "fine=1"])
    assert [problem.where for problem in caught.value.problems] == [
        "--set adapter.k",
        "--set =4",
        "--set seed=[",
    ]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("adapter.k=x", "--set adapter.k=x: adapter.k: must be a valid integer"),
        ("adapter={k: 0}", "--set adapter={k: 0}: adapter.k: "),
        ("adapter=5", "--set adapter=5: adapter: must be a group of settings"),
        ("adapter.target_rank=9", "--set adapter.target_rank=9: adapter: target_rank must be at"),
        ("adapter.t_init=0.9", "--set adapter.t_init=0.9: adapter: t_init + t_final must be less"),
        ("scheduler.grace=6", "--set scheduler.grace=6: scheduler.grace: must be at most"),
        ("training.evaluations=2", "--set training.evaluations=2: scheduler.grace: must be at m"),
        ("search.training.lr={low: 1}", "--set search.training.lr={low: 1}: search.training.lr"),
        ("seed=!!int abc", "--set seed=!!int abc: seed: 'abc' is no int"),
        ("seed={a: 010}", "--set seed={a: 010}: seed.a: 010 is ambiguous"),
        ("a" + ".a" * 40 + "=1", ": names a key of 41 parts"),
    ],
)
def test_a_mistake_of_an_assignment_is_placed_at_it_and_at_no_line(
    tmp_path: Path, assignment: str, said: str
) -> None:
    path = write(
        tmp_path,
        "name: x\ntask: sentiment\ntrials: 4\nadapter: {k: 8, r: 8, t_init: 0.1, t_final: 0.2}\n"
        "scheduler: {grace: 4}\nsearch:\n  training.lr: {type: float, low: 0.1, high: 0.2}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_space(str(path), [assignment])
    assert said in str(caught.value)
    assert str(path) not in str(caught.value)


def test_a_mistake_of_the_file_stays_at_its_line_whatever_is_assigned(tmp_path: Path) -> None:
    path = write(
        tmp_path, "name: x\ntask: sentiment\ntrials: 4\nadapter: {r: 8, kk: 4}\nsearch: {}"
    )
    with pytest.raises(ConfigError) as caught:
        load_space(str(path), ["adapter.r=4", "seed=3"])
    assert f"{path}:4: adapter.kk: unknown key" in str(caught.value)


def test_a_file_of_50_megabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(b"a: 1\n" * 10_000_000)
    started = time.process_time()
    with pytest.raises(ConfigError, match="cannot be read: it is larger than 1,000,000 bytes"):
        read_yaml(path)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_that_tells_its_encoding_is_read_in_it(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("a: grün\n", encoding=encoding)
    assert read_yaml(path).data == {"a": "grün"}


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("a: 1\nb: grün\n".encode("cp1252"), "cannot be read: line 2 is not UTF-8 (byte 0xfc)"),
        ("a: 1\n".encode("utf-16-le"), "contains a character that is not allowed in text (U+0000)"),
        ("a: 1\n".encode("utf-32"), "contains a character that is not allowed in text (U+0000)"),
        (b"\xff\xfea", "cannot be read: "),
        (bytes(range(256)), "cannot be read: "),
    ],
)
def test_a_file_in_another_encoding_is_refused_in_one_line(
    tmp_path: Path, raw: bytes, words: str
) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_long_chain_of_files_is_refused_where_it_gets_too_long(tmp_path: Path) -> None:
    for i in range(1000):
        write(tmp_path, f"extends: f{i + 1}.yaml\n", f"f{i}.yaml")
    with pytest.raises(
        ConfigError, match="more than 20 files extend each other in a row"
    ) as caught:
        read_yaml(tmp_path / "f0.yaml")
    assert caught.value.problems[0].where == f"{tmp_path / 'f20.yaml'}:1"


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody/x", "../" * 1500, "", "."])
def test_a_name_that_no_file_can_have_is_refused_like_any_other(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no file"):
        read_yaml(write(tmp_path, f"extends: '{name}'\n"))
    with pytest.raises(UserError):
        load_space(name)


def test_what_a_file_replaces_whole_stands_no_longer_where_it_stood(tmp_path: Path) -> None:
    write(tmp_path, "search:\n  adapter.k:\n    low: 1\n    high: 8\n", "base.yaml")
    top = write(tmp_path, "extends: base.yaml\nsearch:\n  adapter.k: {high: 4}\n")
    source = read_yaml(top)
    assert source.place(("search", "adapter.k", "low")) == f"{top}:3"


NESTED = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from("abc"), NESTED), st.dictionaries(st.sampled_from("abc"), NESTED)
)
def test_merging_keeps_every_key_and_lets_the_second_win(base: dict, over: dict) -> None:
    result = merge(base, over)
    assert set(result) == set(base) | set(over)
    assert merge(result, over) == result
    for key, value in over.items():
        if not isinstance(value, dict):
            assert result[key] == value
