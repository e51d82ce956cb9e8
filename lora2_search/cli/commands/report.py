"""``report``: write what a study or a suite has to show, or keep a suite's evidence small."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...errors import UserError
from ...experiments import Named, find_item
from ...store import PAGE_FILE, SUITE_FILE, command_line, writable_folder
from ..console.say import say


def run_report(
    name: str,
    storage: Path | None,
    out: Path | None,
    archive: Path | None,
    other: str | None = None,
    open_page: bool = False,
) -> None:
    """Write the report of a study, a suite or an archive and print the path of its page.

    Args:
        name: A study, a suite, or the folder of an archive.
        storage: Where ``studies/`` and ``suites/`` are; by default the home.
        out: Where to write; by default where it lies. An archive's page is written there alone, or
            to a passing folder to be opened.
        archive: Where to keep a suite's evidence, and the report that is made from it.
        other: What it is compared with, on one page.
        open_page: Open the page in the user's browser.

    Raises:
        UserError: There is none of that name, it is a single run, what is asked of it is for
            suites alone, or a folder cannot be written.
    """
    from ...report import RECORDS_FILE, is_archive

    if other is not None:
        _finish(_compared(name, other, storage, out, archive), open_page)
        return
    folder = Path(name).expanduser()
    if is_archive(folder):
        if archive is not None:
            raise UserError(f"{folder} is an archive; leave out --archive")
        _finish(_of_archive(folder, out, open_page), open_page)
        return
    if _was_archive(folder):
        raise UserError(
            f"{folder} was an archive, but has lost a file: it must hold {SUITE_FILE} and "
            f"{RECORDS_FILE}; restore it from a copy"
        )
    item = _reported(name, storage)
    if archive is not None:
        path = _archived(item, _writable(archive))
        _finish(path, open_page and out is None)
    if archive is None or out is not None:
        _finish(write_report(item, None if out is None else _writable(out)), open_page)


def _reported(name: str, storage: Path | None) -> Named:
    """Return a study or a suite, and say which of its files are damaged."""
    item = find_item(name, storage)
    if item.kind == "run":
        raise UserError(
            f"{name} is a single run; {command_line('runs', 'show', name)} prints its record"
        )
    if item.kind not in ("study", "suite"):
        raise UserError(f"{name} is a {item.kind}, which wrote its page when it ended")
    for line in item.troubles():
        say(line)
    return item


def _finish(path: Path, open_page: bool) -> None:
    """Print the path of a page, and open it where that is asked for."""
    from ...report import Page

    print(path)
    if open_page and not Page(path).open():
        say(f"no browser was found here; open {path.resolve()} in one")


def _compared(
    name: str, other: str, storage: Path | None, out: Path | None, archive: Path | None
) -> Path:
    if archive is not None:
        raise UserError("--archive keeps the evidence of one suite; leave out the second name")
    (kind, left), (other_kind, right) = _side(name, storage), _side(other, storage)
    if left.resolve() == right.resolve():
        raise UserError(f"{name} and {other} are the same {kind}; name two")
    if kind != other_kind:
        raise UserError(
            f"{name} is a {kind} and {other} a {other_kind}: name two studies or two suites"
        )
    folder = _page_folder(left, out)
    if kind == "study":
        from ...report import write_study_comparison

        return write_study_comparison(left, right, folder)
    from ...report import write_suite_comparison

    return write_suite_comparison(left, right, folder)


def _side(name: str, storage: Path | None) -> tuple[str, Path]:
    """Return what one side of a comparison is, and its folder."""
    from ...report import is_archive

    folder = Path(name).expanduser()
    if is_archive(folder):
        return "suite", folder
    item = _reported(name, storage)
    return item.kind, item.folder


def _page_folder(folder: Path, out: Path | None) -> Path:
    """Return where a page goes: an archive is small because it has none, so to a passing folder."""
    from ...report import is_archive

    if out is not None:
        return _writable(out)
    return Path(tempfile.mkdtemp(prefix="lora2-search-")) if is_archive(folder) else folder


def write_report(item: Named, out: Path | None = None) -> Path:
    """Write the report of a study or suite and return the path of its page."""
    if item.kind == "study":
        from ...report import write_study_kit

        return write_study_kit(item.folder, out)
    from ...report import write_suite_report

    return write_suite_report(item.folder, out).with_name(PAGE_FILE)


def _archived(item: Named, folder: Path) -> Path:
    if item.kind != "suite":
        raise UserError(f"--archive keeps a suite's evidence, and {item.name} is a {item.kind}")
    from ...report import read_state, write_archive

    path = write_archive(item.folder, folder)
    state = read_state(folder)
    if state is not None and not state.complete:
        again = command_line("ablate", "--resume-from", str(folder))
        print(f"{state}; to run the rest, here or elsewhere: {again}")
    return path


def _of_archive(folder: Path, out: Path | None, open_page: bool) -> Path:
    from ...report import write_archived_report

    if out is None and not open_page:
        return write_archived_report(folder)
    return write_archived_report(folder, _page_folder(folder, out))


def _was_archive(folder: Path) -> bool:
    from ...analysis import EXAMPLES_FILE
    from ...report import RECORDS_FILE

    # Neither stands in the folder of a suite.
    return any((folder / name).exists() for name in (RECORDS_FILE, EXAMPLES_FILE))


def _writable(folder: Path) -> Path:
    return writable_folder(folder.expanduser(), "name a folder that you can write to")
