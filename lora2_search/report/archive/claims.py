"""The ledger of claims: every number in a folder of results is one that its records give again.

A folder of results holds archives of suites, one a folder. Two rules: what a command wrote beside
an archive (report, tables, CSVs) is what the archive gives again; and every number in prose beside
it, or above several archives, stands in such a report, or in ``claims.csv`` with the cell that it
comes from. Numbers in code, links and names (``k1``) are no claims.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

from ...analysis import Evidence
from ...config import score
from ..pages.markdown import REPORT_FILE
from ..pages.suite_files import report_texts
from .archive import archive_suite, is_archive

CLAIMS_FILE = "claims.csv"

COLUMNS = ("page", "number", "file", "row", "column")

_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)

# Links and tags, years of citations, the numbers of a list.
_NO_CLAIMS = re.compile(
    r"\]\([^)]*\)|</?[A-Za-z][^>]*>|https?://\S+|et al\.,? \(?\d{4}|^\s*\d+\. ", re.MULTILINE
)

# A letter behind a number is its unit (0.17M, 9s), more of them make it a name (855d6a1).
_NUMBER = re.compile(
    r"(?<![\w.,])([+\-−]?)((?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[+\-]?\d{1,3})?)(?=[MkKBsx]?(?!\w))"
)

# Given in fewer digits than the record has, a number still says something with two of them.
_FEWEST_DIGITS = 2


def unrecorded(results: Path, elsewhere: Iterable[str] = ()) -> list[str]:
    """Return what a folder of results says without a record, one line each; empty when all is well.

    Args:
        results: The folder; archives lie in folders of it, or it is one itself.
        elsewhere: Names of pages right in it that another command writes and checks.
    """
    folders = [path for path in (results, *sorted(results.glob("*"))) if is_archive(path)]
    problems: list[str] = []
    every: dict[str, str] = {}
    for folder in folders:
        with archive_suite(folder) as evidence:
            texts = report_texts(evidence)
            problems += _unlike_predictions(folder, evidence)
        problems += _outdated(folder, texts)
        every |= {f"{folder.name}/{name}": text for name, text in texts.items()}
        problems += _unclaimed(folder, texts, {REPORT_FILE})
    if results not in folders:
        problems += _unclaimed(results, every, set(elsewhere))
    return problems


def numbers_in(text: str) -> list[tuple[str, str]]:
    """Return the numbers in a page as (sign, digits), those in code and links left out."""
    for pattern in (_CODE, _NO_CLAIMS):
        text = pattern.sub(" ", text)
    return [(sign.replace("−", "-"), digits.rstrip(",")) for sign, digits in _NUMBER.findall(text)]


def _unlike_predictions(folder: Path, evidence: Mapping[str, Evidence]) -> Iterator[str]:
    """Yield the runs whose recorded score is not that of their predictions."""
    for item in evidence.values():
        suite = item.analysis.suite
        for (arm, seed), run in item.analysis.scores.items():
            predictions = run.predictions
            if predictions is None:
                continue
            value = score(suite.metric, predictions.labels, predictions.predictions, suite.classes)
            if value is None or not math.isclose(value, run.value, rel_tol=1e-6, abs_tol=1e-6):
                yield (
                    f"{folder}: {suite.runs[arm, seed].name} scores {run.value} by its record, "
                    f"{'undefined' if value is None else value} by its predictions"
                )


def _outdated(folder: Path, texts: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        path = folder / name
        stored = path.read_text(encoding="utf-8") if path.is_file() else None
        if stored is None:
            yield f"{path} is missing; `lora2-search report {folder}` writes it"
        elif not (_same_csv(stored, text) if name.endswith(".csv") else stored == text):
            yield (
                f"{path}{_first_difference(stored, text)} is not what the archive gives; "
                f"`lora2-search report {folder}` writes it anew"
            )


def _first_difference(stored: str, text: str) -> str:
    lines = zip(stored.splitlines(), text.splitlines(), strict=False)
    return next((f", line {n}," for n, (a, b) in enumerate(lines, 1) if a != b), "")


def _same_csv(stored: str, text: str) -> bool:
    """Whether two CSVs hold the same, numbers within what other machines round otherwise."""
    ours, theirs = (list(csv.reader(io.StringIO(one))) for one in (stored, text))
    if [len(row) for row in ours] != [len(row) for row in theirs]:
        return False
    cells = [[cell for row in rows for cell in row] for rows in (ours, theirs)]
    return all(a == b or _close(a, b) for a, b in zip(*cells, strict=True))


def _close(first: str, second: str) -> bool:
    try:
        return math.isclose(float(first), float(second), rel_tol=1e-9, abs_tol=1e-12)
    except ValueError:
        return False


def _unclaimed(folder: Path, texts: Mapping[str, str], written: set[str]) -> Iterator[str]:
    pages = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.md"))}
    claims, wrong = _claims(folder, texts)
    yield from wrong
    reports = [text for name, text in texts.items() if name.endswith(".md")]
    known = {number for text in reports for number in numbers_in(text)}
    for name, page in pages.items():
        # A page inside an archive further down is judged by that archive alone.
        if name in written or any(is_archive(folder / up) for up in list(Path(name).parents)[:-1]):
            continue
        for line, text in enumerate(_without_code(page).splitlines(), 1):
            for number in numbers_in(text):
                claimed = (name, "".join(number)) in claims
                if not claimed and not any(_agrees(number, other) for other in known):
                    yield (
                        f"{page}, line {line}: no record of {''.join(number)}; it stands in no "
                        f"report here and not in {CLAIMS_FILE} ({', '.join(COLUMNS)})"
                    )


def _without_code(page: Path) -> str:
    # Line numbers stay right.
    text = page.read_text(encoding="utf-8")
    return _CODE.sub(lambda match: "\n" * match[0].count("\n"), text)


def _claims(folder: Path, texts: Mapping[str, str]) -> tuple[set[tuple[str, str]], list[str]]:
    """Return the claims whose cell says so, and what is wrong with the others."""
    path = folder / CLAIMS_FILE
    if not path.is_file():
        return set(), []
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    if set(COLUMNS) - set(reader.fieldnames or []):
        return set(), [f"{path} needs the columns {', '.join(COLUMNS)}"]
    good, wrong = set(), []
    for row in reader:
        short = None in row.values()
        problem = "a column is missing" if short else _problem(row, folder, texts)
        if problem:
            wrong.append(f"{path}, line {reader.line_num}: {problem}")
        else:
            good.add((row["page"], row["number"].replace("−", "-")))
    return good, wrong


def _problem(row: Mapping[str, str], folder: Path, texts: Mapping[str, str]) -> str | None:
    stored = folder / row["file"]
    source = texts.get(row["file"])
    if source is None and stored.is_file() and stored.name == "published.csv":
        source = stored.read_text(encoding="utf-8-sig")
    if source is None:
        known = ", ".join(name for name in texts if name.endswith(".csv"))
        return f"no file {row['file']!r} comes from the records; name one of {known}"
    conditions = [part.partition("=")[::2] for part in row["row"].split(";")]
    cells = [
        one
        for one in csv.DictReader(io.StringIO(source))
        if all(one.get(key.strip()) == value.strip() for key, value in conditions)
    ]
    if len(cells) != 1:
        return f"{len(cells)} rows of {row['file']} have {row['row']!r}; it must be one"
    cell = cells[0].get(row["column"])
    claimed, in_cell = numbers_in(row["number"]), numbers_in(cell or "")
    if len(claimed) != 1 or len(in_cell) != 1 or not _of_cell(claimed[0], in_cell[0]):
        return f"{row['number']} is not what the cell says: {cell!r}"
    return None


def _of_cell(claimed: tuple[str, str], in_cell: tuple[str, str]) -> bool:
    """Whether a number is a cell's, as it is or in per cent."""
    # A cell without a sign is above zero; in a report it may be given as "10.8 points lower".
    sign, digits = in_cell[0] or "+", in_cell[1]
    hundred = f"{Decimal(digits.replace(',', '')) * 100:f}"
    return _agrees(claimed, (sign, digits)) or _agrees(claimed, (sign, hundred))


def _agrees(claimed: tuple[str, str], known: tuple[str, str]) -> bool:
    """Whether a number is another, or the same in fewer digits; a sign that is given must agree."""
    if claimed[0] and claimed[0] != known[0]:
        return False
    ours, theirs = (Decimal(one[1].replace(",", "")) for one in (claimed, known))
    if ours == theirs:
        return True
    shown = claimed[1].replace(",", "").partition("e")[0]
    if len(shown.replace(".", "").lstrip("0")) < _FEWEST_DIGITS or "e" in claimed[1]:
        return False
    step = Decimal(1).scaleb(-len(shown.partition(".")[2]))
    return ours in {theirs.quantize(step, rounding=way) for way in (ROUND_HALF_UP, ROUND_HALF_DOWN)}
