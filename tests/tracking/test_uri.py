from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.home import home
from lora2_search.tracking import uri as uris


def test_the_default_is_sqlite_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert uris.resolve() == f"sqlite:///{home()}/mlflow.db"
    assert uris.artifact_folder(uris.resolve()) == home() / "mlartifacts"


def test_the_option_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://one:5000/")
    assert uris.resolve() == "http://one:5000"
    assert uris.resolve("http://two:5000") == "http://two:5000"


def test_a_relative_database_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris.resolve("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("uri", ["postgresql+psycopg2://u:p@h/db", "databricks", "https://m.org"])
def test_servers_and_databases_pass(uri: str) -> None:
    assert uris.resolve(uri) == uri


@pytest.mark.parametrize(
    "uri",
    ["./mlruns", "file:///tmp/mlruns", "mlflow.db", "sqlite://", "sqlite:///:memory:", "ftp://h"],
)
def test_what_would_become_a_folder_is_refused_with_what_would_be_right(uri: str) -> None:
    with pytest.raises(UserError, match="--tracking-uri must be .*sqlite:////folder") as error:
        uris.resolve(uri)
    assert repr(uri) in str(error.value)


def test_passwords_are_not_shown() -> None:
    assert uris.shown("http://ann:secret@host:5000/x") == "http://ann:***@host:5000/x"
    assert uris.shown("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--tracking-uri"):
        uris.prepare(f"sqlite:///{tmp_path}/file/mlflow.db")


@pytest.mark.slow
def test_four_processes_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    code = (
        "from lora2_search.tracking.client import Client;"
        f"print(Client({uri!r}).experiment('lora2_search/studies/x', 'u')[0])"
    )
    openers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
        for _ in range(4)
    ]
    told = [opener.communicate(timeout=120) for opener in openers]
    assert [opener.returncode for opener in openers] == [0] * 4, told
    assert {out.strip() for out, _ in told} == {"1"}
    found = (
        sqlite3.connect(tmp_path / "new" / "mlflow.db").execute("PRAGMA journal_mode").fetchone()
    )
    assert found == ("wal",)
    assert not list(tmp_path.rglob("*.new"))
