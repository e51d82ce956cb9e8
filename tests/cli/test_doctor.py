from __future__ import annotations

import os
import stat
import urllib.error
from dataclasses import replace
from email.message import Message
from pathlib import Path

import pytest

from lora2_search.cli.commands import doctor
from lora2_search.store.paths import HOME_VARIABLE, home
from lora2_search.training.data import assets as packaged


def test_python_hardware_and_libraries_are_found_here() -> None:
    assert doctor.python().state == "ok"
    assert "cores" in doctor.hardware().message
    assert "torch" in doctor.versions().message
    assert doctor.accelerator().state == "ok"


def test_a_library_off_its_pin_is_a_warning_with_the_pin(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("# seen\ntorch==2.13.0\npeft==0.1.0\n")
    found = doctor.versions(pins)
    assert found.state == "warn"
    assert "peft" in found.message
    assert "known to work: 0.1.0" in found.message


def test_the_pins_of_the_checkout_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "0.0.1")
    found = doctor.versions()
    assert found.state == "warn" and "torch 0.0.1 (known to work: " in found.message


def test_a_home_that_can_be_written_says_where_and_how_much_room() -> None:
    found = doctor.home_folder()
    assert found.state == "ok"
    assert str(home()) in found.message
    assert list(home().iterdir()) == []


def test_a_home_that_cannot_be_made_fails_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "file" / "home"))
    found = doctor.home_folder()
    assert found.state == "fail"
    assert f"set {HOME_VARIABLE}" in found.message


def test_a_ray_token_that_others_can_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert "--generate" in doctor.ray_token().message
    token.write_text("secret")
    token.chmod(0o644)
    assert doctor.ray_token().state == "warn"
    assert f"Ray's {token}" in doctor.ray_token().message
    assert "chmod 600" in doctor.ray_token().message
    token.chmod(stat.S_IRUSR)
    assert doctor.ray_token().state == "ok"
    assert "secret" not in doctor.ray_token().message


def answer(error: Exception | None) -> object:
    def open_url(*_: object, **__: object) -> None:
        if error:
            raise error

    return open_url


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (None, "ok", "answers"),
        (urllib.error.HTTPError("u", 403, "no", Message(), None), "ok", "answers (403)"),
        (urllib.error.URLError("name not known"), "warn", "name not known"),
        (TimeoutError("timed out"), "warn", "local folders"),
    ],
)
def test_the_hub_is_asked_and_its_silence_is_a_warning(
    error: Exception | None, state: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = doctor.hub(answer(error))  # type: ignore[arg-type]
    assert found.state == state
    assert words in found.message


def test_an_offline_hub_is_said_and_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = doctor.hub(answer(AssertionError("asked")))  # type: ignore[arg-type]
    assert (found.state, "HF_HUB_OFFLINE" in found.message) == ("warn", True)


def test_absent_assets_are_named_with_the_command_that_gets_them() -> None:
    found = list(doctor.assets(fetch=False))
    assert {check.name for check in found} == packaged.PACKAGES.keys()
    assert all(check.state == "warn" and "doctor --fetch" in check.message for check in found)


def test_assets_that_are_there_are_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = {name: replace(package, files={}) for name, package in packaged.PACKAGES.items()}
    monkeypatch.setattr(packaged, "PACKAGES", bare)
    for name in packaged.PACKAGES:
        (home() / "assets" / name).mkdir(parents=True)
    assert [check.state for check in doctor.assets(fetch=True)] == ["ok"] * len(packaged.PACKAGES)


def test_the_tracking_store_opens_or_says_what_happens_then(tmp_path: Path) -> None:
    assert doctor.tracking_store().state == "ok"
    wrong = doctor.tracking_store("ftp://host")
    assert wrong.state == "fail"
    assert "--tracking-uri must be" in wrong.message
    away = doctor.tracking_store("http://127.0.0.1:9")
    assert away.state == "warn"
    assert "runs sync" in away.message


def test_every_check_that_is_not_ok_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", os.devnull)
    checks = list(doctor.examine())
    assert len(checks) >= 10
    for check in checks:
        assert check.state in ("ok", "warn", "fail")
        assert check.message
