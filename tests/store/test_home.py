from __future__ import annotations

from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.store.paths import HOME_VARIABLE, find_file, home, shipped


def test_the_home_is_made_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "new" / "home"))
    assert home() == tmp_path / "new" / "home"
    assert home().is_dir()


def test_without_the_variable_the_home_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home() == tmp_path / ".cache" / "lora2_search"


def test_a_home_that_cannot_be_made_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match=f"cannot create the folder .*; set {HOME_VARIABLE}"):
        home()


@pytest.mark.parametrize("name", ["quickstart.yaml", "quickstart"])
def test_a_shipped_space_is_found_by_name_from_any_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file(name, "search_spaces") == shipped("search_spaces") / "quickstart.yaml"


def test_a_file_that_exists_wins_over_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.yaml").write_text("task: rte\n")
    assert find_file("quickstart.yaml", "search_spaces").absolute() == tmp_path / "quickstart.yaml"


@pytest.mark.parametrize("end", [".yaml", ""])
def test_a_wrong_name_is_answered_with_the_nearest_written_alike(end: str) -> None:
    with pytest.raises(UserError, match=rf'no file quickstrt{end},.*"quickstart{end}"'):
        find_file(f"quickstrt{end}", "search_spaces")


@pytest.mark.parametrize("name", ["missing.yaml", "missing"])
def test_a_name_that_is_near_none_is_answered_with_all_that_can_be_run(name: str) -> None:
    end = r"\.yaml" if name.endswith(".yaml") else ""
    with pytest.raises(UserError, match=rf"shipped: cola{end}, .*stsb{end}$") as caught:
        find_file(name, "search_spaces")
    assert "did you mean" not in str(caught.value)
    assert "_glue" not in str(caught.value)


def test_a_folder_is_called_one_unless_a_shipped_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("spaces", "rte"):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="spaces is a folder; name a YAML file"):
        find_file("spaces", "search_spaces")
    assert find_file("rte", "search_spaces") == shipped("search_spaces") / "rte.yaml"


def test_a_wrong_folder_is_never_answered_with_a_shipped_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        find_file(str(tmp_path / "quickstart.yaml"), "search_spaces")
