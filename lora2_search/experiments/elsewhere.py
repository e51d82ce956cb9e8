"""The suite in an archive, to go on with it in another clone or home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..ablation import SUITES, gone_on_from
from ..config import Source
from ..config.suite import SUITE_FILE, Suite, load_suite, suite_source, validate_suite


def begun_elsewhere(
    archive: Path, assigned: Sequence[str], storage: Path | None, also: Sequence[str]
) -> tuple[Suite, Source]:
    """Return the suite of an archive under a name that is free, and where its settings stand.

    Args:
        archive: The archive's folder.
        assigned: ``key=value``: resources, seeds that are added, its name here, and where its data
            and model lie here; nothing else of it may change.
        storage: Where ``suites/`` is.
        also: Options that going on needs beside name and storage, for messages.

    Raises:
        ConfigError: The archive's suite is broken.
        UserError: The folder is no archive, more was assigned, or the name is in use.
    """
    from ..report import check_archive

    check_archive(archive)
    file = str(archive / SUITE_FILE)
    source = suite_source(file, assigned)
    suite = validate_suite(source)
    SUITES.check_free(suite.name, storage, also)
    return gone_on_from(suite, load_suite(file)), source
