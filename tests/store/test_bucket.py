"""A folder and the bucket that it is a copy of."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lora2_search.errors import UserError
from lora2_search.store import object_store
from lora2_search.store.bucket import BucketCopy, copy_of, remove_folder
from lora2_search.store.environment import variables
from lora2_search.store.lease import LeaseLost, _machine, is_leased, leased, sending
from lora2_search.store.lock import lock_folder
from lora2_search.store.object_store import NoAnswer
from lora2_search.store.storage import storage_folder, storage_name
from tests.support.bucket import bucket, s3

__all__ = ["bucket", "s3"]


@pytest.fixture
def here(bucket: str, own_home: Path) -> Path:
    folder = storage_folder(bucket)
    assert folder is not None
    return folder


@dataclass
class Elsewhere:
    """The copy that a process with another home has."""

    copy: BucketCopy
    home: Path

    @property
    def folder(self) -> Path:
        with variables({"LORA2_SEARCH_HOME": str(self.home)}):
            return self.copy.folder

    def fetch(self, *, overrule: bool = False) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with variables({"LORA2_SEARCH_HOME": str(self.home)}):
            self.copy.fetch(overrule=overrule)

    def send(self) -> None:
        with variables({"LORA2_SEARCH_HOME": str(self.home)}):
            self.copy.send()


@pytest.fixture
def elsewhere(bucket: str, tmp_path: Path) -> Elsewhere:
    return Elsewhere(BucketCopy(bucket, "studies/mine/trials/00000"), tmp_path / "home")


def a_run(storage: Path) -> Path:
    run = storage / "studies" / "mine" / "trials" / "00000"
    step = run / "checkpoint" / "00000010"
    step.mkdir(parents=True)
    (step / "state.safetensors").write_bytes(b"tensors")
    (step / "state.json").write_text("{}")
    (run / "attempt.json").write_text('{"number": 1}')
    (run / "record.json").write_text("{}")
    return run


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_one_process_sends_another_fetches_and_what_it_deletes_is_gone_there(
    here: Path, elsewhere: Elsewhere
) -> None:
    run = a_run(here)
    copy_of(run).send()
    elsewhere.fetch()
    assert names(elsewhere.folder) == names(run)
    later = run / "checkpoint" / "00000020"
    (run / "checkpoint" / "00000010").rename(later)
    (run / "record.json").write_text('{"more": 1}')
    copy_of(run).send(rotate=True)
    elsewhere.fetch()
    assert names(elsewhere.folder) == names(run)
    assert (elsewhere.folder / "record.json").read_text() == '{"more": 1}'


def test_a_checkpoint_that_was_sent_in_part_is_not_fetched(
    here: Path, elsewhere: Elsewhere
) -> None:
    run = a_run(here)
    (run / "checkpoint" / "00000010" / "state.json").unlink()
    copy_of(run).send()
    elsewhere.fetch()
    assert names(elsewhere.folder) == {"attempt.json", "record.json"}


def test_what_is_newer_here_stays_unless_who_takes_the_run_up_finds_something_newer_there(
    here: Path, elsewhere: Elsewhere
) -> None:
    run = a_run(here)
    copy_of(run).send()
    (run / "record.json").write_text('{"not": "sent"}')
    copy_of(run).fetch()
    assert (run / "record.json").read_text() == '{"not": "sent"}'
    elsewhere.fetch()
    (elsewhere.folder / "record.json").write_text('{"there": 1}')
    elsewhere.send()
    copy_of(run).fetch()
    assert (run / "record.json").read_text() == '{"not": "sent"}'
    copy_of(run).fetch(overrule=True)
    assert (run / "record.json").read_text() == '{"there": 1}'


def test_what_is_missing_here_was_not_deleted(here: Path, elsewhere: Elsewhere) -> None:
    run = a_run(here)
    copy_of(run).send()
    elsewhere.fetch()
    whole = names(run)
    (run / "record.json").unlink()
    (run / "checkpoint" / "00000010" / "state.json").unlink()
    copy_of(run).send()
    copy_of(run.parents[1]).send()
    elsewhere.fetch()
    assert names(elsewhere.folder) == whole
    copy_of(run).fetch()
    assert names(run) == whole


def test_a_claim_is_fetched_alone(here: Path, elsewhere: Elsewhere) -> None:
    run = a_run(here)
    copy_of(run).send()
    elsewhere.fetch()
    (elsewhere.folder / "attempt.json").write_text('{"number": 2}')
    (elsewhere.folder / "record.json").write_text('{"there": 1}')
    elsewhere.send()
    copy_of(run).fetch_claim()
    assert (run / "attempt.json").read_text() == '{"number": 2}'
    assert (run / "record.json").read_text() == "{}"


def test_a_study_is_sent_without_its_runs(here: Path, elsewhere: Elsewhere) -> None:
    run = a_run(here)
    study = run.parents[1]
    (study / "space.yaml").write_text("task: sentiment")
    (study / "lock").write_text("")
    (study / ".ray").mkdir()
    (study / ".ray" / "scratch").write_text("")
    copy_of(study).send()
    (study / "study.journal.lock").symlink_to(study / "space.yaml")
    copy_of(study).send()
    whole = BucketCopy(elsewhere.copy.url)
    assert set(whole.sizes()) == {"studies/mine/space.yaml"}


def test_a_storage_is_read_without_checkpoints_and_adapters(bucket: str, here: Path) -> None:
    run = a_run(here)
    (run / "adapter").mkdir()
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    copy_of(run).send()
    os.environ["LORA2_SEARCH_HOME"] += "-of-another-machine"
    fresh = storage_folder(bucket)
    assert fresh is not None
    again = fresh / run.relative_to(here)
    assert names(again) == {"attempt.json", "record.json"}
    copy_of(again).fetch()
    assert names(again) == names(run)


def test_what_is_removed_here_is_removed_in_the_bucket_alone_of_its_name(
    bucket: str, here: Path
) -> None:
    run = a_run(here)
    other = here / "studies" / "mine2"
    other.mkdir()
    (other / "space.yaml").write_text("task: sentiment")
    copy_of(run).send()
    copy_of(other).send()
    remove_folder(run.parents[1])
    assert set(BucketCopy(bucket).sizes()) == {"studies/mine2/space.yaml"}


def test_a_storage_goes_by_its_url_and_a_folder_by_its_path(
    bucket: str, here: Path, tmp_path: Path
) -> None:
    assert storage_name(here) == bucket
    assert storage_name(tmp_path) == str(tmp_path)
    assert storage_folder(tmp_path) == tmp_path
    assert storage_folder(None) is None
    assert not isinstance(copy_of(tmp_path), BucketCopy)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://no-such-bucket-at-all/team", "s3://no-such-bucket-at-all/team is not there: "),
        ("nonsense://bucket/team", "nonsense://bucket/team is no storage: "),
        (
            "gs://bucket/team",
            "gs://bucket/team needs a package: pip install gcsfs",
        ),
    ],
)
def test_a_storage_that_cannot_be_read_is_named(s3: None, url: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        storage_folder(url)
    assert str(refused.value).startswith(words)


def test_a_bucket_that_does_not_answer_is_named_at_once(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora2_search.store import object_store as module

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    import fsspec

    fsspec.filesystem("s3").clear_instance_cache()
    module._file_system.cache_clear()
    with pytest.raises(UserError, match=f"{bucket} does not answer: "):
        storage_folder(bucket)
    fsspec.filesystem("s3").clear_instance_cache()
    module._file_system.cache_clear()


def test_a_bucket_that_accepts_and_says_nothing_is_given_up_in_time(
    s3: None, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setitem(object_store._ONE_ATTEMPT["config_kwargs"], "read_timeout", 0.2)
        monkeypatch.setattr(object_store, "PATIENCE_SECONDS", 3)
        object_store._file_system.cache_clear()
        begun = time.monotonic()
        with pytest.raises(NoAnswer, match="s3://bucket/silent does not answer: "):
            BucketCopy("s3://bucket/silent", "studies/mine").read("space.yaml")
        assert 1 < time.monotonic() - begun < 5
    object_store._file_system.cache_clear()


def test_one_process_at_a_time_holds_a_folder_of_a_bucket(bucket: str, here: Path) -> None:
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    with leased(folder):
        assert not is_leased(folder)  # not fetched: its own process need not look
        with pytest.raises(UserError, match=f"mine is being run by process {os.getpid()} on "):
            leased(folder).__enter__()
        copy_of(folder).fetch()
        assert is_leased(folder)
    copy_of(folder).fetch()
    assert not is_leased(folder)


def taken_over(copy: BucketCopy) -> None:
    """Let another machine hold what this process holds, as after a long sleep."""
    latest = max(name for name in copy.names() if name.startswith("driver-"))
    number = int(latest.removeprefix("driver-").removesuffix(".json"))
    later = {"pid": 12, "host": "node7", "token": "theirs", "seconds": time.time()}
    copy.write(f"driver-{number + 1:08d}.json", json.dumps(later).encode())


def test_a_driver_that_was_taken_over_sends_nothing_more(bucket: str, here: Path) -> None:
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    copy = BucketCopy(bucket, "studies/mine")
    with pytest.raises(UserError, match="disk"), sending(folder), leased(folder):
        (folder / "study.journal").write_text("ours")
        copy_of(folder).send()
        taken_over(BucketCopy(bucket, "studies/mine"))
        copy.write("study.journal", b"theirs")
        (folder / "study.journal").write_text("ours, later")
        with pytest.raises(LeaseLost, match="mine was taken over by process 12 on node7"):
            copy_of(folder).send()
        raise UserError("the disk is full")
    assert copy.read("study.journal") == b"theirs"


def test_a_driver_that_finds_its_lease_taken_ends_as_by_sigterm(
    bucket: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr("lora2_search.store.lease._RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr("lora2_search.signals.pretend", lambda *words: told.append(words))
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    with leased(folder):
        time.sleep(0.3)
        assert not told
        taken_over(BucketCopy(bucket, "studies/mine"))
        for _ in range(100):
            time.sleep(0.02)
            if told:
                break
    ((number, cause),) = told  # type: ignore[misc]
    assert number == signal.SIGTERM
    assert "mine was taken over by process 12" in cause


def test_a_driver_has_what_the_one_before_it_sent_last(
    bucket: str, here: Path, tmp_path: Path
) -> None:
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    (folder / "study.journal").write_text("begun")
    with leased(folder):
        pass
    (folder / "study.journal").write_text("not sent when it was killed")
    BucketCopy(bucket, "studies/mine").write("study.journal", b"gone on with elsewhere")
    with leased(folder):
        assert (folder / "study.journal").read_text() == "gone on with elsewhere"


def test_what_is_written_after_a_driver_has_ended_is_sent_unless_another_one_runs(
    bucket: str, here: Path
) -> None:
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    copy = BucketCopy(bucket, "studies/mine")
    with sending(folder):
        (folder / "report.html").write_text("page")
    assert copy.read("report.html") == b"page"
    with sending(folder):
        (folder / "report.html").write_text("another page")
        taken_over(copy)
    assert copy.read("report.html") == b"page"


@pytest.mark.parametrize(
    "owner",
    [
        {"pid": 12, "host": "another", "machine": "another", "seconds": 0},
        {"pid": 999999999, "host": "this", "machine": _machine(), "seconds": 9e9},
        None,
    ],
)
def test_who_was_killed_holds_nothing(
    bucket: str, here: Path, owner: dict[str, object] | None
) -> None:
    folder = here / "studies" / "mine"
    folder.mkdir(parents=True)
    copy = copy_of(folder)
    assert isinstance(copy, BucketCopy)
    copy.write("driver-00000007.json", json.dumps(owner).encode() if owner else b"half a li")
    with leased(folder):
        assert copy.names() == ["driver-00000008.json"]
    with leased(folder):
        assert copy.names() == ["driver-00000009.json"]


def test_what_a_process_of_this_machine_runs_is_not_fetched_over_it(
    bucket: str, here: Path
) -> None:
    run = a_run(here)
    study = run.parents[1]
    copy_of(run).send()
    with lock_folder(study):
        BucketCopy(bucket, "studies/mine/trials/00000").write("record.json", b'{"older": 1}')
        storage_folder(bucket)
        assert (run / "record.json").read_text() == "{}"
    storage_folder(bucket)
    assert (run / "record.json").read_text() == '{"older": 1}'


def test_a_file_that_changed_to_one_of_the_same_size_is_fetched(
    here: Path, elsewhere: Elsewhere
) -> None:
    run = a_run(here)
    copy_of(run).send()
    elsewhere.fetch()
    (run / "record.json").write_text("[]")
    copy_of(run).send()
    elsewhere.fetch()
    assert (elsewhere.folder / "record.json").read_text() == "[]"


def test_a_storage_at_the_root_of_a_bucket_fetches_nothing_of_others(
    bucket: str, own_home: Path
) -> None:
    root = bucket.removesuffix("/team")
    copy = BucketCopy(root)
    copy.write("archive/everything.bin", b"terabytes")
    copy.write("studies/mine/space.yaml", b"task: sentiment")
    folder = storage_folder(root)
    assert folder is not None
    assert names(folder) == {"url.json", "index.db", "studies/mine/space.yaml"}


def test_names_that_are_patterns_or_lead_elsewhere_are_only_names(bucket: str, here: Path) -> None:
    odd = BucketCopy(bucket, "studies/m[i]ne")
    BucketCopy(bucket, "studies/mine").write("space.yaml", b"kept")
    odd.write("space.yaml", b"odd")
    odd.delete()
    assert set(BucketCopy(bucket).sizes()) == {"studies/mine/space.yaml"}
    BucketCopy(bucket, "studies").write("../../out", b"")
    storage_folder(bucket)
    assert not list(here.parent.glob("**/out"))


def test_a_home_that_is_named_by_a_detour_is_the_same(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    monkeypatch.setenv("LORA2_SEARCH_HOME", "in/../home")
    folder = storage_folder(bucket)
    assert folder is not None
    assert isinstance(copy_of(folder / "studies" / "mine"), BucketCopy)
    assert isinstance(copy_of(tmp_path / "home" / "copies" / folder.name / "studies"), BucketCopy)


def test_a_copy_that_does_not_say_of_what_is_named(here: Path) -> None:
    (here / "url.json").unlink()
    with pytest.raises(UserError, match="url.json is broken: it says no URL; delete the folder"):
        copy_of(here / "studies")
