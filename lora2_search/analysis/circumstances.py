"""In what two runs differ besides their settings: code, versions, device, threads, files."""

from __future__ import annotations

from collections.abc import Iterator

from ..store import RunRecord


def circumstances_between(before: RunRecord, after: RunRecord) -> Iterator[str]:
    """Yield in what two runs were made differently, for people; nothing where they were not.

    What a record does not know (an earlier version of this package wrote it) does not differ.
    Settings are not looked at: of runs on other data or models only the settings tell that.
    """
    from ..training import changes_between

    if before.code_hash and after.code_hash and before.code_hash != after.code_hash:
        yield f"code of lora2_search: {_code(before)}, then {_code(after)}"
    for name in sorted({*before.versions, *after.versions}):
        old, new = before.versions.get(name), after.versions.get(name)
        if old and new and old != new:
            yield f"{name}: version {old}, then {new}"
    if before.device and after.device and before.device != after.device:
        yield f"device: {before.device}, then {after.device}"
    if before.threads and after.threads and before.threads != after.threads:
        yield f"torch threads: {before.threads}, then {after.threads}"
    if before.processes != after.processes:
        yield f"processes: {before.processes}, then {after.processes}"
    if _inputs(before) == _inputs(after):
        yield from (words for _, words in changes_between(before, after))


def _code(record: RunRecord) -> str:
    if record.commit is None:
        return f"files {record.code_hash[:8]}, no checkout"
    return f"commit {record.commit[:8]}" + (" with changes" if record.dirty else "")


def _inputs(record: RunRecord) -> tuple[object, ...]:
    config = record.config
    return config["task"], config["data"], config["model"], config["protocol"]
