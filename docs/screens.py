"""Draw docs/img/screen-*.svg: what terminals of 80 and of 140 columns show of an archived suite.

``python docs/screens.py`` prints the records of docs/results/cheaper-scoring as ``runs show`` and
``ablate`` do, and tells the live table of its first runs what they reported, at their pace.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import yaml
from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from lora2_search.analysis.evidence import gather
from lora2_search.cli.commands.ablate import print_tables
from lora2_search.cli.commands.runs import show
from lora2_search.cli.console.live import LiveView
from lora2_search.cli.console.screen import STYLES
from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo
from lora2_search.report.archive.archive import unpack_archive
from lora2_search.report.archive.record import rebuilt
from lora2_search.store.rank_pattern import write_rank_pattern
from lora2_search.store.record import RunRecord
from lora2_search.training.events import Report

DOCS = Path(__file__).parent
SUITE = DOCS / "results" / "cheaper-scoring"
WIDTHS = (80, 140)
LINES = 36


def records() -> dict[str, RunRecord]:
    """Return the suite's records by ``runs/base-seed20``."""
    lines = (SUITE / "records.jsonl").read_text(encoding="utf-8").splitlines()
    first, *rest = map(json.loads, lines)
    return {line["run"]: rebuilt(line, first["shared"]) for line in rest}


def recording(width: int) -> Console:
    """Return a console that keeps what is printed, in the colours of the command line."""
    theme = Theme({name: style for name, style in STYLES.items() if name})
    return Console(record=True, width=width, file=io.StringIO(), theme=theme)


def live_table(found: dict[str, RunRecord], width: int, folder: Path) -> Console:
    """Return the live table while the first runs are under way, two at a time."""
    now = 0.0
    view = LiveView(len(found), io.StringIO(), lambda: now, width=width, terminal=True)
    arms = yaml.safe_load((SUITE / "suite.yaml").read_text(encoding="utf-8"))["arms"]
    seed_by_seed = sorted(found.items(), key=lambda item: item[0].rpartition("-seed")[2])
    for place, (name, record) in enumerate(seed_by_seed[:8]):
        arm, _, seed = name.removeprefix("runs/").rpartition("-seed")
        told, config = f"{arm}, seed {seed}", RunConfig.model_validate(record.config)
        run = RunInfo(name, told, config, arms[arm], folder / name, metric=record.metric)
        view.started(run)
        if record.rank_pattern:
            run.folder.mkdir(parents=True, exist_ok=True)
            write_rank_pattern(run.folder, record.rank_pattern, config.adapter.r)
        points = [p for p in record.history if f"validation/{record.metric}" in p.metrics]
        for interval, point in enumerate(points[: None if place < 6 else 1], start=1):
            now += (record.seconds or 0.0) / len(points)
            score = point.metrics[f"validation/{record.metric}"]
            steps = (interval, len(points), point.step, record.total_steps)
            view.reported(run, Report(*steps, score, record.kept_rank, (), False))
        if place < 6:
            view.ended(run, "COMPLETE", record, "")
    console = recording(width)
    console.print(view.drawn())
    return console


def printed(width: int, prints: Callable[[], None]) -> Console:
    """Return what is printed into a terminal of ``width`` columns, its first lines."""
    os.environ |= {"COLUMNS": str(width), "FORCE_COLOR": "1"}
    with redirect_stdout(io.StringIO()) as stream:
        prints()
    # The last line of `runs show` is the folder, here a passing one.
    written = stream.getvalue().strip("\n").splitlines()
    lines = [line for line in written if not line.startswith(tempfile.gettempdir())]
    kept = lines if len(lines) <= LINES else [*lines[: LINES - 3], "...", *lines[-2:]]
    console = recording(width)
    console.print(Text.from_ansi("\n".join(kept)))
    return console


def main() -> None:
    """Draw every screen at every width."""
    found = records()
    with tempfile.TemporaryDirectory() as storage, unpack_archive(SUITE) as suite:
        folder = Path(storage) / "suites" / SUITE.name
        shutil.copytree(suite, folder)
        evidence = gather(folder)
        for width in WIDTHS:
            screens = {
                "live": live_table(found, width, Path(storage) / f"live-{width}"),
                "runs-show": printed(width, lambda: show(SUITE.name, Path(storage), False)),
                "suite-end": printed(
                    width,
                    lambda: [print_tables(t, e.analysis, False) for t, e in evidence.items()],
                ),
            }
            for name, console in screens.items():
                path = DOCS / "img" / f"screen-{name}-{width}.svg"
                svg = console.export_svg(title=f"{width} columns", unique_id=f"{name}-{width}")
                path.write_text(svg, encoding="utf-8")
                print(path)


if __name__ == "__main__":
    main()
