"""Draw docs/img/screen-*.svg: what terminals of 80 and of 140 columns show of an archived suite.

``python docs/screens.py [STUDY]`` prints the records of docs/results/cheaper-scoring as ``runs
show`` and ``ablate`` do, and tells the live table of its first runs, and of a study of this home,
what they reported, at their pace.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import yaml
from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from lora2_search.analysis.evidence import gather
from lora2_search.cli.commands.ablate import print_tables
from lora2_search.cli.commands.runs import show
from lora2_search.cli.commands.tune import study_rungs
from lora2_search.cli.console.live import LiveView
from lora2_search.cli.console.screen import STYLES
from lora2_search.config.run import RunConfig
from lora2_search.config.run_info import RunInfo
from lora2_search.experiments.train import run_of_trial
from lora2_search.report.archive.archive import unpack_archive
from lora2_search.report.archive.record import rebuilt
from lora2_search.search.study import Study, load_study
from lora2_search.store.rank_pattern import write_rank_pattern
from lora2_search.store.record import RunRecord, readable_record
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


def suite_runs(found: dict[str, RunRecord], folder: Path) -> list[tuple[RunInfo, RunRecord]]:
    """Return the first runs of the archived suite, seed by seed."""
    arms = yaml.safe_load((SUITE / "suite.yaml").read_text(encoding="utf-8"))["arms"]
    runs = []
    for name in sorted(found, key=lambda name: name.rpartition("-seed")[2])[:8]:
        arm, _, seed = name.removeprefix("runs/").rpartition("-seed")
        config = RunConfig.model_validate(found[name].config)
        told, metric = f"{arm}, seed {seed}", found[name].metric
        run = RunInfo(name, told, config, arms[arm], folder / name, metric=metric)
        runs.append((run, found[name]))
        if found[name].rank_pattern:
            run.folder.mkdir(parents=True, exist_ok=True)
            write_rank_pattern(run.folder, found[name].rank_pattern, config.adapter.r)
    return runs


def study_runs(study: Study) -> list[tuple[RunInfo, RunRecord]]:
    """Return the trials of a study that have a record."""
    found = [run_of_trial(study, trial.number) for trial in study.trials]
    return [(run, record) for run in found if run and (record := readable_record(run.folder))]


def live_table(
    runs: list[tuple[RunInfo, RunRecord]], total: int, width: int, rungs: Sequence[int] = ()
) -> Console:
    """Return the live table while the last two of these runs are under way."""
    now = 0.0
    view = LiveView(total, io.StringIO(), lambda: now, width=width, terminal=True, rungs=rungs)
    for place, (run, record) in enumerate(runs):
        view.started(run)
        ends = place < len(runs) - 2
        points = [p for p in record.history if f"validation/{record.metric}" in p.metrics]
        for interval, point in enumerate(points[: None if ends else 1], start=1):
            now += (record.seconds or 0.0) / len(points)
            score = point.metrics[f"validation/{record.metric}"]
            steps = (interval, len(points), point.step, record.total_steps)
            view.reported(run, Report(*steps, score, record.kept_rank, (), False))
        if ends:
            state = "PRUNED" if record.status == "pruned" else "COMPLETE"
            view.ended(run, state, record, "weaker than others" if state == "PRUNED" else "")
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", help="a study of this home")
    name_of_study = parser.parse_args().study
    study = load_study(name_of_study) if name_of_study else None
    found = records()
    with tempfile.TemporaryDirectory() as storage, unpack_archive(SUITE) as suite:
        folder = Path(storage) / "suites" / SUITE.name
        shutil.copytree(suite, folder)
        evidence = gather(folder)
        runs = suite_runs(found, Path(storage) / "live")
        for width in WIDTHS:
            screens = {
                "live": live_table(runs, len(found), width),
                "runs-show": printed(width, lambda: show(SUITE.name, Path(storage), False)),
                "suite-end": printed(
                    width,
                    lambda: [print_tables(t, e.analysis, False) for t, e in evidence.items()],
                ),
            }
            if study is not None:
                trials = study_runs(study)
                rungs = study_rungs(study.space)
                screens["live-study"] = live_table(trials, len(study.trials), width, rungs)
            for name, console in screens.items():
                path = DOCS / "img" / f"screen-{name}-{width}.svg"
                svg = console.export_svg(title=f"{width} columns", unique_id=f"{name}-{width}")
                path.write_text(svg, encoding="utf-8")
                print(path)


if __name__ == "__main__":
    main()
