from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.store.paths import home
from lora2_search.tracking import uri as uris
from lora2_search.tracking.delivery.sync import sync


def test_the_default_is_sqlite_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert uris.resolve_uri() == f"sqlite:///{home()}/mlflow.db"
    assert uris.artifact_folder(uris.resolve_uri()) == home() / "mlartifacts"


def test_the_option_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://one:5000/")
    assert uris.resolve_uri() == "http://one:5000"
    assert uris.resolve_uri("http://two:5000") == "http://two:5000"


def test_a_relative_database_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris.resolve_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("uri", ["postgresql+psycopg2://u:p@h/db", "databricks", "https://m.org"])
def test_servers_and_databases_pass(uri: str) -> None:
    assert uris.resolve_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    ["./mlruns", "file:///tmp/mlruns", "mlflow.db", "sqlite://", "sqlite:///:memory:", "ftp://h"],
)
def test_what_would_become_a_folder_is_refused_with_what_would_be_right(uri: str) -> None:
    with pytest.raises(UserError, match="tracking_uri must be .*sqlite:////folder") as error:
        uris.resolve_uri(uri)
    assert repr(uri) in str(error.value)


def test_passwords_are_not_shown() -> None:
    assert uris.display_uri("http://ann:secret@host:5000/x") == "http://ann:***@host:5000/x"
    assert uris.display_uri("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_an_unwritable_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="tracking_uri"):
        uris.prepare(f"sqlite:///{tmp_path}/file/mlflow.db")


@pytest.mark.slow
def test_four_processes_open_a_fresh_database_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    code = (
        "from lora2_search.tracking.delivery.client import Client;"
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


SECRETS = [
    ("http://ann:{}@host:5000/x", "ann", "host:5000/x"),
    ("https://tok-{}@host/x", "", "host/x"),
    ("postgresql+psycopg2://ann:{}@host/db", "ann", "host/db"),
    ("postgres://ann:{}@host/db", "ann", "host/db"),
    ("ann:{}@host:5000", "ann", "host:5000"),
    ("//ann:{}@host", "ann", "host"),
    ("ftp://:{}@host", "", "host"),
    ("mysql://host/db?user=ann&password={}&x=1", "ann", "x=1"),
    ("mssql://host/db?odbc_connect=PWD%3D{}", "", "host/db"),
    ("http://[ann:{}@host", "", "host"),
]


@pytest.mark.parametrize(("form", "user", "host"), SECRETS)
@pytest.mark.parametrize("password", ["secret", "s/e#c?r@et", "s:e cr%40et", "ü日本x"])
def test_no_part_of_a_password_is_shown_whatever_stands_in_it(
    form: str, user: str, host: str, password: str
) -> None:
    if "=" in form and set(password) & set("#&"):
        pytest.skip("such a character ends an option")
    told = uris.display_uri(form.format(password))
    assert not [part for part in re.split(r"[/#?@: ]", password) if len(part) > 1 and part in told]
    assert user in told and host in told and "***" in told


@pytest.mark.parametrize(("form", "user", "host"), SECRETS)
def test_a_refused_uri_is_told_without_its_password(form: str, user: str, host: str) -> None:
    for given in (form.format("s3cr3t"), form.format("s3cr3t").replace("://", ":/")):
        try:
            uris.check_driver(uris.resolve_uri(given))
        except UserError as error:
            assert "s3cr3t" not in str(error)


def test_an_error_of_a_library_is_told_without_the_password() -> None:
    uri = "postgresql://ann:p%40ss@host/db"
    for text in (f"cannot open {uri}", "login p@ss failed", "dsn postgresql://ann:p%40ss@h/x"):
        assert "ss" not in uris.redacted(text, uri).replace("***", "")
    assert uris.redacted("see https://mlflow.org/docs") == "see https://mlflow.org/docs"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("postgresql+nodriver://ann:s3cr3t@h/db", "is not a database URI"),
        ("postgresql://ann:s3cr3t@h:port/db", "is not a database URI"),
        ("mssql+pymssql://ann:s3cr3t@h/db", "pip install pymssql"),
    ],
)
def test_a_database_without_its_driver_is_told_before_anything_begins(uri: str, words: str) -> None:
    for opens in (uris.check_driver, uris.prepare, lambda uri: sync(Path("/nowhere"), uri)):
        with pytest.raises(UserError) as error:
            opens(uri)
        assert "s3cr3t" not in str(error.value)
    with pytest.raises(UserError, match=words):
        uris.check_driver(uri)


ODD = ["a b", "a#b", "a%b", "a%20b", "a%3Fb", "grün", "a?b", "a&b", "100%", "日本", "a;b=c'd"]


@pytest.mark.parametrize("name", ODD)
def test_a_database_is_where_its_folder_is_whatever_that_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy

    monkeypatch.setenv("LORA2_SEARCH_HOME", str(tmp_path / name))
    uri = uris.resolve_uri()
    assert uris.database_path(uri) == tmp_path / name / "mlflow.db"
    assert uris.resolve_uri(uri) == uri
    sqlalchemy.create_engine(uri).connect().close()
    assert [path.name for path in (tmp_path / name).iterdir()] == ["mlflow.db"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a?b", "a%20b", "ü #1"])
def test_optuna_and_mlflow_keep_their_databases_in_an_odd_home(tmp_path: Path, name: str) -> None:
    from lora2_search.search.storage import open_study
    from lora2_search.tracking.delivery.client import Client

    folder = tmp_path / name
    folder.mkdir()
    with open_study(folder, "x") as (study, _):
        study.tell(study.ask(), 1.0)
    uri = uris.resolve_uri(f"sqlite:///{folder}/mlflow.db".replace("%", "%25").replace("?", "%3F"))
    Client(uri).experiment("lora2_search/studies/x", "u")
    assert {"study.db", "mlflow.db"} <= {path.name for path in folder.iterdir()}
    # MLflow makes the folder of the URL as it is written; where that is another, it stays empty.
    assert all(path.is_relative_to(folder) for path in tmp_path.rglob("*") if path.is_file())
    needs_quoting = uris.database_path(uri) != Path(uri.removeprefix("sqlite:///"))
    assert len(list(tmp_path.iterdir())) == 1 + needs_quoting


def test_options_of_a_sqlite_uri_are_refused() -> None:
    with pytest.raises(UserError, match="a . in a path is %3F"):
        uris.resolve_uri("sqlite:////a/b.db?timeout=3")


def test_this_machines_own_servers_are_spared_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "intranet")
    assert uris.without_proxies()["NO_PROXY"] == "intranet,localhost,127.0.0.1"
